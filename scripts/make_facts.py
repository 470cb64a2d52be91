#!/usr/bin/env python3
"""Writes src/target/facts/*.tsv, what check-opset knows of runtimes, from tables collected from their documents.

    scripts/make_facts.py FOLDER           write the files from the collected tables in FOLDER
    scripts/make_facts.py FOLDER --check   compare with what is there; exit 1 when they differ
    scripts/make_facts.py --bodies         write bodies.tsv; needs the onnx package
    scripts/make_facts.py --check          without the collected tables: only that the files agree with each other

measured.tsv is not written: it holds what loading models in real releases has shown, is kept by hand (or by whoever
measures), and wins over the tables. The check says where the two disagree, and which releases nobody has tried.
"""
import argparse
import collections
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, "src", "target", "facts")
DATE = "2026-11-20"  # of the collection

# Letters of element types in type sets.
LETTERS = {
    "float": "f", "double": "d", "float16": "h", "bfloat16": "g", "int8": "b", "int16": "s", "int32": "i",
    "int64": "l", "uint8": "B", "uint16": "S", "uint32": "I", "uint64": "L", "bool": "?", "string": "$",
    "float8e4m3fn": "1", "float8e4m3fnuz": "2", "float8e5m2": "3", "float8e5m2fnuz": "4", "float8e8m0": "5",
    "float4e2m1": "6", "int4": "n", "uint4": "N", "int2": "t", "uint2": "T",
}
# The other spellings of element types in the operator lists.
LIST_TYPES = {
    "FP32": "f", "FLOAT32": "f", "FP64": "d", "DOUBLE": "d", "FP16": "h", "BF16": "g", "INT8": "b", "INT16": "s",
    "INT32": "i", "INT64": "l", "UINT8": "B", "UINT16": "S", "UINT32": "I", "UINT64": "L", "BOOL": "?",
    "FP8": "1234", "FP4": "6", "INT4": "n", "UINT4": "N",
    "INF64": "l",  # a misprint in one of the documents
}
PROVIDERS = {"CPUExecutionProvider": "cpu", "CUDAExecutionProvider": "cuda", "DmlExecutionProvider": "directml",
             "JsExecutionProvider": "js", "WebGpuExecutionProvider": "webgpu"}
# Domains that stand in no model: what ONNX Runtime rewrites for itself while it loads one.
INTERNAL = {"com.ms.internal.nhwc", "kDynamicDomainByCreate"}

# name, other names, ONNX Runtime's name, how it is known, its list, domains in which a row that is missing means
# that there is no kernel, operators of which the rows are not sure, remark
PROVIDER_ROWS = [
    ("cpu", "", "CPUExecutionProvider", "kernels", "", "ai.onnx ai.onnx.ml com.microsoft", "", ""),
    ("cuda", "", "CUDAExecutionProvider", "kernels", "", "ai.onnx ai.onnx.ml com.microsoft", "",
     "the list depends on the build that wrote the document"),
    ("directml", "dml", "DmlExecutionProvider", "kernels", "", "ai.onnx ai.onnx.ml com.microsoft", "NonMaxSuppression",
     "in the document from 1.13"),
    ("webgpu", "", "WebGpuExecutionProvider", "kernels", "", "ai.onnx", "Cast",
     "kernel declarations in the source; contrib operators are not covered"),
    ("js", "jsep", "JsExecutionProvider", "kernels", "", "ai.onnx", "",
     "the WebGPU back end in JavaScript; kernel declarations in the source, contrib operators are not covered"),
    ("xnnpack", "", "XnnpackExecutionProvider", "list", "xnnpack", "", "", ""),
    ("coreml", "", "CoreMLExecutionProvider", "list", "coreml", "", "", ""),
    ("nnapi", "", "NnapiExecutionProvider", "list", "nnapi", "", "", ""),
    ("qnn", "", "QNNExecutionProvider", "list", "qnn", "", "", ""),
    ("openvino", "", "OpenVINOExecutionProvider", "list", "openvino-ep", "", "", ""),
    ("tensorrt", "trt", "TensorrtExecutionProvider", "list", "tensorrt", "", "", ""),
    ("migraphx", "", "MIGraphXExecutionProvider", "list", "migraphx", "", "", ""),
    ("webnn", "", "WebNNExecutionProvider", "list", "webnn", "", "", ""),
    ("webgl", "", "", "list", "webgl", "", "", "back end of ONNX Runtime Web"),
]

