/* What is often said about opsets and runtimes, what is true, and the command that shows it: the rows of the
 * manual page onnxtool-opset-advice(7). tests/cli/opset_advice.sh runs every command and looks for what it
 * must print. */
#include "advice.h"

const struct advice advices[] = {
    {"A model whose opset is too new runs, and the nodes that the provider lacks fall back to the CPU.",
     "It does not load. A release reads opsets up to the newest one that its ONNX library had released, and "
     "refuses a "
     "file beyond it as a whole; only kernel gaps of one provider fall back.",
     "onnxtool check-opset newest.onnx --target ort@1.24 --provider cuda", "fails to load"},
    {"Attention is an operator of opset 17 (or 20).",
     "The standard operator came with opset 23. What exporters and optimizers wrote before is "
     "com.microsoft.Attention, "
     "another operator.",
     "onnxtool check-opset --min newest.onnx", "Attention came with 23"},
    {"ONNX Runtime 1.12 ends at opset 16.", "It reads opset 17, which its ONNX library, 1.12, brought.",
     "onnxtool check-opset layernorm17.onnx --target ort@1.12", "ort 1.12.1: runs"},
    {"get_providers() shows where a model runs.",
     "It shows which providers the session asked for. Each node is placed by itself, and a session with CUDA "
     "first may "
     "run most of the work on the CPU.",
     "onnxtool check-opset gridsample20.onnx --target ort@1.18 --provider cuda",
     "1 of 3 nodes run on the CPU"},
    {"When the opset is right, the model loads.",
     "The IR version of the file has a limit of its own, and so has the opset of ai.onnx.ml. An exporter "
     "that is newer "
     "than the runtime often writes an IR version that is too new for an opset that is not.",
     "onnxtool check-opset restamp.onnx --target ir@8", "IR version 10 is beyond 8"},
    {"A runtime that reads an opset has kernels for all of it.",
     "Kernels lag behind opsets, each provider by itself, sometimes by years.",
     "onnxtool check-opset gridsample20.onnx --target ort@1.18 --provider cuda",
     "has a kernel on cuda from ort 1.25"},
    {"A kernel that is listed as 16+ serves opset 16 and everything behind it.",
     "It serves operators whose own version is exactly 16. Where the operator changed in opset 20, a model "
     "of opset 20 "
     "finds no kernel in that row; a model of opset 19 does.",
     "onnxtool check-opset gridsample16.onnx --target ort@1.18 --provider cuda", "cuda then cpu: runs$"},
    {"An operator without a kernel cannot run.",
     "Many operators have a function body in the standard: the runtime expands them into others. Where there "
     "is neither "
     "kernel nor body, the model must be rewritten.",
     "onnxtool check-opset layernorm17.onnx --target ort@1.12 --provider cuda", "body expanded"},
    {"A model must be exported again for an older runtime.",
     "Often its number is higher than anything in it needs. Then the number alone is changed, and every node "
     "means what "
     "it meant.",
     "onnxtool check-opset --min restamp.onnx", "re-stamping is enough"},
    {"Nodes on the CPU beside a GPU are always a loss.",
     "Arithmetic on shapes belongs there, and ONNX Runtime leaves it there on purpose.",
     "onnxtool check-opset bert.onnx --target ort@1.18 --provider cuda", "arithmetic on shapes"},
    {"A float16 model computes in float16.",
     "Where the CPU has a kernel for float only, the runtime puts casts around it: right, but no faster.",
     "onnxtool check-opset half.onnx --target ort@1.18", "fp32 behind casts"},
    {"An operator on the list of TensorRT, OpenVINO, CoreML or QNN runs there.",
     "These take whole subgraphs and look at shapes, attributes and constants first: being listed is no "
     "promise.",
     "onnxtool check-opset bert.onnx --target ort@1.18 --provider coreml", "listed, which is no promise"},
    {0},
};
