#!/usr/bin/env python3
"""Run seeded cases of every operator version and element type, and compare with ONNX Runtime or the onnx package.

    check_properties.py [--tool build/onnxtool] [--only GLOB] [--types T,...] [--cases N] [--seed N] [--jobs N] [-v]
                        [--optimize LEVEL] [--store FILE]

A row is an operator version and one type of its first operand: Add-14 of float. It has N cases (20), made by
property_cases.py from the schema: one plain, one with an empty tensor, one with a scalar, one that broadcasts, the rest
drawn; every attribute is off its default in one of them at least. All cases of a row are nodes of one model, which runs
once in ONNX Runtime and once here.

ONNX Runtime decides, then the onnx package's reference evaluator where ONNX Runtime does not take the type or where the
two of us disagree (counted as disputed; comments say where one of them is known to be wrong). Types that
neither takes are worked out in the next larger type that one of them takes, and rounded.

The exit code is 1 when an answer differs; when a row has fewer than N cases or lacks one of the kinds named above, and is
not in tests/node/short_rows.txt with a reason, or is there and need not; or when an operator has neither a generator nor a
reason in property_cases.py. Both lists may only shrink. --store writes what `make check` runs
of it, tests/unit/test_nodes.c: a few cases of every version.

Needs numpy, onnx and onnxruntime.
"""
import argparse
import collections
import concurrent.futures
import fnmatch
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
import zlib

import ml_dtypes  # noqa: F401 (numpy learns its types)
import numpy as np
import onnx
import onnx.reference
import onnx.version_converter
import onnxruntime as ort
import property_cases as pc
from onnx import TensorProto, defs, helper, numpy_helper

warnings.simplefilter("ignore")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHORT = os.path.join(ROOT, "tests", "node", "short_rows.txt")
NATIVE = {"float", "double", "float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool", "string"}
WIDER = {"float16": "float", "bfloat16": "float", "float8e4m3fn": "float", "float8e4m3fnuz": "float", "float8e5m2": "float",
         "float8e5m2fnuz": "float", "float4e2m1": "float", "float8e8m0": "float", "float6e2m3": "float", "float6e3m2": "float",
         "int8": "int32", "int16": "int32", "uint8": "int32", "uint16": "int32", "int4": "int32", "uint4": "int32", "int2": "int32",
         "uint2": "int32", "uint32": "int64", "uint64": "int64", "int32": "int64", "double": "float", "bool": "uint8", "int64": "float"}