# name, other names, list of its operators, remark
RUNTIME_ROWS = [
    ("ort", "onnxruntime", "", "ONNX Runtime; providers with --provider, the CPU always stands behind them"),
    ("triton", "tritonserver", "", "NVIDIA Triton containers, through the ONNX Runtime that they hold"),
    ("tensorrt", "trt", "tensorrt", "TensorRT's own ONNX parser"),
    ("openvino-ep", "", "openvino-ep", "the OpenVINO provider inside ONNX Runtime, by version of OpenVINO"),
    ("openvino", "", "openvino", "OpenVINO's own ONNX importer; the list does not say of which release"),
    ("migraphx", "", "migraphx", "AMD MIGraphX"),
    ("tract", "", "tract", "sonos/tract; names of operators only"),
]


def read(folder, name):
    """(source line without '# source: ', rows as dicts)"""
    with open(os.path.join(folder, name), encoding="utf-8") as f:
        lines = f.read().splitlines()
    head = re.sub(r"^# *(source: *)?", "", lines[0])
    cols = lines[1].split("\t")
    return head, [dict(zip(cols, ln.split("\t") + [""] * len(cols))) for ln in lines[2:] if ln]


class File:
    """A table being written."""

    def __init__(self, name, about, sources, cols):
        self.name = name
        self.head = ["# " + ln for ln in about] + ["# date: " + DATE] + ["# source: " + s for s in sources]
        self.cols = cols
        self.rows = []

    def add(self, *row):
        assert len(row) == len(self.cols), row
        row = [str(c) for c in row]
        assert not any("\t" in c or "\n" in c for c in row), row
        self.rows.append(row)

    def text(self):
        rows = ["\t".join(r) for r in self.rows]
        return "\n".join(self.head + ["\t".join(self.cols)] + rows) + "\n"


def vkey(v):
    """Sorts versions: 1.30.0-dev stands before 1.30.0."""
    dev = "dev" in v
    return [int(x) for x in re.findall(r"\d+", v)] + ([-1] if dev else [])


# ---- type sets ----

def type_set(terms):
    """["tensor(float)", "seq(tensor(int8))"] as "f[b]": letters, sequences in [], optionals in {}; * is not told."""
    groups = collections.OrderedDict((k, []) for k in ("", "[", "{", "{[", "*"))
    wrap = [("optional(seq(tensor(", "{["), ("optional(tensor(", "{"), ("seq(tensor(", "["), ("tensor(", "")]
    for t in terms:
        kind = next((k for p, k in wrap if t.startswith(p)), "*")
        name = t.rstrip(")").rsplit("(", 1)[-1]
        groups[kind].append("" if kind == "*" else LETTERS[name])
    close = {"": "", "[": "]", "{": "}", "{[": "]}"}
    out = "".join(k + "".join(v) + close[k] for k, v in groups.items() if v and k != "*")
    return out + ("*" if groups["*"] else "")


def split_types(text):
    """Commas outside of parentheses."""
    out, depth, cur = [], 0, ""
    for c in text:
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            out.append(cur.strip())
            cur = ""
        else:
            cur += c
    return out + ([cur.strip()] if cur.strip() else [])


def constraints(text):
    out = []
    for part in filter(None, (p.strip() for p in text.split(";"))):
        name, types = part.split("=", 1)
        out.append(name + "=" + type_set(split_types(types)))
    return " ".join(out)


def list_types(text):
    out = ""
    if text.strip().lower() == "any":
        return ""
    for t in re.split(r"[,\s]+", text.strip()):
        out += LIST_TYPES[t.upper()] if t else ""
    return "".join(dict.fromkeys(out))


# ---- releases as ranges ----

def expand(text, order):
    out = []
    for part in text.split(","):
        a, _, b = part.partition("..")
        out += order[order.index(a):order.index(b or a) + 1]
    return out


