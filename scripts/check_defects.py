#!/usr/bin/env python3
"""How strict the checker is, measured against the ONNX project's own (onnx.checker in full mode).

Three questions, three tables:
  legal    models that onnx.checker accepts: does `onnxtool inspect --check` accept them all?
  defects  defects of many kinds, each planted into many legal models: is every one that onnx.checker rejects
           rejected here too, and does a finding name the planted place?
  misfits  node cases with one thing changed (a dim, rank or type of an input, an attribute, an input left out): is
           what onnx.checker rejects rejected here?

usage: scripts/check_defects.py [--tool build/onnxtool] [--bases N] [--cases N] [--legal PATH]... [--verbose]
Exit status 1 when a legal model is refused, or a defect that onnx.checker rejects is missed or misplaced.
Needs the Python package onnx; without it, exit status 77 (skipped).
"""
import argparse
import copy
import glob
import json
import multiprocessing
import os
import random
import re
import subprocess
import sys
import tempfile
import warnings

try:
    import onnx
    from onnx import TensorProto as T
    from onnx import helper as h
except ImportError:
    print("the Python package onnx is not there: skipped")
    sys.exit(77)

warnings.filterwarnings("ignore")
F = T.FLOAT


# ---- running the two checkers ----

def onnx_verdict(path):
    """None when onnx.checker accepts the file, else why not."""
    try:
        onnx.checker.check_model(path, full_check=True, skip_opset_compatibility_check=False,
                                 check_custom_domain=False)
    except Exception as e:  # noqa: BLE001 - whatever it raises is a rejection
        return str(e).replace("\n", " ")[:300] or type(e).__name__
    return None


def our_verdicts(tool, paths):
    """path -> (exit code alone or None, findings)."""
    out = {}
    for i in range(0, len(paths), 400):
        run = subprocess.run([tool, "inspect", "--check", "--json", *paths[i:i + 400]], capture_output=True)
        if run.returncode not in (0, 3):
            sys.exit(f"{tool} ended with {run.returncode}: {run.stderr.decode()[-500:]}")
        for m in json.loads(run.stdout)["models"]:
            out[m["model"]] = m
    return out


def rejected(m):
    return "error" in m or m.get("errors", 0) > 0


# ---- legal models ----

def node_cases(limit):
    import onnx.backend.test.case.node as node
    if hasattr(node, "collect_testcases"):
        try:
            cases = node.collect_testcases(None)
        except TypeError:
            cases = node.collect_testcases()
    else:
        cases = []
    cases = [c for c in cases if c.model is not None]
    if limit and len(cases) > limit:
        cases = random.Random(1).sample(cases, limit)
    return [(c.name, c.model) for c in cases]


def value(name, dims=(2, 3), t=F):
    return h.make_tensor_value_info(name, t, list(dims))


def model(nodes, ins, outs, inits=(), opset=18, ir=9, name="g", functions=(), extra=()):
    g = h.make_graph(nodes, name, ins, outs, initializer=list(inits))
    imports = [h.make_opsetid("", opset)] + list(extra)
    return h.make_model(g, opset_imports=imports, ir_version=ir, functions=list(functions))


def weight(name, dims, t=F, fill=0.5):
    n = 1
    for d in dims:
        n *= d
    return h.make_tensor(name, t, list(dims), [fill] * n)


def mlp(depth, act):
    nodes, inits, x = [], [], "x"
    for i in range(depth):
        inits += [weight(f"w{i}", (4, 4)), weight(f"b{i}", (4,))]
        nodes += [h.make_node("Gemm", [x, f"w{i}", f"b{i}"], [f"g{i}"], name=f"fc{i}", transB=1),
                  h.make_node(act, [f"g{i}"], [f"a{i}"], name=f"act{i}")]
        x = f"a{i}"
    return model(nodes, [value("x", (1, 4))], [value(x, (1, 4))], inits)


def cnn(depth, opset):
    nodes, inits, x = [], [], "x"
    for i in range(depth):
        inits += [weight(f"k{i}", (3, 3, 3, 3))]
        nodes += [h.make_node("Conv", [x, f"k{i}"], [f"c{i}"], name=f"conv{i}", pads=[1, 1, 1, 1]),
                  h.make_node("Relu", [f"c{i}"], [f"r{i}"], name=f"relu{i}"),
                  h.make_node("Add", [f"r{i}", x], [f"s{i}"], name=f"res{i}")]
        x = f"s{i}"
    nodes += [h.make_node("GlobalAveragePool", [x], ["p"], name="pool"),
              h.make_node("Flatten", ["p"], ["y"], name="flat", axis=1),
              h.make_node("Softmax", ["y"], ["prob"], name="soft", axis=1)]
    return model(nodes, [value("x", (1, 3, 8, 8))], [value("prob", (1, 3))], inits, opset)