EXACT = {"Div", "Mod", "Pow", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot"}  # of integers, in no float
# Relative and absolute tolerance by element type of the result.
CLOSE = {"float": (1e-4, 2e-5), "double": (1e-6, 1e-7), "float16": (4e-3, 4e-3), "bfloat16": (3e-2, 3e-2), "complex64": (1e-4, 1e-5),
         "complex128": (1e-6, 1e-7)}
ROUGH = {"float8e4m3fn": 0.13, "float8e4m3fnuz": 0.13, "float8e5m2": 0.26, "float8e5m2fnuz": 0.26, "float4e2m1": 0.5,
         "float6e2m3": 0.13, "float6e3m2": 0.26, "float8e8m0": 1.0}
LONGEST = 60  # seconds a row
# Results that round to a step: one step either way.
# Integers that are made of fractions, where nothing says which way they round, too.
STEPS = {"Resize", "Upsample", "GridSample", "ReduceLogSum", "ReduceLogSumExp", "ReduceL2", "ReduceMean", "Mean", "AveragePool",
         "QuantizeLinear", "QLinearMatMul", "QLinearConv", "DynamicQuantizeLinear"}
# Attributes that no case sets off their default, and why.
FIXED = {"consumed_inputs": "no effect", "spatial": "ONNX Runtime has the default only", "ignore_index": "no generator",
         "activations": "conformance cases", "activation_alpha": "conformance cases", "activation_beta": "conformance cases",
         "layout": "conformance cases", "output_shape": "conformance cases", "training_mode": "random or running statistics",
         "output_sequence": "set always, its default has no output", "is_test": "set always, the default is training",
         "stash_type": "precision of the inner computation", "round_mode": "float8e8m0 has no generator",
         "block_size": "conformance cases", "precision": "precision of the inner computation", "output_dtype": "conformance cases",
         "saturate": "types of 8 bits only", "cubic_coeff_a": "conformance cases", "exclude_outside": "conformance cases",
         "extrapolation_value": "conformance cases", "antialias": "conformance cases", "keep_aspect_ratio_policy": "conformance cases",
         "sorted": "0 leaves the order open", "cats_strings": "of strings only", "replaced_value_int64": "of integers only",
         "imputed_value_int64s": "of integers only", "axes": "set in most cases, or an input", "softmax_precision": "precision of the inner computation", "seed": "random", "tiles": "version 1",
         "momentum": "running statistics", "replaced_value_float": "of floats only", "imputed_value_floats": "of floats only",
         "cats_int64s": "of numbers only"}


def schemas(pattern):
    for s in sorted(defs.get_all_schemas_with_history(), key=lambda s: (s.domain, s.name, s.since_version)):
        if not s.deprecated and fnmatch.fnmatch(s.name, pattern):
            yield s


def key_of(schema):
    return ("ml." if schema.domain == "ai.onnx.ml" else "") + schema.name


def types_of(schema):
    params = list(schema.inputs) or list(schema.outputs)
    constraints = {t.type_param_str: t.allowed_type_strs for t in schema.type_constraints}
    allowed = constraints.get(params[0].type_str, [params[0].type_str])
    return sorted(t[7:-1] for t in allowed if t.startswith("tensor("))


# ---- one row as a model

class Case:
    def __init__(self, made):
        self.inputs, self.attrs = made[0], made[1]
        self.nout = made[2] if len(made) > 2 else 1
        while self.inputs and self.inputs[-1] is None:
            self.inputs.pop()
        self.inputs = [None if x is None else np.asarray(x) for x in self.inputs]

    def kinds(self, outputs):
        arrays = [x for x in [*self.inputs, *outputs] if x is not None]
        found = set(f"attr {a}" for a in self.attrs)
        if any(x.size == 0 for x in arrays):
            found.add("empty")
        if any(x.ndim == 0 for x in arrays):
            found.add("scalar")
        if len({x.shape for x in self.inputs if x is not None}) > 1:
            found.add("broadcast")
        return found


def make_cases(row, seed, count):
    cases = []
    make = pc.GENERATORS[key_of(row.schema)][0]
    base = zlib.crc32(f"{row.schema.domain} {row.schema.name} {row.v} {row.T}".encode())
    for i in range(count):
        row.start(i, [seed, base, i])
        cases.append(Case(make(row)))
    return cases


def elem(x):
    return TensorProto.STRING if x.dtype == object else helper.np_dtype_to_tensor_dtype(x.dtype)


def proto(x, name):
    if x.dtype == object:
        return helper.make_tensor(name, TensorProto.STRING, x.shape, [str(s).encode() for s in x.reshape(-1)])
    return numpy_helper.from_array(np.asarray(x), name)


def is_const(k, i):
    """What is a shape, an axis or a bound comes as an initializer in every other case."""
    return i > 0 and k % 2 == 1


def build(schema, cases, numbers):
    nodes, inputs, outputs, inits, feeds = [], [], [], [], {}
    for k in numbers:
        c, names = cases[k], []
        for i, x in enumerate(c.inputs):
            name = f"c{k}_{i}" if x is not None else ""
            names.append(name)
            if x is None:
                continue
            if is_const(k, i):
                inits.append(proto(x, name))
            else:
                inputs.append(helper.make_tensor_value_info(name, elem(x), [f"{name}_{a}" for a in range(x.ndim)]))
                feeds[name] = x
        outs = [f"o{k}_{o}" for o in range(c.nout)]
        outputs += [helper.make_empty_tensor_value_info(o) for o in outs]
        nodes.append(helper.make_node(schema.name, names, outs, f"n{k}", domain=schema.domain, **c.attrs))
    graph = helper.make_graph(nodes, "g", inputs, outputs, inits)
    opsets = [helper.make_opsetid(schema.domain, schema.since_version)]
    if schema.domain:
        opsets.append(helper.make_opsetid("", 17))
    new = schema.since_version >= 21 and not schema.domain
    return helper.make_model(graph, opset_imports=opsets, ir_version=13 if new else 8), feeds


# ---- what is right

def ort_session(model):
    o = ort.SessionOptions()
    o.log_severity_level = 4
    o.intra_op_num_threads = 1
    o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), o, providers=["CPUExecutionProvider"])