def compress(names, order):
    """Inclusive runs "1.9-1.12,1.14" of names among all in order."""
    idx, runs = sorted({order.index(n) for n in names}), []
    for i in idx:
        if runs and runs[-1][1] == i - 1:
            runs[-1][1] = i
        else:
            runs.append([i, i])
    return ",".join(order[a] if a == b else order[a] + "-" + order[b] for a, b in runs)


def rel(name):
    return name.replace("1.30dev", "1.30")


def versions(text):
    """"[6, 12]" -> "6-12"; "13+" and "9" stay."""
    m = re.fullmatch(r"\[(\d+), (\d+)\]", text)
    return m.group(1) + "-" + m.group(2) if m else text


# ---- the files ----

def make_releases(src):
    s1, ort = read(src, "ort_releases.tsv")
    s2, trt = read(src, "tensorrt_releases.tsv")
    s3, eps = read(src, "ep_max_opset.tsv")
    f = File("releases.tsv", [
        "What a release accepts: the newest opset of ai.onnx and ai.onnx.ml and the newest IR version; an empty cell is",
        "not known. opset is the last released one of the ONNX library that the release was built with; strict: a model",
        "beyond it is refused at load (y), or the table only says what was documented or compiled in (n).",
        "compiled: the newest opset that this library has in part, in reach of who sets",
        "ALLOW_RELEASED_ONNX_OPSET_ONLY=0. onnx: the release of that library.",
    ], [s1, s2, s3], ["runtime", "version", "date", "min_opset", "opset", "ml", "ir", "strict", "compiled", "onnx",
                          "basis"])
    for r in ort:
        limit = r["built_last_released_opset"]
        f.add("ort", r["ort_version"], r["date"], "", limit or r["built_schema_max_opset"],
              r["built_last_released_ml_opset"] or r["built_schema_max_ml_opset"], r["built_max_ir_version"],
              "y" if limit else "n", r["built_schema_max_opset"], r["built_onnx_version_string"].split("rc")[0], r["basis"])
    for r in trt:
        if r["max_opset"] and not r["tensorrt_version"].endswith("x"):
            f.add("tensorrt", r["tensorrt_version"], r["branch_tip_date"], r["min_opset"], r["max_opset"], "", "", "n",
                  "", "", r["remark"] or "operators.md of the parser")
    mi = next(r for r in eps if r["target"] == "MIGraphX")
    f.add("migraphx", "", mi["date"], "", mi["max_opset"], "", "", "n", "", "", mi["remark"])
    return f


def make_bundles(src):
    s1, triton = read(src, "triton_ort.tsv")
    s2, deps = read(src, "ort_ep_dependencies.tsv")
    f = File("bundles.tsv", [
        "What a release holds of another runtime: Triton containers their ONNX Runtime, ONNX Runtime the library behind",
        "a provider. Triton's rows are what the build script asks for.",
    ], [s1, s2], ["runtime", "version", "holds", "held_version", "basis"])
    for r in triton:
        f.add("triton", r["triton_container"], "ort", r["onnxruntime_version"], r["basis"])
        if r["ort_openvino_version"]:
            f.add("triton", r["triton_container"], "openvino-ep", r["ort_openvino_version"], r["basis"])
    for r in sorted(deps, key=lambda r: vkey(r["ort_version"])):
        if r["ort_version"] != "main":
            holds = {"TensorRT": "tensorrt", "OpenVINO": "openvino-ep"}[r["execution_provider"]]
            f.add("ort", r["ort_version"], holds, r["library_version"], "documentation")
    return f


def minors():
    """All minor releases that the kernel tables cover."""
    return ["1.%d" % m for m in range(0, 32)]


def registered(out, order):
    """Takes CPU kernels that releases have shown themselves out of the documented ones: all of them from 1.16 on, before
    that operator by operator. Returns (the head of the file, rows to put there)."""
    lines, rows = load("registered.tsv")
    shown = collections.defaultdict(set)  # minor release -> operators
    for r in rows:
        spans = re.sub(r"(\d+\.\d+)\.\d+", r"\1", r["releases"]).replace("-", "..")
        for m in expand(spans, order) if r["provider"] == "cpu" else ():
            shown[m].add((r["domain"] or "ai.onnx", r["op"]))
    for key, names in out.items():
        if key[2] == "cpu":
            names -= {m for m in names if vkey(m) >= [1, 16] or key[:2] in shown[m]}
    for key in [k for k, names in out.items() if not names]:
        del out[key]
    head = " ".join(ln[2:] for ln in lines if ln.startswith("# CPU kernels") or ln.startswith("# date"))
    return head, [(r["domain"], r["op"], r["provider"], r["versions"], r["types"], r["releases"], "") for r in rows]


