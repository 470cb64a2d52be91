"""Sets what check-opset predicts beside what releases did.

Where check-opset says "unknown" it claims nothing; such answers are counted. A refusal whose message speaks of types,
inference or something else may be about the model rather than the release (each binds types that the schema allows, one by
one), so a prediction that it loads is held against check-opset only when another release of the same kind loads it.
"""
import collections
import json
import os
import subprocess
import tarfile
import tempfile

REFUSED = {"ir", "opset", "unknown-op", "deprecated", "no-kernel"}
MAYBE = {"type", "inference", "other", "no-type", "crash", "kernel-init", "not-run"}
BATCH = 200

# (part of a model's name, what the release did, prediction): why the two differ, and that it is no error of a table.
KNOWN = [
    ("op/ai.onnx/If/", "no", "kernel", "the branches make a value that the CPU has no kernel for"),
    ("op/ai.onnx/Loop/", "no", "kernel", "the body makes a value that the CPU has no kernel for"),
    ("op/ai.onnx/OptionalGetElement/18/O=float,V=", "no", "kernel", "one release does not take complex types in optionals"),
    ("op/com.microsoft/", "no", "kernel", "no schema at hand: only float types of the first input are looked at"),
    ("op/com.microsoft/", "fp32 behind casts", "kernel", "no schema at hand, as above"),
    ("op/ai.onnx/SimplifiedLayerNormalization/", "no", "kernel", "no schema at hand, as above"),
    ("op/ai.onnx/Memcpy", "kernel", "no", "ONNX Runtime puts them in itself, no model has them"),
    ("op/ai.onnx/Constant/", "", "", "constants are taken in without a kernel"),
    ("run/test_constant", "", "", "constants are taken in without a kernel"),
    ("run/test_sce_", "body expanded", "no", "1.6 to 1.8 crash on the model without shapes that the tables come from"),
    ("run/test_layer_normalization", "kernel", "no", "1.0 and 1.1 load any opset, and have a LayerNormalization of their own"),
    ("run/test_thresholdedrelu", "kernel", "no", "0.1 and 0.2 load any opset, and have a ThresholdedRelu of their own"),
    ("op/ai.onnx/ThresholdedRelu/", "loads", "no", "as above"),
    ("op/ai.onnx/Resize/19/T1=float16", "no", "fp32 behind casts", "1.15 alone puts no casts around it"),
    ("op/com.microsoft/CropAndResize/", "kernel", "fp32 behind casts", "1.9 and 1.10 take what their kernel does not name"),
    ("op/com.microsoft/GridSample/", "kernel", "fp32 behind casts", "as above"),
    ("microsoft/", "no", "loads", "versions of domains without tables are not checked"),
    ("training/", "no", "loads", "versions of domains without tables are not checked"),
    ("function/import20-in-17", "no", "loads", "a function's own import counts here, ONNX Runtime takes the model's"),
    ("function/ir7", "no", "loads", "functions came with IR 8; releases before it do not see them"),
]


def codes(releases, parts):
    """{release: code}"""
    out = {}
    for span, code in parts:
        first, _, last = span.partition("-")
        for r in releases[releases.index(first):releases.index(last or first) + 1]:
            out[r] = code
    return out


def did(name, op, code):
    """What the release did, in check-opset's words; None where that does not say."""
    if code in REFUSED:
        return "no"
    if code in MAYBE:
        return None
    if code in ("none", "loaded") or not op:
        return "loads"
    names = code.replace("ran ", "").replace("com.microsoft.", "").split(",")
    if names == [op] or (op in names and op in ("If", "Loop", "Scan", "SequenceMap")):
        return "kernel"
    return "fp32 behind casts" if op in names and set(names) <= {op, "Cast"} else "body expanded"


def said(target, op):
    """What check-opset predicts: "no", "unknown", "loads", or how the node runs."""
    if target["loads"] != "yes":
        return target["loads"]
    fits = [o["fit"] for o in target["operators"] if o["op"] == op]
    return fits[0] if fits and fits[0] != "none" else "loads"


def op_of(name, target):
    if name.startswith("op/"):
        return name.split("/")[2]
    if name.startswith("run/") and len(target["operators"]) == 1:
        return target["operators"][0]["op"]
    return ""


def excused(name, want, got):
    return any(part in name and w in (want, "") and g in (got, "") for part, w, g, _ in KNOWN)


def ask(tool, folder, files, releases):
    """Yields (name, release, answer) of check-opset."""
    names = ["%d.onnx" % i for i in range(len(files))]
    for name, (_, data) in zip(names, files):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)
    done = subprocess.run([tool, "check-opset", "--json", "--target", ",".join("ort@" + r for r in releases)] + names,
                          cwd=folder, stdout=subprocess.PIPE, check=False)
    for model in json.loads(done.stdout)["models"]:
        name = files[int(model["model"].split(".")[0])][0]
        for target in model["targets"]:
            yield name, target["release"], target


def compare(tool, archive, releases, observed, take, only=None):
    """({(want, got): count}, [(name, want, got, [release])]) over the models that take(index, name) chooses."""
    counts, differ = collections.Counter(), collections.defaultdict(list)
    with tarfile.open(archive) as tar, tempfile.TemporaryDirectory() as folder:
        files = [(m.name, tar.extractfile(m).read()) for i, m in enumerate(tar) if take(i, m.name)]
        for at in range(0, len(files), BATCH):
            part = files[at:at + BATCH]
            table = {name: codes(releases, observed[name]) for name, _ in part}
            for name, release, target in ask(tool, folder, part, only or releases):
                op = op_of(name, target)
                want, got = did(name, op, table[name][release]), said(target, op)
                counts[want or "may be", got] += 1
                wrong = want and got != "unknown" and got != want and not (want == "loads" and got != "no")
                if wrong and not excused(name, want, got):
                    differ[name, want, got].append(release)
    return counts, [key + (found,) for key, found in sorted(differ.items())]