def by_ort(schema, cases, numbers):
    """{case: [outputs]} of those that ONNX Runtime runs."""
    model, feeds = build(schema, cases, numbers)
    try:
        if model.ir_version > 12:
            model.ir_version = 12
        s = ort_session(model)
        got = dict(zip([o.name for o in s.get_outputs()], s.run(None, feeds)))
        return {k: [np.asarray(got[f"o{k}_{o}"]) for o in range(cases[k].nout)] for k in numbers}
    except Exception as e:
        text = str(e)
        if len(numbers) == 1 or "NOT_IMPLEMENTED" in text or "invalid. " in text or "Unsupported type" in text or "opset" in text:
            return {}
        found = {}
        for k in numbers:
            found.update(by_ort(schema, cases, [k]))
        return found


def set_right(schema, o, y, inputs):
    """What the evaluator gets wrong beside the values: the type where it is fixed, and text that nobody gave."""
    fixed = schema.outputs[min(o, len(schema.outputs) - 1)].type_str
    if fixed == "tensor(float)":
        return y.astype("f4")
    if schema.name in ("Pad", "Trilu") and y.dtype.kind in "OU":
        return np.array(["" if str(t) == "0" else t for t in y.reshape(-1)], object).reshape(y.shape)
    first = schema.inputs[0] if schema.inputs else None
    if first is not None and inputs and inputs[0] is not None and fixed == first.type_str and y.dtype.kind in "iu":
        return y.astype(inputs[0].dtype)
    return y


def reduced_shape(schema, c):
    """The shape that a reduction has, by the definition; None for other operators."""
    axes = c.attrs.get("axes")
    if len(c.inputs) > 1 and c.inputs[1] is not None:
        axes = c.inputs[1].tolist()
    if not schema.name.startswith("Reduce") or not axes:
        return None
    return np.sum(np.zeros(c.inputs[0].shape), axis=tuple(axes), keepdims=bool(c.attrs.get("keepdims", 1))).shape


def by_evaluator(schema, cases, numbers):
    found = {}
    if "broadcast" in schema.attributes or schema.name == "PRelu" and schema.since_version < 7:
        return found  # it takes no notice of `axis`, which the specification has
    if schema.name == "Unsqueeze":  # it inserts negative axes one after the other, not counted in the result
        numbers = [k for k in numbers if all(a >= 0 for a in cases[k].attrs.get("axes", []))]
    if schema.name == "Unique":  # it sorts where it should not
        numbers = [k for k in numbers if cases[k].attrs.get("sorted", 1)]
    for k in numbers:
        model, feeds = build(schema, cases, [k])
        try:
            s = onnx.reference.ReferenceEvaluator(model)
            found[k] = [set_right(schema, o, np.asarray(y), cases[k].inputs) for o, y in enumerate(s.run(None, feeds))]
        except Exception:
            continue
    return found