# Operators whose kernels have no type constraints at all: the collected table lacks such rows.
UNTYPED = [("ai.onnx", "NonMaxSuppression", "cuda", "10"), ("ai.onnx", "NonMaxSuppression", "cuda", "11+"),
           ("com.microsoft", "QLinearAveragePool", "cpu", "1+"), ("com.microsoft", "QLinearConcat", "cpu", "1+"),
           ("com.microsoft", "QLinearGlobalAveragePool", "cpu", "1+")]
# The document of 1.13 does not have it for the CPU either, where that release runs it.
DOUBTED = ("ai.onnx", "LayerNormalization", "cuda", "17", "T=* U=*", "")


def moved_heading(hist):
    """The document of 1.13 has CUDA's contrib operators under DirectML: rows of that release alone which CUDA has, word
    for word, before or after it, are given back."""
    cuda = {(r["domain"], r["op"], r["version_range"], r["type_constraints"]) for r in hist
            if r["provider"].startswith("CUDA") and re.search(r"1\.12|1\.14", r["releases"])}
    for r in hist:
        key = (r["domain"], r["op"], r["version_range"], r["type_constraints"])
        if (r["provider"].startswith("Dml") and r["domain"] == "com.microsoft" and r["releases"] == "1.13"
                and key in cuda):
            r["provider"] = "CUDAExecutionProvider"


def make_kernels(src):
    s1, hist = read(src, "ort_kernels_history.tsv")
    s2, regs = read(src, "ort_ep_registrations.tsv")
    s3, jsep = read(src, "ortweb_webgpu_jsep_ops.tsv")
    moved_heading(hist)
    order = minors()
    legend = " ".join("%s=%s" % (v, k) for k, v in LETTERS.items())
    f = File("kernels.tsv", [
        "Kernels of ONNX Runtime's providers. versions: of the operator (not of the model's opset): a closed range, one,",
        "or N+, which serves operators whose version is exactly N. types: element types by letter, NAME=letters for each",
        "constraint or parameter; [] sequences, {} optionals, * types that are not told here; empty: not known.",
        "releases: inclusive runs of minor releases or single ones; but for the CPU, 1.30 is the development snapshot of",
        "2026-08-23. An empty domain is ai.onnx. Provider body: these types ran by function body, where the CPU has no kernel.",
        "types: " + legend,
    ], [s1, s2, s3], ["domain", "op", "provider", "versions", "types", "releases", "restrictions"])
    out = collections.OrderedDict()
    for r in hist:
        if r["domain"] in INTERNAL:
            continue
        names = expand(r["releases"].replace("1.30dev", "1.30"), order)
        key = (r["domain"], r["op"], PROVIDERS[r["provider"]], versions(r["version_range"]),
               constraints(r["type_constraints"]), "")
        out.setdefault(key, set()).update(names)
    limits = {(r["domain"], r["op"]): r["restrictions"] for r in jsep}
    for r in regs:
        if r["domain"] in INTERNAL or r["provider"] not in PROVIDERS:
            continue
        note = limits.get((r["domain"], r["op"]), "") if r["provider"].startswith("Js") else ""
        key = (r["domain"], r["op"], PROVIDERS[r["provider"]], versions(r["version_range"]), "", note)
        out.setdefault(key, set()).add(rel(r["ort_version"]))
    for row in UNTYPED:
        out.setdefault(row + ("", ""), set()).update(order[order.index("1.9"):order.index("1.30") + 1])
    out[DOUBTED] = {"1.13"}
    head, seen = registered(out, order)
    f.head.append("# source: registered.tsv: " + head)
    for key in sorted(out, key=lambda k: (("" if k[0] == "ai.onnx" else k[0]), k[1], k[2], vkey(k[3]), k)):
        domain, op, prov, vers, types, note = key
        f.add("" if domain == "ai.onnx" else domain, op, prov, vers, types, compress(out[key], order), note)
    for row in seen:
        f.add(*row)
    f.rows.sort(key=lambda r: (r[0], r[1], r[2], vkey(r[3]), r))
    return f


