#!/usr/bin/env python3
"""How much shape inference finds out when every input dim is a symbol, beside ONNX Runtime's and onnx's own.

    check_shapes.py [--tool build/onnxtool] [--kinds KIND,...] [--only GLOB] [--zoo DIR] [--models DIR] [--no-run] [-v]

Of every model of the onnx package's backend tests, of the zoo (DIR with zoo.json, see make_zoo.py) and of a folder of
real models (model.onnx and test_data_set_N in folders; ../shared/models by default, when it is there) value_info and
the shapes of the outputs are stripped, and each dim of each input becomes a symbol of its own. Three inferences look
at that: `onnxtool inspect --infer-shapes`, onnxruntime.tools.symbolic_shape_infer (the better of merging and not
merging symbols by itself) and onnx.shape_inference. Counted over all values of the model and of its subgraphs:

    typed     values with a known element type and, if tensors, rank
    dims      dims that are a number or an expression over symbols of the inputs, and nothing else

Then the model runs on its inputs, and the sizes that its values have are compared with those expressions: main graph,
bodies of Loop and Scan in every iteration, branches of If that are taken. ONNX Runtime runs it where it can, else
onnxtool does. Small models also run on inputs of other sizes, those that they take: a guess that two dims are the same
comes out. A dim that is wrong in any run is not counted; if it is ours it is a contradiction.

One line a model, or a group of backend tests; then the models where ONNX Runtime's inference resolves more (-v: and
which values). Exit code 1 when there are any, when there is a contradiction, or a model that we cannot read. Needs
onnx, onnxruntime, sympy.
"""
import argparse
import collections
import concurrent.futures
import contextlib
import fnmatch
import glob
import io
import itertools
import json
import logging
import math
import multiprocessing
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import warnings
from fractions import Fraction

warnings.simplefilter("ignore")

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto as T
    from onnx import helper, numpy_helper, shape_inference
    from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference
except ImportError as e:
    sys.exit(f"shapes: {sys.executable} lacks a package ({e}); ONNXTOOL_PYTHON should name one that has them")

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import check_backend as backend  # noqa: E402
import check_zoo as zoo  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LARGE = 1 << 16  # bytes of a weight that no shape depends on
MOST_RUNS = 40  # of a model with sizes other than its own
PATIENCE = 60  # seconds for one inference or run
NAMES = ("onnxtool", "ort", "onnx")
DTYPES = {"float": T.FLOAT, "double": T.DOUBLE, "bool": T.BOOL, "string": T.STRING}


# Models where the other one's guess is right and cannot be derived: more of these is a failure.
GUESSED = {
    "test_loop11": "slices of a constant, by the number of the iteration, are taken to be as long as the state",
    "test_causal_conv_with_state*_expanded": "that total - k, where a slice begins, is not below 0 follows from a Conv",
}


class Subject:
    """A model to look at: where it is listed, and one set of inputs by name (None: not run)."""

    def __init__(self, group, name, load):
        self.group, self.name, self.load = group, name, load
        self.small = group not in ("light", "zoo", "models")


# ---- where models come from

def of_case(case, work):
    def load():
        folder = backend.folder_of(case, work)
        model = onnx.load(os.path.join(folder, "model.onnx"))
        return model, read_inputs(model, os.path.join(folder, "test_data_set_0"))
    return Subject(case.kind, case.name, load)


def read_inputs(model, folder):
    constants = {t.name for t in model.graph.initializer}
    infos = [v for v in model.graph.input if v.name not in constants] or list(model.graph.input)
    feeds = {}
    for i, info in enumerate(infos):
        path = os.path.join(folder, f"input_{i}.pb")
        if os.path.exists(path):
            feeds[info.name] = backend.read_value(path, info.type.WhichOneof("value"))
    return feeds


def of_zoo(folder, name, entry):
    def load():
        model = onnx.load(os.path.join(folder, name + ".onnx"))
        axes = zoo.axes(model)
        # Sizes that differ from each other and from those of the weights tell more than those of every day.
        sizes = {k: n for n, k in enumerate(sorted(zoo.sizes_of(entry, axes)), 5)}
        sizes["batch"] = 2
        for dims in axes.values():
            sizes.update({d: 64 for d in dims if isinstance(d, str) and d in ("height", "width")})
        return model, zoo.make_inputs(entry, axes, sizes, 0)
    return Subject("zoo", name, load)