def attention(heads):
    d = 4 * heads
    inits = [weight(n, (d, d)) for n in ("wq", "wk", "wv")]
    nodes = [h.make_node("MatMul", ["x", f"w{c}"], [c], name=f"proj_{c}") for c in "qkv"]
    nodes += [h.make_node("Transpose", ["k"], ["kt"], name="tr", perm=[0, 2, 1]),
              h.make_node("MatMul", ["q", "kt"], ["s"], name="score"),
              h.make_node("Softmax", ["s"], ["p"], name="soft", axis=-1),
              h.make_node("MatMul", ["p", "v"], ["o"], name="mix"),
              h.make_node("LayerNormalization", ["o", "ln"], ["y"], name="norm", axis=-1)]
    return model(nodes, [value("x", (1, 5, d))], [value("y", (1, 5, d))], inits + [weight("ln", (d,))])


def branches(op):
    def branch(name, kind):
        return h.make_graph([h.make_node(kind, ["x"], [f"{name}_y"], name=f"{name}_n")], name, [],
                            [value(f"{name}_y")])
    nodes = [h.make_node("If", ["c"], ["m"], name="choose", then_branch=branch("then", op),
                         else_branch=branch("else", "Neg")),
             h.make_node("Abs", ["m"], ["y"], name="last")]
    return model(nodes, [value("x"), value("c", (), T.BOOL)], [value("y")])


def loop(op):
    body = h.make_graph([h.make_node(op, ["v", "x"], ["v2"], name="step"),
                         h.make_node("Identity", ["cond"], ["cond2"], name="keep")], "body",
                        [value("i", (), T.INT64), value("cond", (), T.BOOL), value("v")],
                        [value("cond2", (), T.BOOL), value("v2")])
    nodes = [h.make_node("Loop", ["n", "", "x"], ["y"], name="repeat", body=body)]
    return model(nodes, [value("x")], [value("y")], [h.make_tensor("n", T.INT64, [], [3])])


def calls(op):
    f = h.make_function("my.ops", "Twice", ["a"], ["b"],
                        [h.make_node(op, ["a"], ["t"], name="in1"), h.make_node("Neg", ["t"], ["b"], name="in2")],
                        [h.make_opsetid("", 18)])
    nodes = [h.make_node("Twice", ["x"], ["m"], name="call1", domain="my.ops"),
             h.make_node("Twice", ["m"], ["y"], name="call2", domain="my.ops")]
    return model(nodes, [value("x")], [value("y")], functions=[f], extra=[h.make_opsetid("my.ops", 1)])


def shapes(k):
    nodes = [h.make_node("Reshape", ["x", "sh"], ["r"], name="reshape"),
             h.make_node("Concat", ["r", "r"], ["c"], name="cat", axis=0),
             h.make_node("Cast", ["c"], ["h"], name="half", to=T.FLOAT16),
             h.make_node("Cast", ["h"], ["f"], name="back", to=F),
             h.make_node("LeakyRelu", ["f"], ["y"], name="leak", alpha=0.1)]
    m = model(nodes, [value("x", (2, 3 * k))], [value("y", (6, 2 * k))],
              [h.make_tensor("sh", T.INT64, [2], [3, 2 * k])])
    m.graph.value_info.extend([value("r", (3, 2 * k)), value("c", (6, 2 * k))])
    return m


def made_bases():
    out = []
    for d in (1, 2, 4):
        for a in ("Relu", "Sigmoid", "Tanh"):
            out.append((f"mlp{d}_{a}", mlp(d, a)))
    for d in (1, 2, 3):
        for o in (13, 17, 21):
            out.append((f"cnn{d}_opset{o}", cnn(d, o)))
    out += [(f"attention{n}", attention(n)) for n in (1, 2, 3)]
    out += [(f"if_{o}", branches(o)) for o in ("Relu", "Exp", "Tanh")]
    out += [(f"loop_{o}", loop(o)) for o in ("Add", "Mul", "Sub")]
    out += [(f"func_{o}", calls(o)) for o in ("Relu", "Exp", "Abs")]
    out += [(f"shapes{k}", shapes(k)) for k in (1, 2, 3, 4)]
    return out


def file_bases(root):
    out = []
    for p in sorted(glob.glob(os.path.join(root, "testdata", "models", "*.onnx"))):
        if os.path.getsize(p) < 100000 and onnx_verdict(p) is None:
            out.append((os.path.basename(p)[:-5], onnx.load(p, load_external_data=False)))
    return out


# ---- defects: each changes the model and returns a word that a finding has to name, or a code where the
# planted thing has no name; None: not possible ----

DEFECTS = []


def defect(f):
    DEFECTS.append(f)
    return f


def std(m):
    return [n for n in m.graph.node if n.domain in ("", "ai.onnx") and n.output and n.output[0]]


def unary(m):
    return [n for n in std(m) if n.op_type in ("Relu", "Neg", "Abs", "Tanh", "Sigmoid", "Identity", "LeakyRelu",
                                               "Exp", "Softmax", "Flatten", "Transpose", "Cast")]


def some_init(m):
    for t in m.graph.initializer:
        if t.data_type == F and len(t.dims) and t.data_location != T.EXTERNAL and all(t.dims):
            return t
    return None