def ranges(text):
    """"6-12,13+" stays; here N+ reads "from N on"."""
    return text.replace(" ", "")


def make_operators(src):
    f_src = []
    rows = collections.OrderedDict()  # key without release -> releases

    def add(lst, release, domain, op, yes, vers, types, note, where=""):
        key = (lst, "" if domain == "ai.onnx" else domain, op, yes, vers, types, note, where)
        rows.setdefault(key, []).append(release)

    def table(name):
        head, data = read(src, name)
        f_src.append(name[:-4] + ": " + head)
        return data

    trt_order = []
    for r in table("tensorrt_ops.tsv"):
        v = r["tensorrt_version"]
        if v not in trt_order:
            trt_order.append(v)
        add("tensorrt", v, "ai.onnx", r["op"], r["supported"], "", list_types(r["types"]), r["restrictions"])
    trt_order.sort(key=vkey)
    for r in table("openvino_frontend_ops.tsv"):
        imp = r["implemented_versions"].replace(" ", "")
        low = min((int(x) for x in imp.split(",") if x), default=0)
        add("openvino", "", r["domain"], r["op"], "y" if imp else "n", "%d+" % low if imp else "", "",
            r["restrictions"])
    for r in table("openvino_ep_ops.tsv"):
        add("openvino-ep", r["since_openvino"] + "+", "*", r["op"], "y", "", "", "", r["devices"])
    core = collections.OrderedDict()
    for r in table("coreml_ep_ops.tsv"):
        core.setdefault((r["domain"], r["op"]), {})[r["model_format"]] = r["restrictions"]
    for (domain, op), fmt in core.items():
        parts = ["%s: %s" % (k, v) for k, v in fmt.items() if v]
        if len(fmt) == 1:
            parts = ["%s format only%s" % (k, ": " + v if v else "") for k, v in fmt.items()]
        add("coreml", "", domain, op, "y", "", "", "; ".join(parts))
    for name in ("nnapi", "qnn"):
        for r in table(name + "_ep_ops.tsv"):
            add(name, "", r["domain"], r["op"], "y", "", "", r["restrictions"])
    for r in table("xnnpack_ep_ops.tsv"):
        add("xnnpack", r["since_ort"] + "+" if r["since_ort"] else "", r["domain"], r["op"], "y", "", "",
            r["restrictions"])
    for r in table("ortweb_webgl_ops.tsv"):
        add("webgl", "", "ai.onnx", r["op"], r["supported"].lower(), ranges(r["versions"]), "", "")
    for r in table("ortweb_webnn_ops.tsv"):
        add("webnn", "", "ai.onnx", r["op"], "y", ranges(r["versions"]), "", r["restrictions"])
    for r in table("migraphx_ops.tsv"):
        add("migraphx", "", "ai.onnx", r["op"], r["supported"].lower(), "", list_types(r["types"]),
            r["restrictions"])
    for r in table("tract_ops.tsv"):
        add("tract", "", "*", r["op"], "y", "", "", "")
    f = File("operators.tsv", [
        "Operator lists of runtimes and providers that take whole subgraphs or publish no kernels: being listed is no",
        "promise. releases: inclusive runs, N+ from N on, empty when the list does not say. supported: y, or n where the",
        "list says so itself. versions: of the operator, inclusive runs, N+ here meaning from N on; empty: not said.",
        "types as in kernels.tsv. where: devices. An empty domain is ai.onnx, * is any. Operators are compared without case.",
    ], f_src, ["list", "domain", "op", "supported", "releases", "versions", "types", "restrictions", "where"])
    for (lst, domain, op, yes, vers, types, note, where), rels in rows.items():
        text = compress(rels, trt_order) if lst == "tensorrt" else ",".join(rels)
        f.add(lst, domain, op, yes.lower(), text, vers, types, note, where)
    f.rows.sort(key=lambda r: (r[0], r[2].lower(), r[1], r[4]))
    return f