def of_folder(path):
    def load():
        model = onnx.load(os.path.join(path, "model.onnx"))
        return model, read_inputs(model, os.path.join(path, "test_data_set_0"))
    return Subject("models", os.path.basename(path), load)


def subjects(args, work):
    for case in backend.collect(args.kinds.split(",")) if args.kinds else []:
        yield of_case(case, work)
    if args.zoo:
        with open(os.path.join(args.zoo, "zoo.json"), encoding="utf-8") as f:
            for name, entry in json.load(f).items():
                yield of_zoo(args.zoo, name, entry)
    for path in sorted(glob.glob(os.path.join(args.models, "*", "model.onnx"))):
        yield of_folder(os.path.dirname(path))


# ---- the stripped model

def graphs_of(node):
    for a in node.attribute:
        if a.type == onnx.AttributeProto.GRAPH:
            yield a.g
        yield from a.graphs


def fresh_name(name, used):
    n, new = 0, name
    while new in used:
        n += 1
        new = f"{name}.{n}"
    used.add(new)
    return new


def rename_nodes(nodes, names, used):
    for n in nodes:
        n.input[:] = [names.get(x, x) for x in n.input]
        for g in graphs_of(n):
            rename(g, names, used)
        for i, x in enumerate(n.output):
            if x:
                n.output[i] = names[x] = fresh_name(x, used)


def rename(graph, outer, used):
    """Gives the values of a subgraph names that nothing else in the model has."""
    names, mine = dict(outer), {}
    for v in [*graph.input, *graph.initializer, *(s.values for s in graph.sparse_initializer)]:
        if v.name not in mine:
            mine[v.name] = names[v.name] = fresh_name(v.name, used)
        v.name = mine[v.name]
    rename_nodes(graph.node, names, used)
    for v in graph.output:
        v.name = names.get(v.name, v.name)


def unique_names(model):
    graph = model.graph
    used = {x for n in graph.node for x in n.output}
    used |= {v.name for v in [*graph.input, *graph.initializer, *(s.values for s in graph.sparse_initializer)]}
    for n in graph.node:
        for g in graphs_of(n):
            rename(g, {}, used)
    for f in model.functions:
        names = {x: fresh_name(x, used) for x in f.input}
        rename_nodes(f.node, names, used)
        f.input[:] = [names[x] for x in f.input]
        f.output[:] = [names.get(x, x) for x in f.output]


def strip_shape(t):
    kind = t.WhichOneof("value")
    if kind in ("tensor_type", "sparse_tensor_type"):
        getattr(t, kind).ClearField("shape")
    elif kind in ("sequence_type", "optional_type"):
        strip_shape(getattr(t, kind).elem_type)


def strip(graph):
    del graph.value_info[:]
    for v in graph.output:
        strip_shape(v.type)
    for n in graph.node:
        for g in graphs_of(n):
            strip(g)
            # ONNX Runtime does not run a Loop whose count and condition are not declared scalars.
            for v in g.input[2 * (n.op_type == "Loop"):]:
                strip_shape(v.type)