def add_init(m):
    m.graph.initializer.append(weight("planted", (2, 2)))
    if m.ir_version < 4:
        m.graph.input.append(value("planted", (2, 2)))
    return m.graph.initializer[-1]


def place(n):
    return n.name or n.output[0]


def tail(m, node):
    """A node at the end, whose output nobody needs."""
    m.graph.node.append(node)
    return place(node)


def float_value(m):
    for v in m.graph.input:
        if v.type.tensor_type.elem_type == F:
            return v.name
    for t in m.graph.initializer:
        if t.data_type == F:
            return t.name
    return None


def subgraphs(m):
    return [(n, a) for n in m.graph.node for a in n.attribute if a.type == onnx.AttributeProto.GRAPH]


@defect
def input_twice(m):
    if m.graph.input:
        m.graph.input.append(m.graph.input[0])
        return m.graph.input[0].name


@defect
def initializer_twice(m):
    t = add_init(m)
    m.graph.initializer.append(t)
    return "planted"


@defect
def output_defined_twice(m):
    n = next((n for n in std(m)), None)
    if n:
        m.graph.node.append(h.make_node("Identity", [n.output[0]], [n.output[0]], name="again"))
        return n.output[0]


@defect
def node_makes_input(m):
    if m.graph.input:
        m.graph.node.append(h.make_node("Identity", [m.graph.input[0].name], [m.graph.input[0].name], name="bad"))
        return m.graph.input[0].name


@defect
def node_makes_initializer(m):
    t = add_init(m)
    return tail(m, h.make_node("Identity", [t.name], [t.name], name="bad"))


@defect
def unknown_input(m):
    if std(m) and std(m)[0].input:
        std(m)[0].input[0] = "no_such_value"
        return "no_such_value"


@defect
def nodes_reversed(m):
    if len(m.graph.node) < 2 or not any(set(n.output) & set(m.graph.node[-1].input) for n in m.graph.node[:-1]):
        return None
    nodes = list(reversed(m.graph.node))
    del m.graph.node[:]
    m.graph.node.extend(nodes)
    return place(nodes[0])


@defect
def cycle(m):
    m.graph.node.extend([h.make_node("Neg", ["cyc_b"], ["cyc_a"], name="cyc1"),
                         h.make_node("Neg", ["cyc_a"], ["cyc_b"], name="cyc2")])
    return "cyc1"


@defect
def output_not_made(m):
    m.graph.output.append(value("never_made"))
    return "never_made"


@defect
def output_unnamed(m):
    m.graph.output.append(value(""))
    return "OT214"


@defect
def graph_unnamed(m):
    m.graph.name = ""
    return "OT201"


@defect
def input_unnamed(m):
    m.graph.input.append(value(""))
    return "OT214"


@defect
def initializer_unnamed(m):
    add_init(m).name = ""
    return "OT214"


@defect
def input_without_type(m):
    m.graph.input.append(onnx.ValueInfoProto(name="typeless"))
    return "typeless"


@defect
def input_without_shape(m):
    v = value("shapeless")
    v.type.tensor_type.ClearField("shape")
    m.graph.input.append(v)
    return "shapeless"


@defect
def output_without_shape(m):
    for o in m.graph.output:
        if o.type.HasField("tensor_type"):
            o.type.tensor_type.ClearField("shape")
            return o.name


@defect
def input_without_element_type(m):
    v = value("elemless")
    v.type.tensor_type.ClearField("elem_type")
    m.graph.input.append(v)
    return "elemless"


@defect
def value_info_of_other_type(m):
    n = next((n for n in unary(m) if n.op_type not in ("Cast",)), None)
    if n and not any(o.name == n.output[0] for o in m.graph.output):
        m.graph.value_info.append(value(n.output[0], (2, 3), T.STRING))
        return n.output[0]


@defect
def output_of_other_element_type(m):
    for o in m.graph.output:
        if o.type.tensor_type.elem_type == F:
            o.type.tensor_type.elem_type = T.INT32
            return o.name


@defect
def output_of_other_rank(m):
    for o in m.graph.output:
        if o.type.HasField("tensor_type") and len(o.type.tensor_type.shape.dim):
            o.type.tensor_type.shape.dim.add().dim_value = 7
            return o.name


@defect
def output_of_other_size(m):
    for o in m.graph.output:
        if o.type.HasField("tensor_type") and len(o.type.tensor_type.shape.dim) and \
                o.type.tensor_type.shape.dim[0].dim_value > 0:
            o.type.tensor_type.shape.dim[0].dim_value += 5
            return o.name


@defect
def operator_unknown(m):
    if std(m):
        std(m)[0].op_type = "NoSuchOperator"
        return place(std(m)[0])


@defect
def operator_too_new(m):
    v = float_value(m)
    if v and next((o.version for o in m.opset_import if o.domain in ("", "ai.onnx")), 99) < 20:
        return tail(m, h.make_node("Gelu", [v], ["too_new"], name="newer"))