def list_date(head):
    """The last date of the source line says how old the list is."""
    dates = re.findall(r"20\d\d-\d\d-\d\d", head)
    return max(dates) if dates else ""


def make_runtimes(src):
    f = File("runtimes.tsv", [
        "Names that --target takes, and --provider for ONNX Runtime. known: kernels of this provider are in kernels.tsv,",
        "or operators.tsv has a list. complete: domains in which a release that has rows, but none that fits, has no",
        "kernel. unsure: operators of which the rows may be wrong. dated: the day of the list, where it names no release.",
    ], [], ["kind", "name", "aliases", "ort_name", "known", "list", "complete", "unsure", "dated", "remark"])
    dates = {}
    for name, lst in (("coreml_ep_ops", "coreml"), ("nnapi_ep_ops", "nnapi"), ("qnn_ep_ops", "qnn"),
                      ("ortweb_webgl_ops", "webgl"), ("ortweb_webnn_ops", "webnn"), ("migraphx_ops", "migraphx"),
                      ("tract_ops", "tract"), ("xnnpack_ep_ops", "xnnpack"), ("openvino_ep_ops", "openvino-ep")):
        dates[lst] = list_date(read(src, name + ".tsv")[0])
    for name, other, lst, remark in RUNTIME_ROWS:
        f.add("runtime", name, other, "", "list" if lst else "releases", lst, "", "", dates.get(lst, ""), remark)
    for name, other, ort, known, lst, complete, unsure, remark in PROVIDER_ROWS:
        f.add("provider", name, other, ort, known, lst, complete, unsure, dates.get(lst, ""), remark)
    return f


def write_all(src):
    return [make_runtimes(src), make_releases(src), make_bundles(src), make_kernels(src), make_operators(src)]


# ---- function bodies that depend on types ----

BODY_HEAD = """# What the function bodies of operators consist of that depend on attributes and types, for float inputs and the attributes
# that must be given: one row for each opset that a body is written for. Bodies that do not depend on them are in
# src/ops/schema_body.def.
# date: %s
# source: the onnx package %s
domain\top\tversion\topset\tbody
"""


def sample_node(schema, onnx):
    """A node with the inputs that must be there, and their types."""
    kinds = {str(k): v for k, v in (("tensor(float)", 1), ("tensor(int64)", 7), ("tensor(int32)", 6),
                                    ("tensor(uint8)", 2), ("tensor(bool)", 9))}
    allowed = {t.type_param_str: t.allowed_type_strs for t in schema.type_constraints}
    values = {"INT": 1, "FLOAT": 1.0, "STRING": "x", "INTS": [1]}
    names, types = [], []
    for i in schema.inputs:
        # The body of Clip is one with both limits.
        if str(i.option).endswith("Optional") and schema.name != "Clip":
            break
        choice = allowed.get(i.type_str, [i.type_str])
        elem = next((e for t, e in kinds.items() if t in choice), 1)
        rank1 = schema.name.endswith("Loss") and i.name == "target"
        shape = [] if i.name in ("min", "max") else [2, 8] if rank1 else [2, 4, 8]
        names.append(i.name)
        types.append(onnx.helper.make_tensor_type_proto(elem, shape))
    attrs = {n: values.get(a.type.name, 1) for n, a in schema.attributes.items() if a.required}
    if schema.name == "Attention":
        attrs = {"q_num_heads": 2, "kv_num_heads": 2}
    outs = [o.name for o in schema.outputs if not str(o.option).endswith("Optional")]
    return onnx.helper.make_node(schema.name, names, outs, domain=schema.domain, **attrs), types