def open_inputs(graph):
    """Every dim of every input becomes a symbol: {symbol: (input, axis)}."""
    symbols = {}
    constants = {t.name for t in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
    for i, v in enumerate(graph.input):
        if v.name in constants:
            continue
        if v.type.WhichOneof("value") != "tensor_type":
            strip_shape(v.type)
            continue
        for axis, d in enumerate(v.type.tensor_type.shape.dim):
            d.dim_param = f"s{i}_{axis}"
            symbols[d.dim_param] = (v.name, axis)
    return symbols


def light(model):
    """A copy without large weights: they have their type and dims, and no values."""
    small = onnx.ModelProto()
    heavy = []
    for t in model.graph.initializer:
        if len(t.raw_data) + 4 * (len(t.float_data) + len(t.int32_data)) + 8 * len(t.int64_data) > LARGE:
            heavy.append((t, t.raw_data))
            t.raw_data = b""
            del t.float_data[:], t.int32_data[:], t.int64_data[:]
    small.CopyFrom(model)
    for t, data in heavy:
        t.raw_data = data
    return small


def values_of(graph):
    for n in graph.node:
        yield from (x for x in n.output if x)
        for g in graphs_of(n):
            yield from values_of(g)


# ---- what is inferred: {value: (element type or None, [dim] or None)}; a dim is a number, a text or None

def split_dims(text):
    dims, depth = [""], 0
    for c in text:
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            dims.append("")
        else:
            dims[-1] += c
    return [int(d) if re.fullmatch(r"-?\d+", d) else d for d in dims] if text else []


def type_code(name):
    return DTYPES.get(name) or getattr(T, name.upper(), None)


def infer_ours(args, path):
    p = subprocess.run([args.tool, "inspect", "--infer-shapes", "--json", "-q", path], capture_output=True, text=True,
                       check=False, timeout=PATIENCE)
    try:
        rows = json.loads(p.stdout)["models"][0]["values"]
    except (ValueError, LookupError):
        rows = None
    if rows is None or p.returncode:
        return None, f"exit {p.returncode}: {p.stderr.strip()[:300]}"
    found = {}
    for row in rows:
        kind, _, dims = row["type"].partition("[")
        code = type_code(kind)
        if code is None:  # a sequence, or unknown
            found[row["name"]] = (None if row["type"][0] == "?" else row["type"], None)
        else:
            found[row["name"]] = (code, None if dims == "...]" else split_dims(dims[:-1]))
    return found, p.stderr.strip()


def of_protos(graph, found):
    for v in [*graph.value_info, *graph.output]:
        kind = v.type.WhichOneof("value")
        if kind != "tensor_type":
            if kind:
                found[v.name] = (kind, None)
            continue
        t = v.type.tensor_type
        dims = [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in t.shape.dim]
        old = found.get(v.name)
        if t.elem_type and (not old or old[1] is None or t.HasField("shape")):
            found[v.name] = (t.elem_type, dims if t.HasField("shape") else None)
    for n in graph.node:
        for g in graphs_of(n):
            of_protos(g, found)
    return found


def infer_ort(model, merge):
    """What its infer_shapes() does, but what was found before it gives up counts."""
    opset = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    if not opset or opset[0] < 7:
        return {}
    s = SymbolicShapeInference(2**31 - 1, merge, False, 0)
    try:
        s._preprocess(model)
        while s.run_:
            s._infer_impl()
        s._update_output_from_vi()
    except Exception:  # pylint: disable=broad-exception-caught
        pass
    return of_protos(s.out_mp_.graph, {})


def infer_onnx(model):
    try:
        return of_protos(shape_inference.infer_shapes(model, data_prop=True).graph, {})
    except Exception:  # pylint: disable=broad-exception-caught
        return {}


# ---- what happens

def probe(graph, kinds, result):
    """Gives graph a tensor with the sizes of every value: [(value, tensor)]. kinds is our inference."""
    made = []
    for n in list(graph.node):
        inner = []
        if n.domain in ("", "ai.onnx"):
            inner = {"If": probe_if, "Loop": probe_body, "Scan": probe_body}.get(n.op_type, lambda *_: [])(
                n, kinds, result)
        made += inner
        for x in n.output:
            kind = kinds.get(x, (None, None))[0]
            if x and x not in {t for _, t in inner} and isinstance(kind, int):
                sizes = f"sizes{len(result['made'])}"
                result["made"].add(sizes)
                graph.node.append(helper.make_node("Shape", [x], [sizes]))
                made.append((x, sizes))
    return made


def hand_out(graph, tensors):
    graph.output.extend(helper.make_tensor_value_info(t, T.INT64, None) for t in tensors)


def probe_if(n, kinds, result):
    """The branch that is not taken says -1 for all sizes of the other."""
    branches = {a.name: a.g for a in n.attribute if a.type == onnx.AttributeProto.GRAPH}
    if set(branches) != {"then_branch", "else_branch"}:
        return []
    made = []
    inner = {k: probe(g, kinds, result) for k, g in branches.items()}
    for name, g in branches.items():
        for value, sizes in inner[name]:
            other = branches["else_branch" if name == "then_branch" else "then_branch"]
            rank = len(kinds.get(value, (None, None))[1] or [0])
            out = sizes + ".out"
            g.node.append(helper.make_node("Identity", [sizes], [f"{out}.{name}"]))
            other.node.append(helper.make_node("Constant", [], [f"{out}.not.{name}"],
                                               value=numpy_helper.from_array(np.full(rank, -1, np.int64))))
            hand_out(g, [f"{out}.{name}"])
            hand_out(other, [f"{out}.not.{name}"])
            n.output.append(out)
            made.append((value, out))
    return made


def probe_body(n, kinds, result):
    """One more scan output for each: a row of sizes an iteration."""
    body = next((a.g for a in n.attribute if a.name == "body"), None)
    if body is None or (n.op_type == "Scan" and result["opset"] < 9):
        return []
    inner = probe(body, kinds, result)
    made = [(value, sizes + ".rows") for value, sizes in inner]
    for (value, sizes), (_, out) in zip(inner, made):
        hand_out(body, [sizes])
        n.output.append(out)
    for a in n.attribute:
        if a.name in ("scan_output_axes", "scan_output_directions"):
            a.ints.extend([0] * len(made))
    return made


def ort_session(path):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run_ort(session, outputs, feeds):
    feeds = {k: backend.ort_feed(ort, v) for k, v in feeds.items()}
    if any(isinstance(v, ort.OrtValue) for v in feeds.values()):
        feeds = {k: v if isinstance(v, ort.OrtValue) else ort.OrtValue.ortvalue_from_numpy(v)
                 for k, v in feeds.items()}
        return [v.numpy() for v in session.run_with_ort_values(outputs, feeds)]
    return session.run(outputs, feeds)


def run_ours(args, path, outputs, feeds, infos, work):
    with tempfile.TemporaryDirectory(dir=work) as folder:
        constants = [v for v in infos if v.name in feeds]
        for i, info in enumerate(constants):
            backend.write_value(os.path.join(folder, f"input_{i}.pb"), feeds[info.name], info)
        out = os.path.join(folder, "out")
        command = [args.tool, "run", path, "-q", "-O", "none", "--save", out + "/"]
        p = subprocess.run(command + (["--input", folder] if feeds else []), capture_output=True, text=True,
                           check=False, timeout=PATIENCE)
        if p.returncode:
            raise RuntimeError(p.stderr.strip()[:300])
        return [np.load(os.path.join(out, x + ".npy")) for x in outputs]


def resized(array, axis, size):
    old = array.shape[axis]
    if old == size:
        return array
    if old == 0:
        return np.zeros([size if i == axis else n for i, n in enumerate(array.shape)], array.dtype)
    return np.take(array, np.arange(size) % old, axis)


def bumped(feeds):
    """Small lists of numbers say something about sizes; another number may fit another size."""
    def bump(x):
        if not isinstance(x, np.ndarray) or x.ndim > 1 or not 0 < x.size <= 8 or x.dtype.kind != "i":
            return x
        y = x.copy()
        y.flat[0] += 1
        return y
    return {k: bump(v) for k, v in feeds.items()}


def variations(symbols, feeds):
    """Inputs of other sizes: one symbol changed, or all of one size. Many models do not take most of them."""
    sizes = {s: feeds[name].shape[axis] for s, (name, axis) in symbols.items()}
    groups = [[s] for s in symbols]
    for n in set(sizes.values()):
        group = [s for s in symbols if sizes[s] == n]
        groups += [group] if len(group) > 1 else []
    for group in groups:
        for size in sorted({1, sizes[group[0]] + 1} - {sizes[group[0]]}):
            new = dict(feeds)
            for s in group:
                name, axis = symbols[s]
                new[name] = resized(new[name], axis, size)
            for inputs in (new, bumped(new)):
                yield {s: inputs[name].shape[axis] for s, (name, axis) in symbols.items()}, inputs


def rows_of(made, got):
    seen = {}
    for (value, _), rows in zip(made, got):
        rows = np.asarray(rows)
        rows = rows.reshape(-1, rows.shape[-1]) if rows.size else np.zeros((int(rows.ndim == 1), 0), int)
        taken = {tuple(int(x) for x in r) for r in rows if not len(r) or r[0] >= 0}
        if taken:
            seen[value] = taken
    return seen


def observe(args, model, ours, symbols, feeds, work, surprise):
    """([(sizes of the symbols, {value: {its dims}})], why not). surprise: whether a run contradicts an inference, None to
    run once."""
    opset = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    if not opset:
        model.opset_import.append(helper.make_opsetid("", 13))
    result = {"made": set(), "opset": opset[0] if opset else 13}
    made = probe(model.graph, ours, result)
    tensors = [t for _, t in made]
    if not tensors:
        return [], ""
    hand_out(model.graph, tensors)
    path = os.path.join(work, f"probe{os.getpid()}.onnx")

    def ours_too(inputs):
        return rows_of(made, run_ours(args, path, tensors, inputs, model.graph.input, work))

    try:
        onnx.save(model, path)
        return runs(path, tensors, made, symbols, feeds, ours_too, surprise)
    finally:
        if os.path.exists(path):
            os.remove(path)


def runs(path, tensors, made, symbols, feeds, ours_too, surprise):
    """The kernels of ONNX Runtime let inputs pass that the standard forbids (labels for other samples than the scores):
    of those of other sizes, what would surprise somebody counts only when onnxtool agrees."""
    own = {s: feeds[name].shape[axis] for s, (name, axis) in symbols.items()}
    try:
        session = ort_session(path)
        seen = [(own, rows_of(made, run_ort(session, tensors, feeds)))]
    except Exception as e:  # pylint: disable=broad-exception-caught
        why, session = str(e).replace("\n", " ")[:200], None
        try:
            seen = [(own, ours_too(feeds))]
        except Exception as e2:  # pylint: disable=broad-exception-caught
            return [], why + " | " + str(e2).replace("\n", " ")[:200]
    for sizes, inputs in itertools.islice(variations(symbols, feeds), MOST_RUNS) if surprise else ():
        try:
            rows = rows_of(made, run_ort(session, tensors, inputs)) if session else ours_too(inputs)
            if not session or not surprise((sizes, rows)) or ours_too(inputs) == rows:
                seen.append((sizes, rows))
        except Exception:  # pylint: disable=broad-exception-caught
            pass
    return seen, ""


# ---- comparing

def broadcast(*dims):
    """What dims of one axis give; those that do not fit give nothing."""
    rest = {d for d in dims if d != 1}
    return rest.pop() if len(rest) == 1 else None if rest else Fraction(1)


FUNCTIONS = {"F": Fraction, "floor": math.floor, "ceiling": math.ceil, "min": min, "max": max, "Min": min, "Max": max,
             "Mod": lambda a, b: a % b, "broadcast": broadcast}


def evaluate(dim, sizes):
    """The number that a dim stands for; None when it is over other things than the inputs' symbols."""
    if dim is None or isinstance(dim, int):
        return dim
    words = set(re.findall(r"[^\W\d][\w.]*|\?\d*", dim)) - {""}
    if not words - set(FUNCTIONS) <= set(sizes):
        return None
    text = re.sub(r"(?<![\w.])(\d+)\b", r"F(\1)", dim)
    try:
        return eval(text, {"__builtins__": {}, **FUNCTIONS,  # pylint: disable=eval-used
                           **{k: Fraction(v) for k, v in sizes.items()}})
    except Exception:  # pylint: disable=broad-exception-caught
        return None


def wrong(shape, seen, name):
    """{axis or None for the rank: what is seen} where a run contradicts."""
    bad = {}
    for sizes, rows in seen:
        for row in rows.get(name, ()):
            if len(row) != len(shape):
                bad.setdefault(None, f"it has {len(row)} dims")
                continue
            for axis, d in enumerate(shape):
                value = evaluate(d, sizes)
                if value is not None and value != row[axis]:
                    bad.setdefault(axis, f"it is {row[axis]} where {sizes}")
    return bad


def judge(found, names, symbols, seen):
    """(values typed, {value: [whether a dim is known]}, [(value, contradiction)])."""
    typed, dims, bad = 0, {}, []
    any_sizes = dict.fromkeys(symbols, 1)
    for name in names:
        kind, shape = found.get(name, (None, None))
        if kind is None or (isinstance(kind, int) and shape is None):
            continue
        if shape is None:
            typed += 1
            continue
        off = wrong(shape, seen, name)
        bad += [(name, f"{'rank' if a is None else f'dim {a}'} of {shape}, but {why}") for a, why in off.items()]
        if None in off:
            continue
        typed += 1
        dims[name] = [(isinstance(d, int) or evaluate(d, any_sizes) is not None) and a not in off
                      for a, d in enumerate(shape)]
    return typed, dims, bad


class Verdict:
    def __init__(self):
        self.typed, self.dims = dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 0)
        self.wrong = dict.fromkeys(NAMES, 0)
        self.values = self.all_dims = self.runs = 0
        self.bad, self.behind, self.broken, self.run = [], [], None, "not run"