@defect
def operator_missing(m):
    if std(m):
        std(m)[0].op_type = ""
        return place(std(m)[0])


@defect
def operator_deprecated(m):
    v = float_value(m)
    if v and next((o.version for o in m.opset_import if o.domain in ("", "ai.onnx")), 0) >= 10:
        return tail(m, h.make_node("Upsample", [v, v], ["gone"], name="deprecated"))


@defect
def domain_not_imported(m):
    v = float_value(m)
    if v:
        return tail(m, h.make_node("Thing", [v], ["thing"], name="foreign", domain="nobody.imports"))


@defect
def standard_opset_not_imported(m):
    for i, o in enumerate(m.opset_import):
        if o.domain in ("", "ai.onnx") and m.ir_version >= 3:
            del m.opset_import[i]
            return "OT302" if len(m.opset_import) else "OT103"


@defect
def no_imports(m):
    if m.ir_version >= 3:
        del m.opset_import[:]
        return "OT103"


@defect
def ir_version_missing(m):
    m.ClearField("ir_version")
    return "OT101"


@defect
def ir_version_too_new(m):
    m.ir_version = 999
    return "OT102"


@defect
def imports_in_old_ir(m):
    if len(m.opset_import):
        m.ir_version = 2
        return "OT104"


@defect
def initializer_no_input_in_old_ir(m):
    m.ir_version = 3
    m.graph.initializer.append(weight("planted", (2, 2)))
    return "planted"


@defect
def metadata_twice(m):
    for v in "12":
        m.metadata_props.add(key="twin", value=v)
    return "twin"


@defect
def too_many_inputs(m):
    n = next(iter(unary(m)), None)
    if n:
        n.input.extend([n.input[0]] * 3)
        return place(n)


@defect
def too_few_inputs(m):
    n = next((n for n in std(m) if n.op_type in ("Gemm", "Conv", "Add", "MatMul", "Mul", "Reshape")), None)
    if n:
        del n.input[1:]
        return place(n)


@defect
def required_input_left_out(m):
    n = next((n for n in std(m) if n.op_type in ("Gemm", "Conv", "Add", "MatMul", "Mul", "Reshape")), None)
    if n:
        n.input[0] = ""
        return place(n)


@defect
def too_many_outputs(m):
    n = next(iter(unary(m)), None)
    if n:
        n.output.extend(["surplus1", "surplus2"])
        return place(n)


@defect
def no_outputs(m):
    v = float_value(m)
    if v:
        m.graph.node.append(h.make_node("Relu", [v], [], name="mute"))
        return "mute"


@defect
def single_output_left_out(m):
    v = float_value(m)
    if v:
        m.graph.node.append(h.make_node("Relu", [v], [""], name="nameless_out"))
        return "nameless_out"


@defect
def node_without_ends(m):
    m.graph.node.append(h.make_node("Relu", [], [], name="lonely"))
    return "lonely"


@defect
def attribute_unknown(m):
    n = next(iter(std(m)), None)
    if n:
        n.attribute.append(h.make_attribute("no_such_attribute", 1))
        return "no_such_attribute"


@defect
def attribute_of_other_kind(m):
    for n in std(m):
        for a in n.attribute:
            if a.type == onnx.AttributeProto.INT:
                name = a.name
                a.CopyFrom(h.make_attribute(name, 1.5))
                return name


@defect
def attribute_twice(m):
    for n in std(m):
        if len(n.attribute):
            n.attribute.append(n.attribute[0])
            return n.attribute[0].name


@defect
def attribute_unnamed(m):
    for n in std(m):
        if len(n.attribute):
            n.attribute[0].name = ""
            return place(n)


@defect
def attribute_without_type(m):
    for n in std(m):
        if len(n.attribute):
            n.attribute[0].ClearField("type")
            return n.attribute[0].name


@defect
def attribute_with_two_values(m):
    for n in std(m):
        for a in n.attribute:
            if a.type in (onnx.AttributeProto.INT, onnx.AttributeProto.INTS):
                a.f = 2.5
                return a.name


@defect
def attribute_type_and_value_differ(m):
    for n in std(m):
        for a in n.attribute:
            if a.type == onnx.AttributeProto.INT:
                a.type = onnx.AttributeProto.STRING
                return a.name


@defect
def attribute_missing(m):
    v = float_value(m)
    if v:
        return tail(m, h.make_node("Cast", [v], ["lacks_to"], name="castless"))


@defect
def reference_with_value(m):
    for n in std(m):
        if len(n.attribute):
            n.attribute[0].ref_attr_name = "caller"
            return n.attribute[0].name


@defect
def tensor_without_type(m):
    add_init(m).ClearField("data_type")
    return "planted"


@defect
def tensor_of_unknown_type(m):
    add_init(m).data_type = 77
    return "planted"


@defect
def tensor_dim_negative(m):
    add_init(m).dims[0] = -2
    return "planted"


@defect
def tensor_too_few_values(m):
    add_init(m).dims[0] = 5
    return "planted"