def write_bodies():
    import onnx
    rows = []
    for s in onnx.defs.get_all_schemas_with_history():
        takes_graph = any(a.type.name == "GRAPH" for a in s.attributes.values())
        if not s.has_context_dependent_function or takes_graph and s.domain == "":
            continue
        for opset in s.context_dependent_function_opset_versions:
            node, types = sample_node(s, onnx)
            made = s.get_context_dependent_function_with_opset_version(
                opset, node.SerializeToString(), [t.SerializeToString() for t in types])
            ops = sorted({n.op_type for n in onnx.FunctionProto.FromString(made).node})
            rows.append((s.domain, s.name, s.since_version, opset, " ".join(ops)))
    with open(os.path.join(OUT, "bodies.tsv"), "w", encoding="utf-8") as f:
        f.write(BODY_HEAD % (DATE, onnx.__version__))
        for r in sorted(rows):
            f.write("\t".join(map(str, r)) + "\n")
    print("bodies.tsv: %d rows" % len(rows))


# ---- checks ----

def load(name):
    path = os.path.join(OUT, name)
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    body = [ln for ln in lines if not ln.startswith("#")]
    cols = body[0].split("\t")
    rows = []
    for ln in body[1:]:
        cells = ln.split("\t")
        if len(cells) != len(cols):
            raise SystemExit("%s: a row of %d cells, expected %d: %s" % (path, len(cells), len(cols), ln[:80]))
        rows.append(dict(zip(cols, cells)))
    return lines, rows


def check_files():
    """Problems inside the files as they stand, and notes."""
    bad, notes = [], []
    tables = {n: load(n + ".tsv") for n in ("runtimes", "releases", "bundles", "kernels", "operators", "measured")}
    for name, (lines, _) in tables.items():
        if not any(ln.startswith("# date: ") for ln in lines):
            bad.append("%s.tsv has no date" % name)
    rows = {n: t[1] for n, t in tables.items()}
    names = {(r["kind"], r["name"]) for r in rows["runtimes"]}
    lists = {r["list"] for r in rows["operators"]}
    bad += ["kernels.tsv: no provider '%s'" % p for p in sorted({r["provider"] for r in rows["kernels"]})
            if p != "body" and ("provider", p) not in names]
    bad += ["runtimes.tsv: no list '%s'" % r["list"] for r in rows["runtimes"] if r["list"] and r["list"] not in lists]
    for r in rows["kernels"]:
        if not re.fullmatch(r"\d+(\+|-\d+)?", r["versions"]):
            bad.append("kernels.tsv: %s: versions '%s'" % (r["op"], r["versions"]))
    known = {(r["runtime"], r["version"]): r for r in rows["releases"]}
    for r in rows["bundles"]:
        if r["runtime"] == "triton" and r["holds"] == "ort" and ("ort", r["held_version"]) not in known:
            notes.append("triton %s holds ort %s, which releases.tsv lacks" % (r["version"], r["held_version"]))
    tried = {(r["runtime"], r["version"]) for r in rows["measured"] if r["status"] == "measured"}
    for r in rows["measured"]:
        want = known.get((r["runtime"], r["version"]))
        for col in ("opset", "ml", "ir") if want and r["status"] == "measured" else ():
            if r[col] and want[col] and r[col] != want[col]:
                notes.append("%s %s: %s is %s in the tables, measured %s (which wins)"
                             % (r["runtime"], r["version"], col, want[col], r[col]))
    untested = [v for (rt, v) in known if rt == "ort" and (rt, v) not in tried]
    if untested:
        notes.append("ort releases that were never tried here: " + " ".join(untested))
    return bad, notes


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("folder", nargs="?", help="the collected tables")
    ap.add_argument("--check", action="store_true")
    ap.add_argument("--bodies", action="store_true")
    args = ap.parse_args()
    if args.bodies:
        return write_bodies()
    if not args.folder and not args.check:
        ap.error("a folder to read, or --check")
    bad = []
    for f in write_all(args.folder) if args.folder else ():
        path = os.path.join(OUT, f.name)
        if args.check:
            with open(path, encoding="utf-8") as old:
                if old.read() != f.text():
                    bad.append("%s is not what the tables give" % os.path.relpath(path, ROOT))
        else:
            os.makedirs(OUT, exist_ok=True)
            with open(path, "w", encoding="utf-8") as new:
                new.write(f.text())
            print("%s: %d rows, %d bytes" % (f.name, len(f.rows), len(f.text())))
    more, notes = check_files()
    bad += more
    for n in notes:
        print("note: " + n)
    for b in bad:
        print("error: " + b, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