def look(args, subject, work, vary):
    v = Verdict()
    model, feeds = subject.load()
    unique_names(model)
    strip(model.graph)
    symbols = open_inputs(model.graph)
    names = list(values_of(model.graph))
    path = os.path.join(work, f"model{os.getpid()}.onnx")
    onnx.save(model, path)
    ours, said = infer_ours(args, path)
    os.remove(path)
    if ours is None:
        v.broken = said
        return v
    small = light(model)
    theirs = [infer_ort(small, False), infer_ort(small, True)]
    third = infer_onnx(small)
    del small
    seen = []
    if args.run and all(getattr(feeds.get(name), "ndim", 0) > axis for name, axis in symbols.values()):
        def surprise(run):
            return any(wrong(shape, [run], n) for found in (ours, *theirs) for n in names
                       if (shape := found.get(n, (None, None))[1]) is not None)
        seen, v.run = observe(args, model, ours, symbols, feeds, work, surprise if vary and subject.small else None)
    results = {"onnxtool": judge(ours, names, symbols, seen), "onnx": judge(third, names, symbols, seen),
               "ort": max((judge(t, names, symbols, seen) for t in theirs),
                          key=lambda r: (sum(map(sum, r[1].values())), r[0]))}
    v.values, v.runs = len(names), len(seen)
    v.all_dims = sum(max(len(r[1].get(n, ())) for r in results.values()) for n in names)
    for who, (typed, dims, bad) in results.items():
        v.typed[who], v.dims[who], v.wrong[who] = typed, sum(map(sum, dims.values())), len(bad)
    v.bad = [f"{n}: {what}" for n, what in results["onnxtool"][2]]
    v.bad += [f"{n} has type {ours[n][0]}, onnx says {third[n][0]}" for n in names
              if isinstance(ours.get(n, (None,))[0], int) and isinstance(third.get(n, (None,))[0], int)
              and ours[n][0] != third[n][0]]
    for n in names:
        a, b = results["onnxtool"][1].get(n, []), results["ort"][1].get(n, [])
        known = {k: (t.get(n) or (None,))[0] for k, t in (("ours", ours), *enumerate(theirs))}
        if sum(b) > sum(a) or (known["ours"] is None and (known[0] or known[1])):
            v.behind.append(f"{n}: {ours.get(n)}, ORT: {[t.get(n) for t in theirs]}")
    return v