def by_newer(schema, cases, numbers):
    """Versions from before ONNX Runtime, converted by the onnx package."""
    found = {}
    if schema.domain or schema.since_version > 8:
        return found
    for k in numbers:
        model, feeds = build(schema, cases, [k])
        for v in model.graph.input:
            v.CopyFrom(helper.make_tensor_value_info(v.name, elem(feeds[v.name]), feeds[v.name].shape))
        try:
            s = ort_session(onnx.version_converter.convert_version(model, 13))
            found[k] = [np.asarray(y) for y in s.run(None, feeds)]
        except Exception:
            continue
    return found


def over_axes(c, at):
    """Operand number 1 with axes of one behind it, where it lay over the axes of operand 0 from `at` on."""
    a, b = c.inputs[0], c.inputs[1]
    return b.reshape(*b.shape, *[1] * (a.ndim - at - b.ndim)) if b.ndim and at + b.ndim <= a.ndim else b


def equivalent(schema, c):
    """(another version of the operator, the case as it has to be there), where the specification says they are equal."""
    name, v, attrs, ins = schema.name, schema.since_version, dict(c.attrs), list(c.inputs)
    to = None
    if "broadcast" in schema.attributes:
        if attrs.pop("broadcast", 0) and len(ins) > 1:
            at = attrs.pop("axis", None)
            if at is None:
                at = ins[0].ndim - c.inputs[1].ndim
            if name == "Gemm":
                at = ins[0].ndim
            elif at + ins[1].ndim <= ins[0].ndim:
                ins[1] = over_axes(c, at)
        to = 13
    elif name == "PRelu" and v < 7:
        to, ins[1] = 9, over_axes(c, 1) if ins[1].size != 1 else ins[1]
    elif name == "Upsample" and v == 1:
        ins.append(np.array([1, 1, attrs.pop("height_scale"), attrs.pop("width_scale")], np.float32))
        if attrs.get("mode") == "bilinear":
            attrs["mode"] = "linear"
        to = 9
    elif name == "Pad" and v == 1:
        attrs["pads"] = attrs.pop("paddings")
        to = 2
    elif name == "Split" and v == 1:
        to = 2
    elif name == "Cast" and v < 6:
        attrs["to"] = TensorProto.DataType.Value(attrs["to"])
        to = 9
    elif name in ("RNN", "LSTM", "GRU") and v < 7:
        attrs.pop("output_sequence", None)
        to = 7
    elif name == "GlobalLpPool" and v == 1:
        attrs["p"] = int(attrs.get("p", 2.0))
        to = 2
    elif name == "Dropout" and v < 7:
        attrs.pop("is_test", None)
        to = 7
    elif name == "Tile" and v == 1:
        repeats = np.ones(ins[0].ndim, np.int64)
        repeats[int(ins[2])] = int(ins[1])
        ins, to = [ins[0], repeats], 6
    if to:
        return defs.get_schema(name, to, schema.domain), Case((ins, attrs, c.nout))
    return None


def by_other_version(schema, cases, numbers):
    """As an equal case of another version, or as the version before of the same signature, which took fewer types."""
    found = {}
    for k in numbers:
        other = equivalent(schema, cases[k])
        if other:
            found.update({k: y for y in by_ort(other[0], [other[1]], [0]).values()})
    older = schema
    while len(found) < len(numbers) and not schema.domain and older.since_version > 7:
        older = defs.get_schema(schema.name, older.since_version - 1) if older.since_version > 1 \
            and min(s.since_version for s in schemas(schema.name)) < older.since_version else None
        if older is None or sorted(older.attributes) != sorted(schema.attributes) or len(older.inputs) != len(schema.inputs):
            break
        found.update(by_ort(older, cases, [k for k in numbers if k not in found]))
    return found