@defect
def tensor_raw_too_short(m):
    t = add_init(m)
    t.ClearField("float_data")
    t.raw_data = b"\0" * 10
    return "planted"


@defect
def tensor_raw_too_long(m):
    t = add_init(m)
    t.ClearField("float_data")
    t.raw_data = b"\0" * 32
    return "planted"


@defect
def tensor_without_data(m):
    add_init(m).ClearField("float_data")
    return "planted"


@defect
def tensor_in_wrong_field(m):
    t = add_init(m)
    t.ClearField("float_data")
    t.int32_data.extend([1, 2, 3, 4])
    return "planted"


@defect
def tensor_in_two_fields(m):
    add_init(m).raw_data = b"\0" * 16
    return "OT001"


@defect
def tensor_empty_with_data(m):
    add_init(m).dims[0] = 0
    return "planted"


@defect
def tensor_strings_raw(m):
    t = add_init(m)
    t.ClearField("float_data")
    t.data_type = T.STRING
    t.raw_data = b"abcd"
    return "planted"


@defect
def initializer_of_other_shape_than_input(m):
    add_init(m)
    if m.ir_version < 4:
        m.graph.input.pop()
    m.graph.input.append(value("planted", (3, 2)))
    return "planted"


@defect
def initializer_of_other_type_than_input(m):
    add_init(m)
    if m.ir_version < 4:
        m.graph.input.pop()
    m.graph.input.append(value("planted", (2, 2), T.INT64))
    return "planted"


def external(m, **entries):
    t = add_init(m)
    t.ClearField("float_data")
    t.data_location = T.EXTERNAL
    for k, v in entries.items():
        t.external_data.add(key=k, value=v)
    return "planted"


@defect
def external_missing_file(m):
    return external(m, location="no_such_file.bin") and "no_such_file.bin"


@defect
def external_absolute(m):
    return external(m, location="/etc/hostname") and "/etc/hostname"


@defect
def external_climbs(m):
    return external(m, location="../up.bin") and "up.bin"


@defect
def external_without_location(m):
    return external(m, offset="0")


def sparse(m, values, indices, dims, index_dims=None, index_type=T.INT64):
    if m.ir_version < 6:
        return None
    s = onnx.SparseTensorProto(dims=dims)
    s.values.CopyFrom(h.make_tensor("planted", F, [len(values)], values))
    s.indices.CopyFrom(h.make_tensor("planted_i", index_type, index_dims or [len(indices)], indices))
    m.graph.sparse_initializer.append(s)
    return "planted"


@defect
def sparse_index_out_of_range(m):
    return sparse(m, [1.0, 2.0], [0, 9], [3, 3])


@defect
def sparse_index_negative(m):
    return sparse(m, [1.0, 2.0], [-1, 3], [3, 3])


@defect
def sparse_not_ascending(m):
    return sparse(m, [1.0, 2.0], [5, 2], [3, 3])


@defect
def sparse_rows_not_ascending(m):
    return sparse(m, [1.0, 2.0], [1, 1, 0, 2], [3, 3], [2, 2])


@defect
def sparse_row_out_of_range(m):
    return sparse(m, [1.0, 2.0], [0, 1, 1, 3], [3, 3], [2, 2])


@defect
def sparse_index_twice(m):
    return sparse(m, [1.0, 2.0], [4, 4], [3, 3])


@defect
def sparse_counts_differ(m):
    return sparse(m, [1.0, 2.0], [0, 1, 2], [3, 3])


@defect
def sparse_without_dims(m):
    return sparse(m, [1.0], [0], [])


@defect
def sparse_indices_float(m):
    return sparse(m, [1.0, 2.0], [0, 1], [3, 3], index_type=F)


@defect
def types_not_allowed(m):
    m.graph.initializer.append(h.make_tensor("words", T.STRING, [2], [b"a", b"b"]))
    if m.ir_version < 4:
        m.graph.input.append(value("words", (2,), T.STRING))
    return tail(m, h.make_node("Relu", ["words"], ["relu_words"], name="stringy"))


@defect
def types_differ(m):
    add_init(m)
    m.graph.initializer.append(h.make_tensor("whole", T.INT64, [2, 2], [1, 2, 3, 4]))
    if m.ir_version < 4:
        m.graph.input.append(value("whole", (2, 2), T.INT64))
    return tail(m, h.make_node("Add", ["planted", "whole"], ["mixed"], name="mixes"))


@defect
def shapes_do_not_broadcast(m):
    add_init(m)
    m.graph.initializer.append(weight("odd", (3,)))
    if m.ir_version < 4:
        m.graph.input.append(value("odd", (3,)))
    kw = {"broadcast": 1} if m.opset_import and m.opset_import[0].version < 7 else {}
    return tail(m, h.make_node("Add", ["planted", "odd"], ["bad_sum"], name="odd_sum", **kw))