@contextlib.contextmanager
def patience():
    def late(*_):
        raise TimeoutError("takes too long")
    signal.signal(signal.SIGALRM, late)
    signal.alarm(10 * PATIENCE)
    yield
    signal.alarm(0)


# ---- all of them, each in a process that may die

def serve(pipe, args, todo, work):
    logging.disable(logging.CRITICAL)
    ort.set_default_logger_severity(4)
    os.environ["ALLOW_RELEASED_ONNX_OPSET_ONLY"] = "0"
    while True:
        i, vary = pipe.recv()
        try:
            with patience(), contextlib.redirect_stdout(io.StringIO()):
                verdict = look(args, todo[i], work, vary)
        except Exception as e:  # pylint: disable=broad-exception-caught
            verdict = Verdict()
            verdict.broken = f"{type(e).__name__}: {e}"[:300]
        pipe.send(verdict)


class Worker:
    def __init__(self, args, todo, work):
        self.given, self.child = (args, todo, work), None

    def ask(self, i, vary=True):
        if not self.child:
            self.pipe, theirs = multiprocessing.Pipe()
            self.child = multiprocessing.Process(target=serve, args=(theirs, *self.given), daemon=True)
            self.child.start()
            theirs.close()
        self.pipe.send((i, vary))
        try:
            return self.pipe.recv()
        except EOFError:
            self.child.join()
            self.child = None
        if vary:  # sizes that do not fit are too much for some kernels
            return self.ask(i, False)
        verdict = Verdict()
        verdict.broken = "the Python process died"
        return verdict


