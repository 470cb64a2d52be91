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

/* The manual page onnxtool-facts(7). */
const char facts_example[] =
    "{\"onnxtool_facts\": 1,\n"
    " \"releases\": [\n"
    "   {\"runtime\": \"ort\", \"version\": \"1.40.0\", \"opset\": 30, \"ml_opset\": 5, \"ir\": 14},\n"
    "   {\"runtime\": \"my-npu\", \"version\": \"2.0\", \"opset\": 17, \"ir\": 8}],\n"
    " \"bundles\": [\n"
    "   {\"runtime\": \"triton\", \"version\": \"27.01\", \"holds\": \"ort\", \"held_version\": "
    "\"1.40.0\"}],\n"
    " \"kernels\": [\n"
    "   {\"provider\": \"cuda\", \"releases\": \"1.40\", \"op\": \"Gelu\", \"versions\": \"20+\",\n"
    "    \"types\": {\"T\": [\"float\", \"float16\"]}}],\n"
    " \"operators\": [\n"
    "   {\"list\": \"my-npu\", \"op\": \"Conv\", \"restrictions\": \"2D only\"},\n"
    "   {\"list\": \"my-npu\", \"op\": \"Loop\", \"supported\": false}]}\n";

const struct facts_key facts_keys[] = {
    {"releases",
     "What a release accepts: opset, ml_opset and ir are the newest; min_opset the oldest that is stated. "
     "refuses_newer is true unless given: a model beyond is refused; with false it is unknown. What is left "
     "out is unknown. A runtime that is not known yet has the operator list of its own name."},
    {"bundles",
     "The release of another runtime that a release holds: ONNX Runtime in a container, a library behind a "
     "provider (tensorrt, openvino-ep)."},
    {"kernels",
     "Kernels of a provider of ONNX Runtime. releases are minor releases: one, a run as in 1.9-1.12, or from "
     "one on as in 1.20+, separated by commas; 1.16.2 names one release, or where a run begins or ends. "
     "versions are those of the operator: a run as in 6-12, one, N+ "
     "(exactly N, as ONNX Runtime reads it), or none. types names constraints or parameters of the operator; "
     "without it all types are taken. A provider that is not known yet is new. Provider body tells which "
     "types run by function body where the CPU has no kernel; a release without such rows is taken to have "
     "the bodies of the operator sets. Rows hide all built-in ones of that operator, provider and release."},
    {"operators",
     "A runtime's operator list, or a provider's that takes whole subgraphs: list is its name. supported is "
     "true unless given. releases and versions as above, but N+ means from N on; both may be left out. "
     "types is one list, for the first input. An operator without a row is not supported, or unknown when "
     "the list has rows with supported false, too. Rows hide all built-in ones of that operator in that "
     "list."},
    {"domain", "In kernels and operators: left out for ai.onnx; * in operators for any."},
    {0},
};