def widened(schema, dtype, cases, numbers):
    """Worked out in a larger type, and rounded to the row's."""
    wide, t = WIDER.get(dtype), pc.np_type(dtype)
    if schema.name in EXACT and dtype == "int64":
        return {}
    while wide and not any(f"tensor({wide})" in c.allowed_type_strs for c in schema.type_constraints):
        wide = WIDER.get(wide)
    if not wide or schema.name.startswith(("QLinear", "DynamicQ")) or schema.name.endswith("Integer") or schema.name in (
            "EyeLike", "Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "BitCast", "BitwiseNot", "BitShift"):
        return {}
    own = [o.type_str == schema.inputs[0].type_str for o in schema.outputs] if schema.inputs else []
    w = pc.np_type(wide)
    big = list(cases)
    for k in numbers:
        big[k] = Case(([x.astype(w) if x is not None and x.dtype == t else x for x in cases[k].inputs], dict(cases[k].attrs), cases[k].nout))
    found = by_ort(schema, big, numbers)
    found.update(by_other_version(schema, big, [k for k in numbers if k not in found]))
    found.update(by_newer(schema, big, [k for k in numbers if k not in found]))
    rest = [k for k in numbers if k not in found]
    found.update(by_evaluator(schema, big, rest) if rest else {})
    with np.errstate(all="ignore"):
        return {k: [y.astype(t) if y.dtype == w and own[min(o, len(own) - 1)] else y for o, y in enumerate(ys)]
                for k, ys in found.items()}


def truths(schema, dtype, cases):
    """{case: [(who, outputs)]}, the better word first."""
    numbers, said = list(range(len(cases))), collections.defaultdict(list)

    def note(who, found):
        for k, ys in found.items():
            shape = reduced_shape(schema, cases[k])
            if shape is None or ys[0].shape == shape:  # ONNX Runtime leaves empty tensors as they are
                said[k].append((who, ys))
    native = all(x is None or x.dtype == object or x.dtype.name in ("bool",) or x.dtype.kind in "fiu" and x.dtype.num < 24
                 for c in cases for x in c.inputs)
    if native:
        note("ort", by_ort(schema, cases, numbers))
    if any(k not in said for k in numbers):
        note("wide", widened(schema, dtype, cases, [k for k in numbers if k not in said]))
    if native and any(k not in said for k in numbers):
        note("other version", by_other_version(schema, cases, [k for k in numbers if k not in said]))
    if native and any(k not in said for k in numbers):
        note("converted", by_newer(schema, cases, [k for k in numbers if k not in said]))
    if any(k not in said for k in numbers):
        note("onnx", by_evaluator(schema, cases, [k for k in numbers if k not in said]))
    return said


# ---- what we say

def write_feeds(folder, feeds):
    os.makedirs(folder)
    for name, x in feeds.items():
        with open(os.path.join(folder, name + ".pb"), "wb") as f:
            f.write(proto(x, name).SerializeToString())


def read_outputs(folder):
    got = {}
    for name in os.listdir(folder):
        path, stem = os.path.join(folder, name), os.path.splitext(name)[0]
        if name.endswith(".npy"):
            got[stem] = np.load(path)
        else:
            t = onnx.TensorProto()
            with open(path, "rb") as f:
                t.ParseFromString(f.read())
            got[stem] = numpy_helper.to_array(t)
    return got


def ours(args, schema, cases, numbers, work):
    """({case: [outputs]}, {case: why not})."""
    model, feeds = build(schema, cases, numbers)
    path, fed, out = (os.path.join(work, n) for n in ("m.onnx", "in", "out"))
    for p in (fed, out):
        shutil.rmtree(p, ignore_errors=True)
    with open(path, "wb") as f:
        f.write(model.SerializeToString())
    cmd = [args.tool, "run", path, "--save", out, "-q", "-O", args.optimize]
    if feeds:
        write_feeds(fed, feeds)
        cmd += ["--input", fed]
    run = subprocess.run(cmd, capture_output=True, text=True, errors="replace")
    if run.returncode == 0:
        got = read_outputs(out)
        return {k: [got.get(f"o{k}_{o}") for o in range(cases[k].nout)] for k in numbers}, {}
    if len(numbers) == 1:
        return {}, {numbers[0]: f"exit {run.returncode}: {(run.stderr or run.stdout).strip()[-300:]}"}
    found, why = {}, {}
    for k in numbers:
        f, w = ours(args, schema, cases, [k], work)
        found.update(f), why.update(w)
    return found, why


def name_of(x):
    return "string" if x.dtype.kind in "OUS" else TensorProto.DataType.Name(helper.np_dtype_to_tensor_dtype(x.dtype)).lower()


def same(schema, a, b, as_type=None):
    """None, or how they differ."""
    if a is None:
        return "no output"
    if a.shape != b.shape:
        return f"shape {a.shape}, expected {b.shape}"
    ta, tb = name_of(a), name_of(b)
    if ta != tb:
        return f"type {ta}, expected {tb}"
    if ta == "string":
        text = [[s.decode() if isinstance(s, bytes) else str(s) for s in x.reshape(-1)] for x in (a, b)]
        return None if text[0] == text[1] else f"{text[0][:4]}, expected {text[1][:4]}"
    if a.size == 0:
        return None
    if ta in CLOSE or ta in ROUGH:
        kind = "c16" if ta.startswith("complex") else "f8"
        x, y = a.astype(kind), b.astype(kind)
        rtol, atol = CLOSE.get(as_type or ta) or CLOSE.get(ta) or (ROUGH[ta], ROUGH[ta] / 4)
        ok = np.isclose(x, y, rtol, atol * max(1.0, float(np.nanmax(np.abs(np.where(np.isfinite(y), y, 0))))), equal_nan=True)
    elif schema.name in STEPS:
        x, y = a.astype("i8"), b.astype("i8")
        ok = np.abs(x - y) <= 1
    else:
        x, y = a, b
        ok = x == y
    if np.all(ok):
        return None
    at = np.argwhere(~np.asarray(ok))[0]
    return f"at {tuple(int(i) for i in at)}: {x[tuple(at)]}, expected {y[tuple(at)]}"


def compare(schema, got, said):
    """(None or the difference to the first word, who agrees)."""
    first = None
    for who, ys in said:
        diff = next((d for d in (same(schema, a, b, "float" if who == "wide" and a is not None and a.dtype == "f8" else None)
                                  for a, b in zip(got, ys)) if d), None)
        if diff is None:
            return None, who
        first = first or f"{diff} ({who})"
    return first, None


def describe(c):
    shapes = ", ".join("-" if x is None else f"{name_of(x)}{list(x.shape)}" for x in c.inputs)
    return f"[{shapes}] {c.attrs}"


def in_child(job, pipe):
    try:
        r = check_row(job)
    except Exception as e:
        r = {"label": f"{job[2]}-{job[3]} {job[4]}", "error": f"{type(e).__name__} {e}"}
    pipe.send(r)
    pipe.close()
    os._exit(0)  # without what libraries do at the end


def run_row(job):
    """A row in a process of its own: what a runtime does to it stays there."""
    here, there = multiprocessing.Pipe(False)
    child = multiprocessing.Process(target=in_child, args=(job, there))
    child.start()
    there.close()
    try:
        result = here.recv() if here.poll(LONGEST) else None
    except EOFError:
        result = None
    if result is None:
        child.kill()
        result = {"label": f"{job[2]}-{job[3]} {job[4]}", "error": "crashed, or took too long"}
    child.join()
    return result


def check_row(job):
    args, domain, name, version, dtype = job
    schema = defs.get_schema(name, version, domain)
    row = pc.Row(schema, dtype)
    label = f"{key_of(schema)}-{version} {dtype}"
    try:
        cases = make_cases(row, args.seed, args.cases)
    except pc.Skip as e:
        return {"label": label, "skipped": str(e), "bad": [], "unsaid": [], "agreed": {}, "lacks": []}
    except Exception as e:
        return {"label": label, "error": f"generator: {type(e).__name__} {e}"}
    with tempfile.TemporaryDirectory() as work:
        said = truths(schema, dtype, cases)
        got, why = ours(args, schema, cases, list(range(len(cases))), work)
        bad, agreed, kinds, unsaid = [], collections.Counter(), set(), []
        stored = []
        for k, c in enumerate(cases):
            if k not in got:
                (bad if k in said and "exit 4:" not in why[k] else unsaid).append(f"case {k} {describe(c)}: {why[k]}")
                continue
            if k not in said:
                unsaid.append(f"case {k} {describe(c)}: nobody says what is right")
                continue
            diff, who = compare(schema, got[k], said[k])
            if diff and said[k][0][0] != "onnx":
                second = by_evaluator(schema, cases, [k]).get(k)
                if second is not None and compare(schema, got[k], [("onnx", second)])[0] is None:
                    diff, who = None, "disputed"
                    unsaid.append(f"case {k} {describe(c)}: disputed, {compare(schema, got[k], said[k])[0]}")
            if diff:
                bad.append(f"case {k} {describe(c)}: {diff}")
                continue
            agreed[who] += 1
            kinds |= c.kinds(got[k])
            stored.append((k, got[k] if who == "disputed" else next(ys for w, ys in said[k] if w == who)))
    never = {n if isinstance(n, str) else n[0] for n in pc.GENERATORS[key_of(schema)][1] if isinstance(n, str) or version < n[1]}
    lacks = [k for k in ("empty", "scalar", "broadcast") if k not in kinds and k not in never]
    lacks += [f"attribute {a}" for a in schema.attributes if f"attr {a}" not in kinds and a not in FIXED]
    return {"label": label, "bad": bad, "unsaid": unsaid, "agreed": dict(agreed), "lacks": lacks, "job": job[1:],
            "stored": pack(args, schema, cases, stored) if args.store else None}


# ---- a small part for `make check`

def pack(args, schema, cases, stored):
    """The smallest cases of the kinds that matter, as a case of nodes.bin."""
    small = [(k, ys) for k, ys in stored if sum(x.size for x in [*cases[k].inputs, *ys] if x is not None) <= 120]
    picked = [s for s in small if s[0] in (1, 2, 3)][:2] + [s for s in small if s[0] > 4][:2]
    if not picked:
        return None
    model, feeds = build(schema, cases, [k for k, _ in picked])
    outs = {f"o{k}_{o}": y for k, ys in picked for o, y in enumerate(ys)}
    for v in model.graph.output:
        v.type.tensor_type.elem_type = elem(outs[v.name])
    files = [("model.onnx", model.SerializeToString())]
    files += [(f"input_{i}.pb", proto(x, n).SerializeToString()) for i, (n, x) in enumerate(feeds.items())]
    files += [(f"output_{i}.pb", proto(outs[v.name], v.name).SerializeToString()) for i, v in enumerate(model.graph.output)]
    kinds = [name_of(y) for y in outs.values()]
    if len(files) > 60 or schema.name in STEPS:
        return None
    rtol = max([CLOSE[t][0] if t in CLOSE else ROUGH.get(t, 0) for t in kinds])
    atol = max([CLOSE[t][1] * 8 if t in CLOSE else ROUGH.get(t, 0) for t in kinds])
    return rtol, atol, files


def store(path, results):
    blob, count, seen = bytearray(), 0, collections.Counter()
    for r in sorted((r for r in results if r.get("stored") and not r["bad"]), key=lambda r: r["label"]):
        domain, name, version, dtype = r["job"]
        seen[domain, name, version] += 1
        if seen[domain, name, version] > 3:  # types of one version share their code
            continue
        rtol, atol, files = r["stored"]
        blob += f"case property_{name}-{version}_{dtype} {rtol:g} {atol:g}\n".encode()
        for n, d in files:
            blob += f"file {n} {len(d)}\n".encode() + d
        count += 1
    with zipfile.ZipFile(path, "w") as z:
        z.writestr(zipfile.ZipInfo("nodes.bin", (2026, 1, 1, 0, 0, 0)), bytes(blob), zipfile.ZIP_DEFLATED, 9)
    print(f"{path}: {count} models, {os.path.getsize(path)} bytes")


def known_short():
    """{row: reason} of SHORT: rows that have fewer cases, or lack a kind."""
    rows = {}
    with open(SHORT, encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                label, reason = line.rstrip("\n").split(": ", 1)
                rows[label] = reason
    return rows


def report(results, args):
    bad = short = 0
    known = known_short()
    full, total, skipped = 0, len(results), 0
    for r in results:
        if "error" in r:
            bad += 1
            print(f"{r['label']}: {r['error']}")
            continue
        if "skipped" in r:
            skipped += 1
            continue
        n = sum(r["agreed"].values())
        for line in r["bad"]:
            print(f"{r['label']}: {line}")
        for line in r["unsaid"] if args.verbose else []:
            print(f"{r['label']}: {line}")
        bad += bool(r["bad"])
        listed = known.get(r["label"])
        if n < args.cases or r["lacks"]:
            short += 1
            if not listed or args.verbose:
                bad += not listed
                print(f"{r['label']}: {n} cases" + (f", lacks {', '.join(r['lacks'])}" if r["lacks"] else ""))
        else:
            full += 1
            if listed and args.cases == 20:
                bad += 1
                print(f"{r['label']}: is full, take it off {os.path.relpath(SHORT, ROOT)}")
    cases = sum(sum(r.get("agreed", {}).values()) for r in results)
    who = collections.Counter()
    for r in results:
        who.update(r.get("agreed", {}))
    print(f"{cases} cases agree ({', '.join(f'{n} {w}' for w, n in who.most_common())}); {full} of {total} rows are full, "
          f"{short} fall short, {skipped} have no cases by nature, {bad} have answers that differ")
    return bad


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tool", default=os.path.join(ROOT, "build", "onnxtool"))
    p.add_argument("--only", default="*")
    p.add_argument("--types")
    p.add_argument("--rows", help="a file of rows, one a line, as tests/node/short_rows.txt: these only")
    p.add_argument("--cases", type=int, default=20)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--optimize", default="all")
    p.add_argument("--store")
    p.add_argument("-v", "--verbose", action="store_true")
    args = p.parse_args()
    reasons = {n for names in pc.NO_GENERATOR.values() for n in names.split()}
    jobs, rows, without = [], 0, set()
    for s in schemas(args.only):
        rows += len(types_of(s))
        if key_of(s) not in pc.GENERATORS:
            without.add(s.name)
            continue
        jobs += [(args, s.domain, s.name, s.since_version, t) for t in types_of(s) if not args.types or t in args.types.split(",")]
    if args.rows:
        with open(args.rows, encoding="utf-8") as f:
            named = {line.split(":")[0].strip() for line in f if not line.startswith("#")}
        jobs = [j for j in jobs if f"{'ml.' if j[1] == 'ai.onnx.ml' else ''}{j[2]}-{j[3]} {j[4]}" in named]
    unexplained = sorted(without - reasons)
    if unexplained:
        print("no generator and no reason: " + " ".join(unexplained))
    results = []
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for r in pool.map(run_row, jobs):
            results.append(r)
            if args.verbose and len(results) % 50 == 0:
                print(f"{len(results)} of {len(jobs)} rows", file=sys.stderr, flush=True)
    results.sort(key=lambda r: r["label"])
    bad = report(results, args)
    print(f"{rows} rows in all, {len(jobs)} with a generator")
    if args.store:
        store(args.store, results)
    return bad > 0 or bool(unexplained)


if __name__ == "__main__":
    sys.exit(main())