def verdicts(args, todo, work):
    """In the order of todo."""
    idle = queue.Queue()
    for _ in range(args.jobs):
        idle.put(Worker(args, todo, work))

    def one(i):
        worker = idle.get()
        try:
            return worker.ask(i)
        finally:
            idle.put(worker)

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        yield from pool.map(one, range(len(todo)))


# ---- tables

class Row:
    def __init__(self):
        self.models = self.values = self.all_dims = self.run = self.runs = 0
        self.typed, self.dims, self.wrong = collections.Counter(), collections.Counter(), collections.Counter()

    def add(self, v):
        self.models += 1
        self.values += v.values
        self.all_dims += v.all_dims
        self.run += v.runs > 0
        self.runs += v.runs
        self.typed.update(v.typed)
        self.dims.update(v.dims)
        self.wrong.update(v.wrong)


HEAD = (f"{'':26} {'models':>6} {'run':>5} {'runs':>6} {'values':>7} | {'typed':>7} {'ort':>7} {'onnx':>7} | "
        f"{'dims':>7} {'ort':>7} {'onnx':>7} {'of':>7} | {'wrong':>5} {'ort':>5} {'onnx':>5}")


def line(name, r):
    def three(c):
        return " ".join(f"{c[n]:7}" for n in NAMES)
    return (f"{name:26} {r.models:6} {r.run:5} {r.runs:6} {r.values:7} | {three(r.typed)} | {three(r.dims)} {r.all_dims:7} | "
            + " ".join(f"{r.wrong[n]:5}" for n in NAMES))