@defect
def matmul_sizes_differ(m):
    add_init(m)
    m.graph.initializer.append(weight("tall", (3, 2)))
    if m.ir_version < 4:
        m.graph.input.append(value("tall", (3, 2)))
    return tail(m, h.make_node("MatMul", ["planted", "tall"], ["bad_mm"], name="odd_product"))


@defect
def concat_ranks_differ(m):
    add_init(m)
    m.graph.initializer.append(weight("flat_one", (3,)))
    if m.ir_version < 4:
        m.graph.input.append(value("flat_one", (3,)))
    return tail(m, h.make_node("Concat", ["planted", "flat_one"], ["bad_cat"], name="odd_cat", axis=0))


@defect
def axis_out_of_range(m):
    add_init(m)
    return tail(m, h.make_node("Flatten", ["planted"], ["bad_flat"], name="odd_flat", axis=7))


@defect
def transpose_perm_bad(m):
    add_init(m)
    return tail(m, h.make_node("Transpose", ["planted"], ["bad_perm"], name="odd_perm", perm=[0, 0]))


@defect
def cast_to_unknown_type(m):
    add_init(m)
    return tail(m, h.make_node("Cast", ["planted"], ["bad_cast"], name="odd_cast", to=99))


@defect
def branch_output_counts_differ(m):
    for n, a in subgraphs(m):
        if n.op_type == "If" and len(a.g.node):
            a.g.output.append(value("extra_out"))
            a.g.node.append(h.make_node("Identity", [a.g.node[0].output[0]], ["extra_out"]))
            return a.name


@defect
def branch_with_inputs(m):
    for n, a in subgraphs(m):
        if n.op_type == "If":
            a.g.input.append(value("branch_in"))
            return a.name


@defect
def branch_output_not_made(m):
    for n, a in subgraphs(m):
        a.g.output[0].name = "nobody_makes"
        return "nobody_makes"


@defect
def branch_types_differ(m):
    for n, a in subgraphs(m):
        if n.op_type == "If" and a.g.output[0].type.tensor_type.elem_type == F:
            last = a.g.output[0].name
            a.g.node.append(h.make_node("Cast", [last], ["as_int"], name="sub_cast", to=T.INT64))
            del a.g.output[:]
            a.g.output.append(value("as_int", (2, 3), T.INT64))
            return place(n)


@defect
def subgraph_hides_outer_value(m):
    for n, a in subgraphs(m):
        if m.graph.input and len(a.g.node) and m.graph.input[0].type.tensor_type.elem_type == F:
            a.g.node.append(h.make_node("Identity", [m.graph.input[0].name], [m.graph.input[0].name], name="hides"))
            return m.graph.input[0].name


@defect
def subgraph_unknown_input(m):
    for n, a in subgraphs(m):
        if len(a.g.node):
            a.g.node[0].input[0] = "no_such_value"
            return "no_such_value"


@defect
def subgraph_unknown_attribute(m):
    for n, a in subgraphs(m):
        if len(a.g.node):
            a.g.node[0].attribute.append(h.make_attribute("no_such_attribute", 1))
            return "no_such_attribute"


@defect
def subgraph_unnamed(m):
    for n, a in subgraphs(m):
        a.g.name = ""
        return a.name


@defect
def body_input_missing(m):
    for n, a in subgraphs(m):
        if n.op_type == "Loop" and len(a.g.input) > 2:
            a.g.node.insert(0, h.make_node("Constant", [], [a.g.input[2].name],
                                           value=weight("k", (2, 3))))
            del a.g.input[2]
            return a.name


@defect
def body_output_missing(m):
    for n, a in subgraphs(m):
        if n.op_type in ("Loop", "Scan") and len(a.g.output) > 1:
            del a.g.output[-1]
            return a.name


@defect
def function_twice(m):
    if len(m.functions):
        m.functions.append(m.functions[0])
        return m.functions[0].name


@defect
def function_recursive(m):
    if len(m.functions):
        f = m.functions[0]
        if not any(o.domain == f.domain for o in f.opset_import):
            f.opset_import.append(h.make_opsetid(f.domain, 1))
        n = f.node.add()
        n.CopyFrom(h.make_node(f.name, list(f.input), ["rec_out"], name="rec", domain=f.domain))
        return f.name


@defect
def function_input_twice(m):
    if len(m.functions) and len(m.functions[0].input):
        m.functions[0].input.append(m.functions[0].input[0])
        return m.functions[0].input[0]


@defect
def function_output_twice(m):
    if len(m.functions) and len(m.functions[0].output):
        m.functions[0].output.append(m.functions[0].output[0])
        return m.functions[0].output[0]


@defect
def function_unknown_value(m):
    if len(m.functions) and len(m.functions[0].node):
        m.functions[0].node[0].input[0] = "no_such_value"
        return "no_such_value"


@defect
def function_output_not_made(m):
    if len(m.functions) and len(m.functions[0].output):
        m.functions[0].output[0] = "never_made"
        return "never_made"


@defect
def function_not_sorted(m):
    if len(m.functions) and len(m.functions[0].node) > 1:
        f = m.functions[0]
        nodes = list(reversed(f.node))
        del f.node[:]
        f.node.extend(nodes)
        return f.name