def report(args, results):
    rows, total = {}, Row()
    for s, v in results:
        rows.setdefault(s.name if s.group in ("zoo", "models") else s.group, Row()).add(v)
        total.add(v)
    print(f"onnx {onnx.__version__}, ONNX Runtime {ort.__version__}, {args.tool}")
    print(HEAD)
    for name, r in rows.items():
        print(line(name, r))
    print(line("all", total))
    failed = 0
    for s, v in results:
        behind = v.dims["onnxtool"] < v.dims["ort"] or v.typed["onnxtool"] < v.typed["ort"]
        why = next((w for glob_, w in GUESSED.items() if fnmatch.fnmatch(s.name, glob_)), None)
        if behind and why:
            print(f"guessed {s.name}: {why}")
            behind = False
        failed += bool(behind or v.bad or v.broken)
        if v.broken:
            print(f"FAIL {s.name}: {v.broken}")
        if behind:
            print(f"FAIL {s.name}: {v.dims['onnxtool']} dims and {v.typed['onnxtool']} types, "
                  f"ONNX Runtime {v.dims['ort']} and {v.typed['ort']}")
        for text in v.bad[:5]:
            print(f"FAIL {s.name}: contradiction: {text}")
        if args.verbose:
            for text in v.behind[:10]:
                print(f"  {s.name}: {text}")
            if v.run and not v.broken:
                print(f"  {s.name}: not run: {v.run}")
    print(f"{len(results)} models, {failed} failed")
    return failed


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    ap.add_argument("--tool", default=os.path.join(ROOT, "build/onnxtool"))
    ap.add_argument("--kinds", default=",".join(backend.KINDS), help="of backend tests; empty for none")
    ap.add_argument("--only", default="*", help="GLOB of model names")
    ap.add_argument("--zoo", help="folder of scripts/make_zoo.py")
    ap.add_argument("--models", default=os.path.join(ROOT, "../shared/models"), help="folder of real models")
    ap.add_argument("--no-run", dest="run", action="store_false", help="do not compare with what happens")
    ap.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    ap.add_argument("-v", "--verbose", action="store_true")
    args = ap.parse_args()
    with tempfile.TemporaryDirectory() as work:
        todo = [s for s in subjects(args, work) if fnmatch.fnmatch(s.name, args.only)]
        if not todo:
            sys.exit(f"shapes: no model is called {args.only}")
        results = list(zip(todo, verdicts(args, todo, work)))
    return 1 if report(args, results) else 0


if __name__ == "__main__":
    sys.exit(main())