@defect
def function_opset_missing(m):
    if len(m.functions):
        del m.functions[0].opset_import[:]
        return m.functions[0].name


@defect
def function_opset_differs(m):
    if len(m.functions) and m.functions[0].opset_import:
        f = m.functions[0]
        f.opset_import[0].version = 1
        return f.name


@defect
def function_unknown_operator(m):
    if len(m.functions) and len(m.functions[0].node):
        m.functions[0].node[0].op_type = "NoSuchOperator"
        return "NoSuchOperator"


@defect
def function_attribute_twice(m):
    if len(m.functions):
        m.functions[0].attribute.extend(["twin", "twin"])
        return "twin"


@defect
def function_unnamed(m):
    if len(m.functions):
        m.functions[0].name = ""
        return "OT701"


# ---- measuring ----

def names(m, word):
    """Whether a finding speaks about the planted place."""
    if "error" in m:
        return word in m["error"]
    if word[:2] == "OT":
        return any(f["code"] == word for f in m["findings"])
    return any(word in " ".join((f["text"], f["graph"], f["node"] or "")) for f in m["findings"])


def measure_defects(args, bases, folder):
    planted = []
    for k, f in enumerate(DEFECTS):
        for name, base in bases:
            m = copy.deepcopy(base)
            word = f(m)
            if word is None:
                continue
            path = os.path.join(folder, f"{k:03d}.{name}.onnx")
            with open(path, "wb") as out:
                out.write(m.SerializeToString())
            planted.append((f.__name__, name, path, word, onnx_verdict(path)))
    ours = our_verdicts(args.tool, [p[2] for p in planted])
    rows, bad = {}, []
    for kind, name, path, word, theirs in planted:
        r = rows.setdefault(kind, [0, 0, 0, 0])
        mine = ours[path]
        r[0] += 1
        r[1] += theirs is not None
        r[2] += rejected(mine)
        ok = rejected(mine) and names(mine, word)
        r[3] += ok
        if theirs is not None and not ok:
            bad.append(f"{kind} in {name}: onnx.checker says: {theirs}\n    here: " +
                       (mine.get("error") or "; ".join(f["code"] + " " + f["text"] for f in mine["findings"])
                        or "nothing"))
    print(f"{'defect':44} {'planted':>7} {'onnx':>5} {'here':>5} {'place':>5}")
    for kind, r in rows.items():
        print(f"{kind:44} {r[0]:7} {r[1]:5} {r[2]:5} {r[3]:5}")
    total = [sum(r[i] for r in rows.values()) for i in range(4)]
    print(f"{len(rows)} kinds, {len(bases)} models        ".ljust(44), "{:7} {:5} {:5} {:5}".format(*total))
    print(f"rejected by onnx.checker and missed or misplaced here: {len(bad)}")
    return bad


def measure_legal(args, paths):
    accepted = [p for p in paths if onnx_verdict(p) is None]
    ours = our_verdicts(args.tool, accepted)
    bad = []
    for p in accepted:
        if rejected(ours[p]):
            why = ours[p].get("error") or "; ".join(
                f"{f['code']} {f['graph']}: {f['node']}: {f['text']}" for f in ours[p]["findings"]
                if f["severity"] == "error")
            bad.append(f"{p}: {why}")
    print(f"legal: {len(paths)} models, {len(accepted)} accepted by onnx.checker, {len(bad)} of these refused here")
    return bad


def legal_paths(args, folder):
    paths = []
    for name, m in node_cases(args.cases):
        p = os.path.join(folder, f"case.{name}.onnx")
        with open(p, "wb") as f:
            f.write(m.SerializeToString())
        paths.append(p)
    for place_ in args.legal:
        if os.path.isdir(place_):
            # testdata/models keeps its broken models in folders of that name
            paths += [p for p in sorted(glob.glob(os.path.join(place_, "**", "*.onnx"), recursive=True))
                      if "bad" not in os.path.basename(os.path.dirname(p))]
        else:
            paths.append(place_)
    return paths


# ---- misfits ----

class Verdicts:
    """onnx_verdict() in a process of its own: some of these models kill it."""

    def __init__(self):
        self.child = None

    def ask(self, path):
        if not self.child:
            self.pipe, theirs = multiprocessing.Pipe()
            self.child = multiprocessing.Process(target=self.serve, args=(theirs,), daemon=True)
            self.child.start()
            theirs.close()
        self.pipe.send(path)
        try:
            return self.pipe.recv()
        except EOFError:
            self.child.join()
            self.child = None
            return None

    @staticmethod
    def serve(pipe):
        while True:
            pipe.send(onnx_verdict(pipe.recv()))


def changed(m, change):
    c = copy.deepcopy(m)
    change(c)
    return c


def resize_to(shape, rank):
    while len(shape.dim) > rank:
        shape.dim.pop()
    while len(shape.dim) < rank:
        shape.dim.add().dim_value = 3


def input_misfits(m, i):
    t = m.graph.input[i].type.tensor_type
    rank = len(t.shape.dim)

    def of(c):
        return c.graph.input[i].type.tensor_type
    for axis, d in enumerate(t.shape.dim):
        for n in (d.dim_value + 1, d.dim_value + 7, d.dim_value - 1) if d.HasField("dim_value") else ():
            if n >= 0:
                yield f"input {i} dim {axis} is {n}", changed(m, lambda c: setattr(of(c).shape.dim[axis], "dim_value", n))
    for r in {rank - 1, rank + 1, rank + 2, 0} - {-1, rank}:
        yield f"input {i} has rank {r}", changed(m, lambda c: resize_to(of(c).shape, r))
    for e in (F, T.INT64, T.BOOL, T.DOUBLE, T.STRING):
        if e != t.elem_type:
            yield f"input {i} is of type {e}", changed(m, lambda c: setattr(of(c), "elem_type", e))


def attribute_misfits(m, j):
    a = m.graph.node[0].attribute[j]

    def of(c):
        return c.graph.node[0].attribute[j]
    for v in (-100, -1, 0, 100, a.i + 1) if a.type == onnx.AttributeProto.INT else ():
        yield f"{a.name} is {v}", changed(m, lambda c: setattr(of(c), "i", v))
    if a.type == onnx.AttributeProto.INTS:
        old = list(a.ints)
        for v in (old[:-1], old + [1], [-5] + old[1:], [100] + old[1:], [0] + old[1:]):
            yield f"{a.name} is {v}", changed(m, lambda c: (of(c).ClearField("ints"), of(c).ints.extend(v)))
    if a.type == onnx.AttributeProto.STRING:
        yield f"{a.name} is nonsense", changed(m, lambda c: setattr(of(c), "s", b"nonsense"))
    yield f"{a.name} is left out", changed(m, lambda c: c.graph.node[0].attribute.pop(j))


def misfits(m):
    m = copy.deepcopy(m)
    del m.graph.value_info[:]
    for o in m.graph.output:  # a rank that is declared is all that is said of them
        for i, d in enumerate(o.type.tensor_type.shape.dim):
            d.dim_param = f"{o.name}_{i}"
    for i, v in enumerate(m.graph.input):
        if v.type.HasField("tensor_type"):
            yield from input_misfits(m, i)
    for j in range(len(m.graph.node[0].attribute)):
        yield from attribute_misfits(m, j)
    for j, x in enumerate(m.graph.node[0].input):
        if x:
            yield f"input {j} is left out", changed(m, lambda c: c.graph.node[0].input.__setitem__(j, ""))


# What onnx.checker says of these is about its own function bodies, or about how it infers, not about the model; and an
# empty list of strides, which it minds in LpPool alone, is the default.
NOT_MEANT = re.compile("Constant node|op_type:ConvTranspose.* Inferred shape and existing shape differ"
                       "|op_type:LpPool.* strides has incorrect size")


def measure_misfits(args, folder):
    verdicts, seen, planted = Verdicts(), set(), []
    for name, m in node_cases(args.cases):
        if "_expanded" in name:
            continue
        for what, c in misfits(m):
            c.graph.name = "g"
            data = c.SerializeToString()
            if data in seen:
                continue
            seen.add(data)
            path = os.path.join(folder, f"{len(planted)}.onnx")
            with open(path, "wb") as out:
                out.write(data)
            planted.append((name, what, path, verdicts.ask(path)))
    ours = our_verdicts(args.tool, [p[2] for p in planted])
    theirs = [p for p in planted if p[3] is not None and not NOT_MEANT.search(p[3])]
    bad = [f"{name}, {what}: onnx.checker says: {why}" for name, what, path, why in theirs if not rejected(ours[path])]
    print(f"misfits: {len(planted)} models, {len(theirs)} rejected by onnx.checker, {len(bad)} of these not here")
    return bad


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--tool", default="build/onnxtool")
    ap.add_argument("--bases", type=int, default=50, help="legal models that defects are planted into")
    ap.add_argument("--cases", type=int, default=0, help="node cases that are looked at (0: all)")
    ap.add_argument("--legal", action="append", default=[], help="a model, or a folder of them")
    ap.add_argument("--verbose", action="store_true", help="say what was missed")
    args = ap.parse_args()
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    with tempfile.TemporaryDirectory() as folder:
        bad = measure_legal(args, legal_paths(args, folder))
    bases = made_bases() + file_bases(root)
    rest = args.bases - len(bases)
    if rest > 0:
        bases += [c for c in node_cases(0)][:: max(1, 1500 // rest)][:rest]
    elif args.bases < len(bases):
        bases = [bases[i * len(bases) // args.bases] for i in range(args.bases)]
    with tempfile.TemporaryDirectory() as folder:
        bad += measure_defects(args, bases, folder)
    with tempfile.TemporaryDirectory() as folder:
        bad += measure_misfits(args, folder)
    for line in bad if args.verbose else bad[:10]:
        print(line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
