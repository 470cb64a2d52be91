#!/usr/bin/env python3
"""Makes testdata/models, testdata/targets, testdata/values and testdata/notonnx: small files, each for one corner of the format.

    scripts/make_testdata.py         write them (and the README of each folder)
    scripts/make_testdata.py --check compare with what is there; exit 1 when something differs

Needs numpy and onnx. The same onnx version gives the same bytes. A case is a function with @case: its docstring is
the purpose that the README states, its result the file. Cases that can be run name their inputs and compute their
outputs here with numpy, independently of any ONNX runtime: NAME.in.npz and NAME.out.npz.
"""
import gzip
import io
import json
import math
import os
import struct
import sys
import zipfile

import ml_dtypes
import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

ROOT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "testdata")
CASES = []
X = np.array([[1.5, -2, 0.25], [-0.5, 4, -3]], np.float32)


def case(path, feeds=None, expect=None, extra=None):
    """path below testdata/; expect(**feeds) gives the outputs by name; extra() gives more files {path: bytes}."""
    def wrap(make):
        CASES.append((path, " ".join(make.__doc__.split()), make, feeds, expect, extra))
        return make
    return wrap


# ---- protobuf by hand, for what the library will not write ----

def varint(n, length=0):
    """Little-endian base 128; padded with continuation bytes to length."""
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 0x7F or len(out) + 1 < length:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out + bytes([n]))


def w_varint(field, n, length=0):
    return varint(field << 3) + varint(n, length)


def w_fixed64(field, data):
    return varint(field << 3 | 1) + data


def w_bytes(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def w_fixed32(field, data):
    return varint(field << 3 | 5) + data


def w_group(field, content):
    return varint(field << 3 | 3) + content + varint(field << 3 | 4)


def fields_of(data):
    """Splits a message into its encoded fields [(number, bytes)]; no groups."""
    def read(at):
        n = shift = 0
        while True:
            n |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not data[at - 1] & 0x80:
                return n, at
    at, out = 0, []
    while at < len(data):
        key, end = read(at)
        if key & 7 == 0:
            end = read(end)[1]
        elif key & 7 == 2:
            n, end = read(end)
            end += n
        else:
            end += {1: 8, 5: 4}[key & 7]
        out.append((key >> 3, data[at:end]))
        at = end
    return out


# ---- small models ----

def info(name, elem=TensorProto.FLOAT, shape=None, **kw):
    return helper.make_tensor_value_info(name, elem, shape, **kw)


def model(nodes, inputs, outputs, inits=(), ir=8, opset=17, functions=(), domains=None, name="g", **graph_kw):
    graph = helper.make_graph(nodes, name, inputs, outputs, list(inits), **graph_kw)
    opsets = [helper.make_opsetid(d, v) for d, v in {"": opset, **(domains or {})}.items()]
    return helper.make_model(graph, ir_version=ir, opset_imports=opsets, functions=list(functions),
                             producer_name="make_testdata")


def node(op, ins, outs, name="", **attrs):
    return helper.make_node(op, ins.split(), outs.split(), name, **attrs)


def tensor(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


BIAS = np.array([1, -1], np.float32)


def base(ir, opset, **kw):
    """Y = Relu(Transpose(X) + bias), what every ir*.onnx computes."""
    nodes = [node("Transpose", "X", "t", "turn", perm=[1, 0]), node("Add", "t bias", "s", "add"),
             node("Relu", "s", "Y", "relu")]
    return model(nodes, [info("X", shape=[2, 3])], [info("Y", shape=[3, 2])], [tensor("bias", BIAS)], ir, opset, **kw)


def base_out(X):  # noqa: N803 (names of the model's inputs)
    return {"Y": np.maximum(X.T + BIAS, 0)}


def base_case(path):
    return case(path, {"X": X}, base_out)


def old(ir):
    """IR 1 and 2: no opset imports (which means opset 1), initializers are inputs, Add-1 says that it broadcasts."""
    m = base(ir, 1)
    m.ClearField("opset_import")
    m.graph.input.append(info("bias", shape=[2]))
    m.graph.node[1].attribute.extend([helper.make_attribute("broadcast", 1), helper.make_attribute("axis", 1)])
    return m


@base_case("models/ir01.onnx")
def ir01():
    """IR 1: no opset imports, attributes without a type, initializers that are inputs, Add-1 with `broadcast`."""
    m = old(1)
    for n in m.graph.node:
        for a in n.attribute:
            a.ClearField("type")
    return m


@base_case("models/ir02.onnx")
def ir02():
    """IR 2: attributes have types; still no opset imports."""
    return old(2)


@base_case("models/ir03.onnx")
def ir03():
    """IR 3: opset imports; initializers must still be inputs."""
    m = base(3, 7)
    m.graph.input.append(info("bias", shape=[2]))
    return m


@base_case("models/ir04.onnx")
def ir04():
    """IR 4: an initializer that is no input, and a bfloat16 one."""
    m = base(4, 9)
    m.graph.initializer.append(helper.make_tensor("unused", TensorProto.BFLOAT16, [2], b"\x80\x3f\x00\xc0", raw=True))
    return m


@base_case("models/ir05.onnx")
def ir05():
    """IR 5: a quantization annotation."""
    m = base(5, 10)
    m.graph.initializer.extend([tensor("s_scale", np.float32(0.05)), tensor("s_zero", np.uint8(128))])
    note = m.graph.quantization_annotation.add(tensor_name="s")
    note.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="s_scale")
    note.quant_parameter_tensor_names.add(key="ZERO_POINT_TENSOR", value="s_zero")
    return m


def sparse(name, dims, values, indices):
    return helper.make_sparse_tensor(tensor(name, np.float32(values)), tensor("", np.int64(indices)), dims)


@case("models/ir06.onnx", {"X": X}, lambda X: {"Y": X + np.float32([[0, 5, 0], [7, 0, 0]])
                                               + np.float32([[0, 0, 2], [0, 0, 0]])})
def ir06():
    """IR 6: two sparse initializers, one with flat indices, one with coordinates."""
    m = model([node("Add", "X flat", "a"), node("Add", "a coords", "Y")], [info("X", shape=[2, 3])],
              [info("Y", shape=[2, 3])], ir=6, opset=11)
    m.graph.sparse_initializer.append(sparse("flat", [2, 3], [5, 7], [1, 3]))
    m.graph.sparse_initializer.append(sparse("coords", [2, 3], [2], [[0, 2]]))
    return m


@base_case("models/ir07.onnx")
def ir07():
    """IR 7: training info with both graphs and both bindings."""
    m = base(7, 12)
    init = helper.make_graph([node("Constant", "", "bias0", value=tensor("", np.zeros(2, np.float32)))], "init", [],
                             [info("bias0", shape=[2])])
    step = helper.make_graph([node("Mul", "bias rate", "bias1")], "step", [], [info("bias1", shape=[2])],
                             [tensor("rate", np.float32(0.9))])
    t = m.training_info.add()
    t.initialization.CopyFrom(init)
    t.algorithm.CopyFrom(step)
    t.initialization_binding.add(key="bias", value="bias0")
    t.update_binding.add(key="bias", value="bias1")
    return m


def function(name, ins, outs, nodes, opset=15, domain="test", attrs=(), defaults=(), overload="", **kw):
    return helper.make_function(domain, name, ins.split(), outs.split(), nodes,
                                [helper.make_opsetid("", opset), helper.make_opsetid("test", 1)], list(attrs),
                                list(defaults), overload=overload or None, **kw)


def ref(op, ins, outs, attr, kind, param):
    """A node of a function body whose attribute is the caller's."""
    n = node(op, ins, outs)
    n.attribute.append(AttributeProto(name=attr, type=kind, ref_attr_name=param))
    return n


@base_case("models/ir08.onnx")
def ir08():
    """IR 8: a model-local function with an attribute parameter, called by the graph."""
    f = function("TurnAdd", "a b", "c", [ref("Transpose", "a", "t", "perm", AttributeProto.INTS, "perm"),
                                         node("Add", "t b", "c")], attrs=["perm"])
    return model([node("TurnAdd", "X bias", "s", domain="test", perm=[1, 0]), node("Relu", "s", "Y")],
                 [info("X", shape=[2, 3])], [info("Y", shape=[3, 2])], [tensor("bias", BIAS)], 8, 15, [f], {"test": 1})


@case("models/ir09.onnx", {"X": X}, lambda X: {"Y": np.where(X < 0, X * np.float32(0.25), X),
                                               "Z": np.where(X < 0, X * np.float32(0.5), X)})
def ir09():
    """IR 9: a function whose attribute has a default, called with and without it; a float8 initializer."""
    f = function("Leak", "a", "b", [ref("LeakyRelu", "a", "b", "alpha", AttributeProto.FLOAT, "slope")], 19,
                 defaults=[helper.make_attribute("slope", 0.25)])
    f8 = helper.make_tensor("unused", TensorProto.FLOAT8E4M3FN, [3], b"\x38\xb8\x7e", raw=True)
    return model([node("Leak", "X", "Y", domain="test"), node("Leak", "X", "Z", domain="test", slope=0.5)],
                 [info("X", shape=[2, 3])], [info("Y", shape=[2, 3]), info("Z", shape=[2, 3])], [f8], 9, 19, [f],
                 {"test": 1})


@case("models/ir10.onnx", {"X": X}, lambda X: {"Y": X + X, "Z": X * X})
def ir10():
    """IR 10: two overloads of one function, metadata on every level that has it, an int4 initializer."""
    fs = [function("Twice", "a", "b", [node("Add", "a a", "b")], 21, overload="sum"),
          function("Twice", "a", "b", [node("Mul", "a a", "b")], 21, overload="product")]
    nodes = [node("Twice", "X", "Y", domain="test", overload="sum"),
             node("Twice", "X", "Z", domain="test", overload="product")]
    i4 = helper.make_tensor("unused", TensorProto.INT4, [3], b"\xf1\x08", raw=True)
    m = model(nodes, [info("X", shape=[2, 3])], [info("Y", shape=[2, 3]), info("Z", shape=[2, 3])], [i4], 10, 21, fs,
              {"test": 1}, value_info=[])
    fs0 = m.functions[0]
    fs0.value_info.append(info("b", shape=[2, 3]))
    for where in (m, m.graph, m.graph.node[0], m.graph.initializer[0], m.graph.input[0], m.graph.output[1], fs0,
                  fs0.node[0], fs0.value_info[0]):
        where.metadata_props.add(key="level", value=type(where).__name__)
        where.metadata_props.add(key="empty", value="")
    return m


@base_case("models/ir11.onnx")
def ir11():
    """IR 11: device configurations with shardings of every shape; a float4 initializer."""
    m = base(11, 23)
    m.graph.initializer.append(helper.make_tensor("unused", TensorProto.FLOAT4E2M1, [3], b"\x72\x0a", raw=True))
    m.configuration.add(name="two", num_devices=2, device=["left", "right"])
    m.configuration.add(name="four", num_devices=4)
    d = m.graph.node[1].device_configurations.add(configuration_id="two", pipeline_stage=1)
    spec = d.sharding_spec.add(tensor_name="t", device=[0, -1])
    spec.index_to_device_group_map.add(key=-1, value=[0, 1])
    dim = spec.sharded_dim.add(axis=-1)
    dim.simple_sharding.add(dim_value=2, num_shards=2)
    dim.simple_sharding.add(dim_param="N", num_shards=1)
    m.graph.node[2].device_configurations.add(configuration_id="four")
    return m


def with_unused(ir, opset, kind, dims, raw):
    m = base(ir, opset)
    m.graph.initializer.append(helper.make_tensor("unused", kind, dims, raw, raw=True))
    return m


@base_case("models/ir12.onnx")
def ir12():
    """IR 12: a float8e8m0 initializer."""
    return with_unused(12, 24, TensorProto.FLOAT8E8M0, [3], b"\x7f\x80\x7e")


@base_case("models/ir13.onnx")
def ir13():
    """IR 13: uint2 and int2 initializers with a partly filled last byte."""
    m = with_unused(13, 25, TensorProto.INT2, [5], b"\xe4\x02")
    m.graph.initializer.append(helper.make_tensor("unused2", TensorProto.UINT2, [5], b"\xe4\x02", raw=True))
    return m


@base_case("models/ir14.onnx")
def ir14():
    """IR 14: the newest IR and opset, an opaque type, and a float6 initializer."""
    m = with_unused(14, 28, TensorProto.FLOAT6E2M3, [4], b"\x08\x02\x10")
    v = m.graph.value_info.add(name="nothing")
    v.type.opaque_type.domain, v.type.opaque_type.name = "test", "Handle"
    return m


# ---- control flow ----

def graph(nodes, ins, outs, inits=(), name="body"):
    return helper.make_graph(nodes, name, ins, outs, list(inits))


IF_FEEDS = {"X": X, "big": np.array(True), "neg": np.array(False)}


@case("models/if_nested.onnx", IF_FEEDS,
      lambda X, big, neg: {"Y": (-(X * 100) if neg else X * 100 + 1) if big else X * 1})
def if_nested():
    """If inside If; the inner branches capture a graph input, an outer node's result and a branch's own initializer."""
    scalar = info("y", shape=[2, 3])
    inner_then = graph([node("Neg", "scaled", "nb")], [], [info("nb")], name="inner_then")
    inner_else = graph([node("Add", "scaled one", "ab")], [], [info("ab")], name="inner_else")
    outer_then = graph([node("Mul", "X hundred", "scaled"),
                        node("If", "neg", "y", then_branch=inner_then, else_branch=inner_else)], [], [scalar],
                       [tensor("hundred", np.float32(100))], name="then")
    outer_else = graph([node("Mul", "X one", "z")], [], [info("z")], name="else")
    return model([node("Constant", "", "one", value_float=1.0),
                  node("If", "big", "Y", then_branch=outer_then, else_branch=outer_else)],
                 [info("X", shape=["a", 3]), info("big", TensorProto.BOOL, []), info("neg", TensorProto.BOOL, [])],
                 [info("Y", shape=["a", 3])])


def loop_out(X, trips):
    acc, seen, i = np.zeros(3, np.float32), [], 0
    while i < trips and acc.sum() < 10:
        acc = acc + X * np.float32(i)
        seen.append(acc)
        i += 1
    return {"acc": acc, "seen": np.stack(seen), "last": np.array(i - 1, np.int64)}


@case("models/loop_capture.onnx", {"X": np.array([1, 2, 0.5], np.float32), "trips": np.array(7, np.int64)}, loop_out)
def loop_capture():
    """Loop that ends early by its condition; captures an input and an initializer, carries two values, collects one."""
    body = graph([node("Cast", "i", "fi", to=TensorProto.FLOAT), node("Mul", "X fi", "add"),
                  node("Add", "acc_in add", "acc_out"), node("Identity", "acc_out", "scan"),
                  node("ReduceSum", "acc_out", "total", keepdims=0), node("Less", "total ten", "go_on"),
                  node("Identity", "i", "last_out")],
                 [info("i", TensorProto.INT64, []), info("cond", TensorProto.BOOL, []), info("acc_in", shape=[3]),
                  info("last_in", TensorProto.INT64, [])],
                 [info("go_on", TensorProto.BOOL, []), info("acc_out", shape=[3]),
                  info("last_out", TensorProto.INT64, []), info("scan", shape=[3])])
    return model([node("Loop", "trips yes start minus", "acc last seen", body=body)],
                 [info("X", shape=[3]), info("trips", TensorProto.INT64, [])],
                 [info("acc", shape=[3]), info("seen", shape=["n", 3]), info("last", TensorProto.INT64, [])],
                 [tensor("yes", np.array(True)), tensor("start", np.zeros(3, np.float32)),
                  tensor("minus", np.int64(-1)), tensor("ten", np.float32(10))])


def scan_out(X, k):
    state, rows = np.zeros(3, np.float32), []
    for row in X[::-1]:
        state = state * k + row
        rows.append(state)
    return {"state": state, "rows": np.stack(rows[::-1])}


@case("models/scan_capture.onnx", {"X": X, "k": np.array(0.5, np.float32)}, scan_out)
def scan_capture():
    """Scan backwards over rows, with a captured factor; the output is collected backwards too."""
    body = graph([node("Mul", "s_in k", "m"), node("Add", "m row", "s_out"), node("Identity", "s_out", "row_out")],
                 [info("s_in", shape=[3]), info("row", shape=[3])], [info("s_out", shape=[3]), info("row_out", shape=[3])])
    return model([node("Scan", "zero X", "state rows", body=body, num_scan_inputs=1, scan_input_directions=[1],
                       scan_output_directions=[1])],
                 [info("X", shape=["n", 3]), info("k", shape=[])], [info("state", shape=[3]), info("rows", shape=["n", 3])],
                 [tensor("zero", np.zeros(3, np.float32))])


def deep_out(X, n):
    s = np.float32(0)
    for row in X:
        for i in range(int(n)):
            s = s + row.sum(dtype=np.float32) if i % 2 == 0 else s * np.float32(2)
    return {"s": s}


@case("models/deep_control.onnx", {"X": X, "n": np.array(3, np.int64)}, deep_out)
def deep_control():
    """If inside Loop inside Scan; the innermost branches capture values of all three levels."""
    add = graph([node("Add", "acc total", "p")], [], [info("p", shape=[])], name="even")
    double = graph([node("Mul", "acc two", "q")], [], [info("q", shape=[])], name="odd")
    loop = graph([node("Mod", "i two_i", "r"), node("Equal", "r zero_i", "even"),
                  node("If", "even", "acc_out", then_branch=add, else_branch=double), node("Identity", "c", "c_out")],
                 [info("i", TensorProto.INT64, []), info("c", TensorProto.BOOL, []), info("acc", shape=[])],
                 [info("c_out", TensorProto.BOOL, []), info("acc_out", shape=[])], name="loop")
    scan = graph([node("ReduceSum", "row", "total", keepdims=0), node("Loop", "n yes s_in", "s_out", body=loop)],
                 [info("s_in", shape=[]), info("row", shape=[3])], [info("s_out", shape=[])], name="scan")
    return model([node("Scan", "start X", "s", body=scan, num_scan_inputs=1)],
                 [info("X", shape=[2, 3]), info("n", TensorProto.INT64, [])], [info("s", shape=[])],
                 [tensor("start", np.float32(0)), tensor("two", np.float32(2)), tensor("two_i", np.int64(2)),
                  tensor("zero_i", np.int64(0)), tensor("yes", np.array(True))])


@case("models/functions_nested.onnx", {"X": X}, lambda X: {"Y": (X + 1) * 2 + 1, "Z": X + 1})
def functions_nested():
    """A function that calls another one twice and holds an If; inner names equal names of the graph."""
    inc = function("Inc", "x", "y", [node("Constant", "", "one", value_float=1.0), node("Add", "x one", "y")])
    then = graph([node("Mul", "t two", "m")], [], [info("m")], name="then")
    other = graph([node("Identity", "t", "m2")], [], [info("m2")], name="else")
    f = function("Steps", "X", "Y", [node("Inc", "X", "t", domain="test"),
                                     node("Constant", "", "two", value_float=2.0),
                                     ref("Constant", "", "flag", "value_int", AttributeProto.INT, "double"),
                                     node("Cast", "flag", "cond", to=TensorProto.BOOL),
                                     node("If", "cond", "u", then_branch=then, else_branch=other),
                                     node("Inc", "u", "Y", domain="test")], attrs=["double"])
    return model([node("Steps", "X", "Y", domain="test", double=1), node("Inc", "X", "Z", domain="test")],
                 [info("X", shape=[2, 3])], [info("Y", shape=[2, 3]), info("Z", shape=[2, 3])], functions=[f, inc],
                 domains={"test": 1}, opset=15)


# ---- types and elements ----

@case("models/types.onnx")
def types():
    """Inputs and outputs of every kind of type: tensor, sparse, sequence, map, optional, nested, opaque; denotations."""
    f32 = helper.make_tensor_type_proto(TensorProto.FLOAT, ["n", 3])
    seq = helper.make_sequence_type_proto(f32)
    kinds = {"seq": seq, "opt": helper.make_optional_type_proto(f32), "opt_seq": helper.make_optional_type_proto(seq),
             "sparse": helper.make_sparse_tensor_type_proto(TensorProto.DOUBLE, [4, None]),
             "map": helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.INT64, [])),
             "seq_map": helper.make_sequence_type_proto(helper.make_map_type_proto(
                 TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None)))}
    ins = [helper.make_value_info(k, t) for k, t in kinds.items()]
    opaque = onnx.ValueInfoProto(name="opaque")
    opaque.type.opaque_type.domain, opaque.type.opaque_type.name = "test", "Handle"
    image = info("image", shape=["N", 3, None, 8], shape_denotation=["DATA_BATCH", "DATA_CHANNEL", "DATA_FEATURE", ""])
    image.type.denotation = "IMAGE"
    return model([node("Identity", "seq", "seq_out"), node("OptionalGetElement", "opt", "opt_out"),
                  node("Identity", "image", "image_out")], ins + [opaque, image],
                 [helper.make_value_info("seq_out", seq), helper.make_value_info("opt_out", f32), info("image_out")],
                 opset=18)


def zipmap_output():
    maps = [onnx.MapProto(key_type=TensorProto.STRING, string_keys=[b"no", b"yes"],
                          values=numpy_helper.from_list([np.float32(a), np.float32(b)]))
            for a, b in ((0.25, 0.75), (1, 0))]
    seq = onnx.SequenceProto(name="Z", elem_type=onnx.SequenceProto.MAP, map_values=maps)
    return {"models/zipmap.out/Z.pb": seq.SerializeToString(deterministic=True)}


@case("models/zipmap.onnx", {"P": np.array([[0.25, 0.75], [1, 0]], np.float32)}, extra=zipmap_output)
def zipmap():
    """A sequence of maps as output (ai.onnx.ml ZipMap), as classifiers of scikit-learn give."""
    out = helper.make_sequence_type_proto(helper.make_map_type_proto(
        TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, [])))
    return model([node("ZipMap", "P", "Z", domain="ai.onnx.ml", classlabels_strings=["no", "yes"])],
                 [info("P", shape=["n", 2])], [helper.make_value_info("Z", out)], domains={"ai.onnx.ml": 3})


@case("models/sequences.onnx", {"X": X, "at": np.array(1, np.int64)},
      lambda X, at: {"C": np.concatenate([X, -X, X + X]), "E": [X, -X, X + X][at], "n": np.array(3, np.int64)})
def sequences():
    """Sequence operators: construct, insert, at, length, concat."""
    return model([node("Neg", "X", "neg"), node("Add", "X X", "sum"), node("SequenceConstruct", "X neg", "s"),
                  node("SequenceInsert", "s sum", "s3"), node("ConcatFromSequence", "s3", "C", axis=0),
                  node("SequenceAt", "s3 at", "E"), node("SequenceLength", "s3", "n")],
                 [info("X", shape=["a", "b"]), info("at", TensorProto.INT64, [])],
                 [info("C"), info("E"), info("n", TensorProto.INT64, [])])


# Five values a type, exact in it; odd counts leave the last byte of packed types partly filled.
VALUES = {
    "FLOAT": [0.0, -1.5, 3.25, 2.0**100, -0.0078125], "DOUBLE": [0.0, -1.5, 3.25, 1e300, 0.1],
    "FLOAT16": [0.0, -1.5, 3.25, 65504.0, 5.9604644775390625e-08], "BFLOAT16": [0.0, -1.5, 3.25, 256.0, -0.0078125],
    "UINT8": [0, 1, 127, 128, 255], "INT8": [0, -1, 127, -128, 5], "UINT16": [0, 1, 32768, 65535, 7],
    "INT16": [0, -1, 32767, -32768, 7], "INT32": [0, -1, 2**31 - 1, -2**31, 7],
    "INT64": [0, -1, 2**63 - 1, -2**63, 2**53 + 1], "UINT32": [0, 1, 2**32 - 1, 2**31, 7],
    "UINT64": [0, 1, 2**64 - 1, 2**63, 2**53 + 1], "BOOL": [True, False, True, True, False],
    "COMPLEX64": [0, 1 + 2j, -1.5j, 3, -4 + 0.5j], "COMPLEX128": [0, 1 + 2j, -0.1j, 3, -4 + 0.1j],
    "FLOAT8E4M3FN": [0.0, -1.5, 448.0, 0.001953125, 3.25], "FLOAT8E4M3FNUZ": [0.0, -1.5, 240.0, 0.0009765625, 3.25],
    "FLOAT8E5M2": [0.0, -1.5, 57344.0, 1.52587890625e-05, 3.5],
    "FLOAT8E5M2FNUZ": [0.0, -1.5, 57344.0, 7.62939453125e-06, 3.5],
    "FLOAT8E8M0": [1.0, 2.0, 0.5, 1.7014118346046923e38, 2.0**-127], "UINT4": [0, 1, 15, 8, 7],
    "INT4": [0, -1, 7, -8, 3], "FLOAT4E2M1": [0.0, -1.5, 6.0, 0.5, -4.0], "UINT2": [0, 1, 2, 3, 1],
    "INT2": [0, 1, -2, -1, 1], "FLOAT6E2M3": [0.0, -1.5, 7.5, 0.125, -3.25],
    "FLOAT6E3M2": [0.0, -1.5, 28.0, 0.0625, -3.5], "STRING": ["", "plain", "späße", "line\nbreak", "a\0b"],
}


def element_tensor(kind, raw):
    number = TensorProto.DataType.Value(kind)
    if kind == "STRING":
        return TensorProto(name=kind.lower(), data_type=number, dims=[5], string_data=[s.encode() for s in VALUES[kind]])
    dtype = helper.tensor_dtype_to_np_dtype(number)
    a = np.array(VALUES[kind], dtype) if dtype.kind in "iufcb" else np.array(VALUES[kind]).astype(dtype)
    assert all(complex(v) == complex(w) for v, w in zip(a, VALUES[kind])), kind
    t = numpy_helper.from_array(a, kind.lower())
    assert t.data_type == number, kind
    return t if raw else typed(t, a)


def typed(t, a):
    """The same tensor with its elements in the typed field."""
    out = TensorProto(name=t.name, data_type=t.data_type, dims=t.dims)
    field = helper.tensor_dtype_to_field(t.data_type)
    name = TensorProto.DataType.Name(t.data_type)
    if name.startswith("COMPLEX"):
        values = a.view(a.real.dtype)
    elif t.data_type in (TensorProto.FLOAT16, TensorProto.BFLOAT16):
        values = np.frombuffer(t.raw_data, "<u2")
    elif name.startswith("FLOAT6"):
        values = a.view(np.uint8)  # unlike in raw_data, one element a list element
    elif name.startswith(("FLOAT8", "FLOAT4", "UINT4", "INT4", "UINT2", "INT2")):
        values = np.frombuffer(t.raw_data, np.uint8)  # packed bytes, one a list element
    else:
        values = a.astype(int) if name == "BOOL" else a
    getattr(out, field).extend(values.tolist())
    return out


def element_values():
    """What elements_*.onnx hold, type by type; floats as Python prints them, complex as [re, im]."""
    def plain(v):
        return [v.real, v.imag] if isinstance(v, complex) else v
    rows = {k.lower(): [plain(complex(v)) if k.startswith("COMPLEX") else v for v in vs] for k, vs in VALUES.items()}
    lines = ",\n".join(f'"{k}": {json.dumps(v)}' for k, v in rows.items())
    return {"models/elements.json": ("{\n" + lines + "\n}\n").encode()}


def elements(raw):
    inits = [element_tensor(k, raw) for k in VALUES]
    return model([node("Identity", "X", "Y")], [info("X", shape=[1])], [info("Y", shape=[1])], inits, 14, 28)


@case("models/elements_raw.onnx", extra=element_values)
def elements_raw():
    """An initializer of every element type, in raw_data (strings in string_data); elements.json has their values."""
    return elements(True)


@case("models/elements_typed.onnx")
def elements_typed():
    """The same initializers in the typed fields: float_data, int32_data, int64_data, double_data, uint64_data."""
    return elements(False)


@case("models/sequence_grows.onnx")
def sequence_grows():
    """A Loop whose sequence gains a tensor of `size` elements at each of n iterations: what a memory limit must stop."""
    body = helper.make_graph(
        [node("Identity", "more", "go"), node("Cast", "i", "f", to=TensorProto.FLOAT), node("Expand", "f size", "big"),
         node("SequenceInsert", "s big", "longer")], "body",
        [info("i", TensorProto.INT64, []), info("more", TensorProto.BOOL, []),
         helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)],
        [info("go", TensorProto.BOOL, []), helper.make_tensor_sequence_value_info("longer", TensorProto.FLOAT, None)])
    nodes = [node("SequenceEmpty", "", "s0"), helper.make_node("Loop", ["n", "", "s0"], ["s1"], "grow", body=body),
             node("SequenceLength", "s1", "length")]
    return model(nodes, [info("n", TensorProto.INT64, []), info("size", TensorProto.INT64, [1])],
                 [info("length", TensorProto.INT64, [])])


# ---- patterns that a session fuses ----

FUSE = np.random.default_rng(7)
FUSE_W = {"W": FUSE.normal(0, 0.06, (300, 8)), "b": FUSE.normal(0, 1, 8), "W2": FUSE.normal(0, 0.06, (300, 8)),
          "b2": FUSE.normal(0, 1, 8), "scale": FUSE.normal(1, 0.1, 8), "bias": FUSE.normal(0, 0.1, 8),
          "K": FUSE.normal(0, 0.3, (2, 2, 3, 3)), "kb": FUSE.normal(0, 0.1, 2)}
FUSE_W = {k: v.astype(np.float32) for k, v in FUSE_W.items()}
FUSE_IN = {"x": FUSE.normal(0, 1, (2, 4, 300)).astype(np.float32), "z": FUSE.normal(0, 1, (2, 4, 8)).astype(np.float32),
           "c": FUSE.normal(0, 1, (1, 2, 6, 6)).astype(np.float32)}


def erf(v):
    return np.vectorize(math.erf)(v)


def conv3x3(c, kernel, bias):
    padded = np.pad(c, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros(c.shape)
    for o, i, y, x in np.ndindex(*kernel.shape):
        out[:, o] += kernel[o, i, y, x] * padded[:, i, y:y + c.shape[2], x:x + c.shape[3]]
    return out + bias[:, None, None]


def fusions_out(x, z, c):
    x, z, c, w = x.astype(float), z.astype(float), c.astype(float), {k: v.astype(float) for k, v in FUSE_W.items()}
    sum1, mm2 = x @ w["W"] + w["b"] + z, x @ w["W2"] + w["b2"]
    centred = sum1 - sum1.mean(-1, keepdims=True)
    norm = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * w["scale"] + w["bias"]
    tanh = 0.5 * sum1 * (1 + np.tanh(math.sqrt(2 / math.pi) * (sum1 + 0.044715 * sum1**3)))
    out = {"sum": sum1, "gelu": mm2 * 0.5 * (1 + erf(mm2 / math.sqrt(2))), "tanh_gelu": tanh, "norm": norm,
           "swish": z / (1 + np.exp(-z)), "conv": np.maximum(conv3x3(c, w["K"], w["kb"]) + c, 0)}
    return {k: v.astype(np.float32) for k, v in out.items()}


@case("models/fusions.onnx", FUSE_IN, fusions_out)
def fusions():
    """Products with bias and residual (an inner dimension of several blocks), Gelu of both kinds, LayerNormalization and
    Swish in parts, a convolution with residual and activation: what a session makes one step of."""
    consts = {"two": 2.0, "half": 0.5, "one": 1.0, "root2": math.sqrt(2), "three": 3.0, "coeff": 0.044715,
              "root2pi": math.sqrt(2 / math.pi), "eps": 1e-5}
    inits = [tensor(k, v) for k, v in FUSE_W.items()] + [tensor(k, np.float32(v)) for k, v in consts.items()]
    nodes = [
        node("MatMul", "x W", "p"), node("Add", "p b", "q"), node("Add", "q z", "sum"),
        node("MatMul", "x W2", "p2"), node("Add", "b2 p2", "q2"), node("Div", "q2 root2", "e0"), node("Erf", "e0", "e1"),
        node("Add", "e1 one", "e2"), node("Mul", "q2 e2", "e3"), node("Mul", "e3 half", "gelu"),
        node("Pow", "sum three", "t0"), node("Mul", "t0 coeff", "t1"), node("Add", "sum t1", "t2"),
        node("Mul", "t2 root2pi", "t3"), node("Tanh", "t3", "t4"), node("Add", "t4 one", "t5"),
        node("Mul", "sum half", "t6"), node("Mul", "t6 t5", "tanh_gelu"),
        node("ReduceMean", "sum", "m0", axes=[-1], keepdims=1), node("Sub", "sum m0", "m1"), node("Pow", "m1 two", "m2"),
        node("ReduceMean", "m2", "m3", axes=[-1], keepdims=1), node("Add", "m3 eps", "m4"), node("Sqrt", "m4", "m5"),
        node("Div", "m1 m5", "m6"), node("Mul", "m6 scale", "m7"), node("Add", "m7 bias", "norm"),
        node("Sigmoid", "z", "s"), node("Mul", "z s", "swish"),
        node("Conv", "c K kb", "c0", pads=[1, 1, 1, 1]), node("Add", "c0 c", "c1"), node("Relu", "c1", "conv"),
    ]
    ins = [info("x", shape=["batch", 4, 300]), info("z", shape=["batch", 4, 8]), info("c", shape=["images", 2, 6, 6])]
    outs = [info(k, shape=["batch", 4, 8]) for k in ("sum", "gelu", "tanh_gelu", "norm", "swish")]
    return model(nodes, ins, outs + [info("conv", shape=["images", 2, 6, 6])], inits)


@case("models/shapes_edge.onnx")
def shapes_edge():
    """Initializers that are scalars, empty, have zero dims beside others, rank 9; one without any data field."""
    shapes = {"scalar": [], "one": [1], "empty": [0], "empty2": [3, 0, 2], "rank9": [1, 2, 1, 1, 1, 1, 1, 1, 2]}
    inits = [tensor(k, np.arange(np.prod(s, dtype=int), dtype=np.float32).reshape(s)) for k, s in shapes.items()]
    inits.append(TensorProto(name="nodata", data_type=TensorProto.FLOAT, dims=[0, 4]))
    return model([node("Identity", "X", "Y")], [info("X", shape=[])], [info("Y", shape=[])], inits)


@case("models/dims.onnx")
def dims():
    """Axes of all kinds: named, fixed, zero, unknown, unnamed, negative (as old exporters write), no shape, no type."""
    ins = [info("a", shape=["batch", 3, "height", "width"]), info("b", shape=[0, None, ""]), info("c"), info("d", shape=[])]
    ins[1].type.tensor_type.shape.dim.add(dim_value=-1)
    ins.append(onnx.ValueInfoProto(name="untyped"))
    return model([node("Identity", "a", "y"), node("Shape", "b", "z")], ins, [info("y"), info("z", TensorProto.INT64)])


@case("models/names_odd.onnx")
def names_odd():
    """Names with blanks, slashes, colons, equal signs, quotes, control bytes, emoji; doc strings of several lines."""
    m = model([node("Relu", "X", "Y")], [info("X", shape=[1])], [info("Y", shape=[1])])
    for kind, name in (("in put:0", "a/b=c"), ("\t\x1b[31mred", 'quo"te\\'), ("späße \U0001f600", "line\nbreak")):
        m.graph.node.append(helper.make_node("Neg", ["X"], [kind], name, doc_string="first\nsecond \x07 line"))
    m.graph.name = ""
    m.doc_string = "Zeile eins\n\tZeile zwei \u2013 Ende"
    return m


@case("models/attributes.onnx")
def attributes():
    """A node of an unknown domain with every kind of attribute, empty lists and strings that are no text included."""
    small = tensor("t", np.int32([1, 2]))
    sub = graph([node("Neg", "X", "n")], [], [info("n")], name="sub")
    values = {"float": -0.0, "int": -(2**63), "string": b"\xff\x00raw", "tensor": small, "graph": sub,
              "sparse": sparse("", [4], [1], [2]), "type": helper.make_tensor_type_proto(TensorProto.BOOL, [2]),
              "floats": [1.5, float("inf"), float("nan")], "ints": [2**63 - 1, -1], "strings": [b"a", b""],
              "tensors": [small, small], "graphs": [sub], "sparses": [sparse("", [4], [1], [2])],
              "types": [helper.make_tensor_type_proto(TensorProto.BOOL, None)]}
    n = helper.make_node("Everything", ["X"], ["Y"], "all", domain="com.example", **values)
    for name, kind in (("no_ints", AttributeProto.INTS), ("no_floats", AttributeProto.FLOATS),
                       ("no_strings", AttributeProto.STRINGS), ("no_tensors", AttributeProto.TENSORS)):
        n.attribute.append(AttributeProto(name=name, type=kind))
    n.attribute.append(AttributeProto(name="documented", type=AttributeProto.INT, i=0, doc_string="says why"))
    return model([n], [info("X", shape=[2])], [info("Y")], domains={"com.example": 1})


@case("models/default_input.onnx", {"X": X}, lambda X: {"Y": X + np.float32(2)})
def default_input():
    """An initializer that is an input too: a default which the caller may replace."""
    return model([node("Add", "X b", "Y")], [info("X", shape=[2, 3]), info("b", shape=[])], [info("Y", shape=[2, 3])],
                 [tensor("b", np.float32(2))])


@case("models/left_out.onnx", {"X": X}, lambda X: {"Y": np.minimum(X, np.float32(1))})
def left_out():
    """An optional input left out in the middle (Clip without min), and an unused output left out (Dropout)."""
    return model([helper.make_node("Clip", ["X", "", "max"], ["c"]), helper.make_node("Dropout", ["c"], ["Y", ""])],
                 [info("X", shape=[2, 3])], [info("Y", shape=[2, 3])], [tensor("max", np.float32(1))])


PAIR = {"left:0": X, "right=x/y": X * 2}


@case("models/two_inputs.onnx", PAIR, lambda **v: {"sum": X + X * 2, "bigger": X < X * 2})
def two_inputs():
    """Two inputs that share an axis, with colon, equal sign and slash in their names; one output is bool."""
    ins = [info(n, shape=["n", 3]) for n in PAIR]
    return model([helper.make_node("Add", list(PAIR), ["sum"], name="add"),
                  helper.make_node("Less", list(PAIR), ["bigger"], name="less")],
                 ins, [info("sum", shape=["n", 3]), info("bigger", TensorProto.BOOL, ["n", 3])])


@case("models/cache.onnx")
def cache():
    """A cache that grows: `past.K` is an input, `present.K` the same with `x` behind; `mask` is as long as the result."""
    pairs = [("past.0.key", "present.0.key"), ("past.1.key", "present.1.key")]
    return model([node("Concat", f"{a} x", b, axis=1) for a, b in pairs] +
                 [node("Cast", "mask", "m", to=TensorProto.FLOAT), node("Mul", "present.0.key m", "seen"),
                  node("ReduceSum", "seen axis", "total")],
                 [info("x", shape=["batch", "s"]), info("mask", TensorProto.INT64, ["batch", "p + s"])] +
                 [info(a, shape=["batch", "p"]) for a, _ in pairs],
                 [info("total", shape=["batch", 1])] + [info(b, shape=["batch", "p + s"]) for _, b in pairs],
                 [tensor("axis", np.int64([1]))])


def flattened(shape):
    """A batch axis that is declared free, a Reshape to the given sizes, and a product of 12 columns."""
    return model([node("Reshape", "X shape", "rows", "flat"), node("MatMul", "rows W", "Y", "fc")],
                 [info("X", shape=["batch", 3, 4])], [info("Y", shape=["batch", 5])],
                 [tensor("shape", np.int64(shape)), tensor("W", np.ones((12, 5), np.float32))])


@case("models/fixed_batch.onnx")
def fixed_batch():
    """The batch axis is declared free, but node `flat` reshapes to [1, 12]: only batch 1 runs."""
    return flattened([1, 12])


@case("models/fixed_batch_later.onnx")
def fixed_batch_later():
    """The batch axis is declared free, but `flat` puts all samples into one row, which node `fc` cannot take."""
    return flattened([1, -1])


@case("models/troubles.onnx")
def troubles():
    """What `inspect` warns about, a node or weight each: operators, domains, weights, training mode, names."""
    ones = np.ones(2, np.float32)
    nodes = [node("NoSuchOperator", "X", "a", "same"), node("Upsample", "X scales", "b", "same", mode="nearest"),
             helper.make_node("Special", ["X"], ["c"], "special", domain="com.example"),
             helper.make_node("Normalizer", ["X"], ["d"], "normal", domain="ai.onnx.ml"),
             node("BatchNormalization", "X n n n n", "e mean var", "bn", training_mode=1),
             node("QuantizeLinear", "X scale zero", "q", "q"), node("DequantizeLinear", "q scale zero", "f", "dq"),
             node("QLinearMatMul", "q scale zero q scale zero scale zero", "g", "qmm"),
             node("Mul", "double double", "h", "mul"), node("Add", "X default", "Y", "add")]
    inits = [tensor("scales", ones), tensor("n", ones), tensor("scale", np.float32(0.5)), tensor("zero", np.uint8(128)),
             tensor("double", np.float64([1, 2])), tensor("default", np.float32([1, np.nan])), tensor("unused", ones)]
    return model(nodes, [info("X", shape=[2, 2]), info("unused_too", shape=[1]), info("shapeless"),
                         info("default", shape=[2])],
                 [info("Y", shape=[2, 2])], inits, domains={"com.example": 1})


def log_of_less(X):
    with np.errstate(invalid="ignore"):
        return {"Y": np.log(np.maximum(X - 1, -1))}


@case("models/makes_nan.onnx", {"X": X}, log_of_less)
def makes_nan():
    """Negative numbers get into a Log: node `log` makes the NaNs, `shift` before it and `hand_on` behind it do not."""
    return model([helper.make_node("Sub", ["X", "one"], ["s"], name="shift"),
                  helper.make_node("Max", ["s", "least"], ["m"], name="limit"),
                  helper.make_node("Log", ["m"], ["l"], name="log"),
                  helper.make_node("Abs", ["l"], ["a"], name="hand_on"),
                  helper.make_node("Where", ["always", "l", "a"], ["Y"], name="choose")],
                 [info("X", shape=[2, 3])], [info("Y", shape=[2, 3])],
                 [tensor("one", np.float32(1)), tensor("least", np.float32(-1)), tensor("always", np.bool_(True))])


@case("models/unsupported.onnx")
def unsupported():
    """Nodes that cannot run: two of an unknown domain, one of them in a branch, and one operator that is unknown."""
    branch = helper.make_graph([helper.make_node("Strange", ["X"], ["t"], name="inner", domain="com.example")], "then",
                               [], [info("t", shape=[2])])
    other = helper.make_graph([helper.make_node("Relu", ["X"], ["e"], name="fine")], "else", [], [info("e", shape=[2])])
    return model([helper.make_node("Odd", ["X"], ["a"], name="first", domain="com.example"),
                  helper.make_node("If", ["c"], ["b"], name="choice", then_branch=branch, else_branch=other),
                  helper.make_node("Unheard", ["b"], ["Y"], name="last")],
                 [info("X", shape=[2]), info("c", TensorProto.BOOL, [])],
                 [info("Y", shape=[2]), info("a", shape=[2])],
                 domains={"com.example": 1})


# ---- the same bytes said otherwise ----

def rewrap(data, path, change):
    """Re-encodes the message at path (field numbers) with change(fields of it); every one with that number."""
    if not path:
        return change(data)
    out = []
    for number, raw in fields_of(data):
        if number == path[0]:
            body = raw[len(varint(number << 3 | 2)):]
            skip = next(i for i, b in enumerate(body) if not b & 0x80) + 1
            raw = w_bytes(number, rewrap(body[skip:], path[1:], change))
        out.append(raw)
    return b"".join(out)


def wire_model():
    bias = TensorProto(name="bias", data_type=TensorProto.FLOAT, dims=[2], float_data=BIAS.tolist())
    m = base(8, 17)
    m.graph.ClearField("initializer")
    m.graph.initializer.extend([bias, TensorProto(name="ids", data_type=TensorProto.INT64, dims=[3],
                                                  int64_data=[1, -2, 300])])
    return m


@base_case("models/unpacked.onnx")
def unpacked():
    """float_data and int64_data of initializers one field an element instead of packed."""
    def change(data):
        out = b""
        for number, raw in fields_of(data):
            if number == 4:
                raw = b"".join(w_fixed32(4, struct.pack("<f", v)) for v in BIAS)
            elif number == 7:
                raw = b"".join(w_varint(7, v) for v in (1, -2, 300))
            out += raw
        return out
    return rewrap(wire_model().SerializeToString(), [7, 5], change)


def pack_repeated(number, data):
    """One packed field in place of the varint fields of that number."""
    out, packed = b"", b""
    for n, raw in fields_of(data):
        if n == number:
            packed += raw[len(varint(number << 3)):]
        else:
            out += raw
    return out + (w_bytes(number, packed) if packed else b"")


@base_case("models/packed.onnx")
def packed():
    """dims of tensors and ints of attributes packed, which the official writers do not do; float_data in two pieces."""
    def split(data):
        out = b""
        for number, raw in fields_of(data):
            if number == 4:
                raw = w_bytes(4, struct.pack("<f", BIAS[0])) + w_fixed32(4, struct.pack("<f", BIAS[1]))
            out += raw
        return pack_repeated(1, out)
    data = rewrap(wire_model().SerializeToString(), [7, 5], split)
    return rewrap(data, [7, 1, 5], lambda a: pack_repeated(8, a))


@base_case("models/field_order.onnx")
def field_order():
    """Fields of every message of the graph in descending order of number, scalar fields twice (the last one counts)."""
    def change(data):
        fields = sorted(fields_of(data), key=lambda f: -f[0])
        return b"".join(raw for _, raw in fields)

    data = wire_model().SerializeToString()
    for path in ([7, 1, 5], [7, 1], [7, 5], [7, 11], [7, 12], [7], []):
        data = rewrap(data, path, change)
    return w_varint(1, 3) + w_bytes(2, "somebody else") + data


@base_case("models/merged.onnx")
def merged():
    """The graph in two pieces, which a reader must merge; the shape of an input in two pieces as well."""
    def halves(data):
        fields = fields_of(data)
        graphs = [raw for n, raw in fields if n == 7]
        rest = b"".join(raw for n, raw in fields if n != 7)
        inner = graphs[0][1:]
        skip = next(i for i, b in enumerate(inner) if not b & 0x80) + 1
        parts = fields_of(inner[skip:])
        first, second = parts[:2], parts[2:]
        return w_bytes(7, b"".join(r for _, r in first)) + rest + w_bytes(7, b"".join(r for _, r in second))

    def split_type(data):
        out = b""
        for number, raw in fields_of(data):
            if number == 2:
                shape = [w_bytes(2, w_bytes(1, w_varint(1, n))) for n in (2, 3)]
                raw = b"".join(w_bytes(2, w_bytes(1, part)) for part in [w_varint(1, 1)] + shape)
            out += raw
        return out
    return halves(rewrap(wire_model().SerializeToString(), [7, 11], split_type))


@base_case("models/long_varints.onnx")
def long_varints():
    """Varints with more bytes than needed: a number in ten, a length in five."""
    m = wire_model()
    graph_data = m.graph.SerializeToString()
    m.ClearField("graph")
    m.ClearField("ir_version")
    return w_varint(1, 8, 10) + m.SerializeToString() + varint(7 << 3 | 2, 3) + varint(len(graph_data), 5) + graph_data


@base_case("models/unknown_fields.onnx")
def unknown_fields():
    """Fields that nobody knows, of every wire type (groups too), in model, graph, node, attribute, tensor and type."""
    junk = (w_varint(1000, 2**63) + w_fixed64(1001, b"eight by") + w_bytes(1002, "some text") +
            w_group(1003, w_varint(1, 5) + w_group(2, w_bytes(3, "deep"))) + w_fixed32(1004, b"four"))
    data = wire_model().SerializeToString()
    for path in ([7, 1, 5], [7, 1], [7, 5], [7, 11, 2], [7], []):
        data = rewrap(data, path, lambda d: d + junk)
    return data


# ---- external data ----

def external(name, array, location, **entries):
    t = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(array.dtype), dims=array.shape,
                    data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        t.external_data.add(key=key, value=str(value))
    return t


def ext_model(*inits):
    """Y = X plus all of the tensors."""
    names = ["X"] + [t.name for t in inits]
    return model([node("Sum", " ".join(names), "Y")], [info("X", shape=[2, 3])], [info("Y", shape=[2, 3])], inits)


EXT_A, EXT_B, EXT_C = (np.arange(6, dtype=np.float32).reshape(2, 3) * k for k in (1, 10, 100))


def ext_files():
    first = EXT_A.tobytes() + b"\xee" * 40 + EXT_B.tobytes()
    return {"models/external/w0.bin": first, "models/external/data/w1.bin": EXT_C.tobytes()}


@case("models/external/two_files.onnx", {"X": X}, lambda X: {"Y": X + EXT_A + EXT_B + EXT_C}, ext_files)
def two_files():
    """Weights in two files, one in a subfolder: without offset and length for a whole file, with both in the other."""
    return ext_model(external("a", EXT_A, "w0.bin", offset=0, length=24),
                     external("b", EXT_B, "w0.bin", offset=64, length=24, checksum="0" * 40),
                     external("c", EXT_C, "data/w1.bin"))


@case("models/external/no_length.onnx", {"X": X}, lambda X: {"Y": X + EXT_B})
def no_length():
    """An offset without a length: the size follows from type and shape."""
    return ext_model(external("b", EXT_B, "./w0.bin", offset=64))


@case("models/external/in_subgraph.onnx", {"X": X, "c": np.array(True)}, lambda X, c: {"Y": X + EXT_A if c else X * EXT_B})
def in_subgraph():
    """External data in a branch's initializer and in a Constant's tensor attribute."""
    then = graph([node("Add", "X a", "p")], [], [info("p")], [external("a", EXT_A, "w0.bin", offset=0, length=24)], "then")
    value = external("", EXT_B, "w0.bin", offset=64, length=24)
    other = graph([node("Constant", "", "k", value=value), node("Mul", "X k", "q")], [], [info("q")], name="else")
    return model([node("If", "c", "Y", then_branch=then, else_branch=other)],
                 [info("X", shape=[2, 3]), info("c", TensorProto.BOOL, [])], [info("Y", shape=[2, 3])])


def bad_external(name, purpose, location, **entries):
    def make():
        return ext_model(external("a", EXT_A, location, **entries))
    make.__doc__ = purpose
    case(f"models/external_bad/{name}.onnx")(make)


def bad_externals():
    outside = {"models/outside.bin": EXT_A.tobytes(), "models/external_bad/short.bin": b"\0" * 20,
               "models/external_bad/inside.bin": EXT_A.tobytes()}
    bad_external("escape", "Location `../outside.bin`, which exists.", "../outside.bin")
    CASES[-1] = CASES[-1][:5] + (lambda: outside,)
    bad_external("escape_inner", "Location that leaves and comes back through `..`.", "../external_bad/inside.bin")
    bad_external("escape_deep", "Location with `..` after a folder.", "sub/../../outside.bin")
    bad_external("absolute", "An absolute path.", "/etc/hostname")
    bad_external("backslash", "Location with a backslash.", "..\\outside.bin")
    bad_external("empty", "An empty location.", "")
    bad_external("folder", "Location that is a folder.", ".")
    bad_external("link", "Location `link.bin`, which the test makes a link to ../outside.bin.", "link.bin")
    bad_external("missing", "A file that is not there.", "missing.bin")
    bad_external("short", "A file shorter than the tensor.", "short.bin")
    bad_external("past_end", "Offset and length that end behind the file.", "inside.bin", offset=8, length=24)
    bad_external("far", "An offset whose sum with the length overflows 64 bits.", "inside.bin", offset=2**64 - 8, length=24)
    bad_external("huge", "An offset of more than 64 bits.", "inside.bin", offset=10**30)
    bad_external("negative", "A negative offset.", "inside.bin", offset=-8)
    bad_external("no_number", "An offset that is no number.", "inside.bin", offset="ten")
    bad_external("wrong_length", "A length that does not fit type and shape.", "inside.bin", offset=0, length=20)

    def no_location():
        """External data without a location."""
        m = ext_model(external("a", EXT_A, "x"))
        m.graph.initializer[0].external_data[0].key = "offset"
        m.graph.initializer[0].external_data[0].value = "0"
        return m
    case("models/external_bad/no_location.onnx")(no_location)


bad_externals()


# ---- models that are wrong ----

def bad_model(name, purpose, nodes, ins=None, outs=None, inits=(), **kw):
    def make():
        return model(nodes, ins or [info("X", shape=[2])], outs or [info("Y", shape=[2])], list(inits), **kw)
    make.__doc__ = purpose
    case(f"models/bad/{name}.onnx")(make)


def bad_models():
    bad_model("cycle", "Two nodes that wait for each other.", [node("Add", "X b", "a"), node("Add", "X a", "b"),
                                                               node("Neg", "a", "Y")])
    bad_model("self_loop", "A node that reads its own output.", [node("Add", "X Y", "Y")])
    bad_model("undefined", "An input that nobody makes.", [node("Add", "X nowhere", "Y")])
    bad_model("twice", "A value made twice.", [node("Neg", "X", "Y"), node("Abs", "X", "Y")])
    bad_model("no_output", "A graph output that nobody makes.", [node("Neg", "X", "Z")])
    bad_model("order", "Nodes in an order that is not topological.", [node("Neg", "a", "Y"), node("Abs", "X", "a")])
    bad_model("no_import", "A node of a domain that is not imported.", [node("Foo", "X", "Y", domain="com.example")])
    bad_model("unknown_op", "An operator that ai.onnx does not have.", [node("Rleu", "X", "Y")])
    bad_model("new_op", "An operator newer than the imported opset.", [node("Gelu", "X", "Y")], opset=13)
    bad_model("attr_type", "An attribute of the wrong kind.", [node("Concat", "X X", "Y", axis="zero")])
    bad_model("attr_missing", "A required attribute missing.", [node("Concat", "X X", "Y")])
    bad_model("arity", "Too many inputs.", [node("Relu", "X X", "Y")])
    bad_model("types_differ", "Addition of float and int64.", [node("Add", "X i", "Y")], inits=[tensor("i", np.int64([1]))])
    bad_model("shapes_differ", "Addition of [2] and [3].", [node("Add", "X i", "Y")], inits=[tensor("i", np.float32([1, 2, 3]))])
    bad_model("recursive_function", "A function that calls itself.", [node("F", "X", "Y", domain="test")],
              functions=[function("F", "a", "b", [node("F", "a", "b", domain="test")])], domains={"test": 1})

    def init(t):
        return [TensorProto(name="w", **t)]
    f32 = TensorProto.FLOAT
    for name, purpose, t in (
            ("raw_short", "raw_data shorter than the shape asks for.", dict(data_type=f32, dims=[4], raw_data=b"\0" * 12)),
            ("raw_long", "raw_data longer than the shape asks for.", dict(data_type=f32, dims=[2], raw_data=b"\0" * 12)),
            ("field_short", "Too few elements in float_data.", dict(data_type=f32, dims=[4], float_data=[1, 2])),
            ("wrong_field", "Float elements in int64_data.", dict(data_type=f32, dims=[1], int64_data=[1])),
            ("no_data", "A tensor without elements that has a size.", dict(data_type=f32, dims=[4])),
            ("dims_overflow", "Dims whose product overflows.", dict(data_type=f32, dims=[2**40, 2**40], raw_data=b"")),
            ("dims_huge", "Dims that fit 64 bits, but no machine.", dict(data_type=f32, dims=[2**60], raw_data=b"\0")),
            ("dims_negative", "A negative dim.", dict(data_type=f32, dims=[-1], raw_data=b"\0\0\0\0")),
            ("type_unknown", "An element type that does not exist.", dict(data_type=99, dims=[1], raw_data=b"\0")),
            ("type_undefined", "Element type UNDEFINED.", dict(dims=[1], raw_data=b"\0"))):
        bad_model(name, purpose, [node("Neg", "X", "Y")], inits=init(t))


bad_models()


@case("models/bad/no_graph.onnx")
def no_graph():
    """A model without a graph."""
    return onnx.ModelProto(ir_version=8, producer_name="make_testdata")


@case("models/bad/ir_future.onnx")
def ir_future():
    """An IR version that does not exist yet, and an opset from the future."""
    return base(99, 999)


@case("models/bad/field_zero.onnx")
def field_zero():
    """A field of number 0."""
    return wire_model().SerializeToString() + b"\x00\x01"


@case("models/bad/group_open.onnx")
def group_open():
    """An unknown group that never ends."""
    return wire_model().SerializeToString() + varint(1000 << 3 | 3) + w_varint(1, 1)


@case("models/bad/varint_long.onnx")
def varint_long():
    """A varint of eleven bytes."""
    return b"\x08" + b"\x80" * 10 + b"\x01" + wire_model().SerializeToString()


@case("models/bad/wire_type.onnx")
def wire_type():
    """Wire type 7, which does not exist."""
    return wire_model().SerializeToString() + b"\x0f\x01"


@case("models/bad/length_past_end.onnx")
def length_past_end():
    """A length that reaches behind the file."""
    return wire_model().SerializeToString() + varint(14 << 3 | 2) + varint(2**31 - 1) + b"abc"


# ---- values in files of their own ----

@case("values/tensor_bfloat16.pb")
def tensor_bfloat16():
    """A TensorProto of a type that .npy cannot hold."""
    return numpy_helper.from_array(X.astype(ml_dtypes.bfloat16), "x")


@case("values/tensor_string.pb")
def tensor_string():
    """A TensorProto of strings."""
    return TensorProto(name="s", data_type=TensorProto.STRING, dims=[2], string_data=[b"one", "zwölf".encode()])


@case("values/sequence.pb")
def sequence():
    """A SequenceProto of two tensors of different shape."""
    return numpy_helper.from_list([X, X[0]], "seq")


@case("values/map.pb")
def value_map():
    """A MapProto from int64 to float."""
    return numpy_helper.from_dict({np.int64(1): np.float32(0.5), np.int64(-2): np.float32(1.5)}, "map")


@case("values/optional_full.pb")
def optional_full():
    """An OptionalProto that holds a tensor."""
    return numpy_helper.from_optional(X, "opt")


@case("values/optional_empty.pb")
def optional_empty():
    """An OptionalProto without a value."""
    return onnx.OptionalProto(name="opt", elem_type=onnx.OptionalProto.UNDEFINED)


# ---- files that are no ONNX model ----

def zip_of(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, data in files.items():
            z.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def safetensors():
    head = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    return struct.pack("<Q", len(head)) + head + b"\0" * 8


NOT_ONNX = {
    "lfs.onnx": ("A Git LFS pointer.", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 +
                 b"\nsize 12345\n"),
    "page.onnx": ("An HTML page, saved in place of a model.", b"<!DOCTYPE html>\n<html><head><title>Not Found</title>"
                  b"</head><body>404</body></html>\n"),
    "gzip.onnx": ("A model compressed with gzip.", None),
    "zip.onnx": ("A zip archive with a model in it.", None),
    "model.safetensors": ("Weights in safetensors format.", safetensors()),
    "checkpoint.pt": ("A PyTorch checkpoint (zip).", zip_of({"model/data.pkl": b"\x80\x02}q\x00.", "model/version": b"3\n",
                                                             "model/data/0": b"\0" * 8})),
    "script.pt": ("A TorchScript archive.", zip_of({"model/data.pkl": b"\x80\x02}q\x00.", "model/constants.pkl":
                                                    b"\x80\x02).", "model/code/__torch__.py": b"op_version_set = 1\n",
                                                    "model/version": b"3\n"})),
    "legacy.pt": ("A PyTorch checkpoint of the old kind (pickle).", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."),
    "model.tflite": ("A TensorFlow Lite model.", b"\x1c\0\0\0TFL3" + b"\0" * 24),
    "model.ort": ("A model in ORT format.", b"\x1c\0\0\0ORTM" + b"\0" * 24),
    "model.txt": ("ONNX text syntax.", b'<\n  ir_version: 8,\n  opset_import: ["" : 17]\n>\ng (float[2] X) => (float[2] Y)'
                  b"\n{\n  Y = Neg (X)\n}\n"),
    "model.json": ("A model as JSON.", b'{"irVersion": "8", "graph": {"node": []}}\n'),
    "engine.plan": ("A TensorRT engine.", b"ftrt" + b"\0" * 28),
    "image.png": ("A picture.", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    "array.npy": ("A numpy array.", None),
    "model.h5": ("A Keras model (HDF5).", b"\x89HDF\r\n\x1a\n" + b"\0" * 24),
    "model.gguf": ("A GGUF file.", b"GGUF\x03\0\0\0" + b"\0" * 24),
    "empty.onnx": ("An empty file.", b""),
    "zeros.onnx": ("Nothing but zero bytes.", b"\0" * 64),
    "noise.onnx": ("Text that is no model.", b"hello, world\n"),
    "tensor.pb": ("A TensorProto, which is ONNX but no model.", None),
}


def not_onnx():
    def npy():
        out = io.BytesIO()
        np.save(out, X)
        return out.getvalue()
    made = {"gzip.onnx": lambda: gzip.compress(wire_model().SerializeToString(), mtime=0),
            "zip.onnx": lambda: zip_of({"model.onnx": wire_model().SerializeToString()}), "array.npy": npy,
            "tensor.pb": lambda: tensor("x", X)}
    for name, (purpose, data) in NOT_ONNX.items():
        def make(name=name, data=data):
            return made[name]() if data is None else data
        make.__doc__ = purpose
        case(f"notonnx/{name}")(make)


not_onnx()


# ---- writing ----

def npz(arrays):
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


# ---- models for questions about runtimes ----

def ones(name, *shape, dtype=np.float32):
    return tensor(name, np.ones(shape, dtype))


@case("targets/newest.onnx")
def target_newest():
    """Opset 27 and IR 13, with an operator of every age: Relu, LayerNormalization (17), Gelu (20), GroupNormalization
    (18, 21) and Attention (23)."""
    return model([node("Relu", "x", "r", "relu"), node("LayerNormalization", "r scale bias", "a", "norm"),
                  node("Gelu", "a", "b", "gelu"), node("GroupNormalization", "b scale bias", "c", "group", num_groups=2),
                  node("Attention", "c c c", "y", "attention", q_num_heads=2, kv_num_heads=2)],
                 [info("x", shape=[1, 8, 8])], [info("y", shape=[1, 8, 8])], [ones("scale", 8), ones("bias", 8)], 13, 27)


@case("targets/layernorm17.onnx")
def target_layernorm():
    """LayerNormalization in the opset that brought it."""
    return model([node("LayerNormalization", "x scale bias", "a", "norm"), node("Relu", "a", "y", "relu")],
                 [info("x", shape=[1, 8, 8])], [info("y", shape=[1, 8, 8])], [ones("scale", 8), ones("bias", 8)])


def grid_sample(opset, ir):
    return model([node("Relu", "x", "a", "before"), node("GridSample", "a grid", "b", "sample"),
                  node("Sigmoid", "b", "y", "behind")],
                 [info("x", shape=[1, 3, 8, 8]), info("grid", shape=[1, 8, 8, 2])], [info("y", shape=[1, 3, 8, 8])],
                 ir=ir, opset=opset)


@case("targets/gridsample16.onnx")
def target_grid16():
    """GridSample of version 16 between two other nodes."""
    return grid_sample(16, 8)


@case("targets/gridsample20.onnx")
def target_grid20():
    """The same with GridSample of version 20."""
    return grid_sample(20, 9)


@case("targets/restamp.onnx")
def target_restamp():
    """Imports opset 22 and IR 10, needs much less: Conv, Relu, Add."""
    return model([node("Conv", "x w", "a", "conv"), node("Relu", "a", "b", "relu"), node("Add", "b b", "y", "add")],
                 [info("x", shape=[1, 3, 8, 8])], [info("y", shape=[1, 4, 6, 6])], [ones("w", 4, 3, 3, 3)], 10, 22)


@case("targets/half.onnx")
def target_half():
    """float16 throughout."""
    return model([node("MatMul", "x w", "a", "product"), node("Erf", "a", "b", "erf"), node("Add", "b b", "y", "add")],
                 [info("x", TensorProto.FLOAT16, [2, 4])], [info("y", TensorProto.FLOAT16, [2, 4])],
                 [ones("w", 4, 4, dtype=np.float16)])


@case("targets/inside.onnx")
def target_inside():
    """GridSample-20 in a function that is called twice, and in a branch of If."""
    f = function("Look", "p q", "r", [node("Relu", "p", "t", "inner"), node("GridSample", "t q", "r", "in_function")], 20)
    then = graph([node("GridSample", "b grid", "s", "in_branch")], [], [info("s")], name="then")
    other = graph([node("Identity", "b", "s2", "same")], [], [info("s2")], name="else")
    return model([node("Look", "x grid", "a", "call_1", domain="test"), node("Look", "a grid", "b", "call_2", domain="test"),
                  node("If", "flag", "y", "choose", then_branch=then, else_branch=other)],
                 [info("x", shape=[1, 3, 8, 8]), info("grid", shape=[1, 8, 8, 2]), info("flag", TensorProto.BOOL, [])],
                 [info("y", shape=[1, 3, 8, 8])], ir=9, opset=20, functions=[f], domains={"test": 1})


@case("targets/foreign.onnx")
def target_foreign():
    """A contrib operator of ONNX Runtime, and one of a domain that nobody knows."""
    return model([node("FusedMatMul", "x x", "a", "fused", domain="com.microsoft"),
                  node("Twist", "a", "y", "twist", domain="org.example")],
                 [info("x", shape=[4, 4])], [info("y", shape=[4, 4])],
                 domains={"com.microsoft": 1, "org.example": 1})


def bert_mask():
    """attention_mask as exporters make it: 0 where it is 1, a large negative number elsewhere."""
    return [node("Unsqueeze", "mask axes12", "m4", "mask_axes"), node("Cast", "m4", "mf", "mask_cast", to=TensorProto.FLOAT),
            node("Sub", "one mf", "inv", "mask_sub"), node("Mul", "inv low", "bias", "mask_mul")]


def bert_heads(name, src):
    """Reshape to heads through Shape, Gather, Unsqueeze and Concat."""
    p = name + "_"
    return [node("MatMul", src + " w_" + name, p + "mm", p + "matmul"), node("Add", f"b_{name} {p}mm", p + "a", p + "add"),
            node("Shape", p + "a", p + "s", p + "shape"), node("Gather", p + "s i0", p + "d0", p + "dim0", axis=0),
            node("Gather", p + "s i1", p + "d1", p + "dim1", axis=0), node("Unsqueeze", p + "d0 axes0", p + "u0", p + "un0"),
            node("Unsqueeze", p + "d1 axes0", p + "u1", p + "un1"),
            node("Concat", f"{p}u0 {p}u1 heads width", p + "to", p + "concat", axis=0),
            node("Reshape", f"{p}a {p}to", p + "r", p + "reshape"),
            node("Transpose", p + "r", p + "t", p + "transpose", perm=[0, 2, 3, 1] if name == "k" else [0, 2, 1, 3])]


def bert_norm(name, src, dst):
    """LayerNormalization as it was exported before opset 17."""
    p = name + "_"
    return [node("ReduceMean", src, p + "mean", p + "reduce", axes=[-1]), node("Sub", f"{src} {p}mean", p + "c", p + "sub"),
            node("Pow", p + "c two", p + "sq", p + "pow"), node("ReduceMean", p + "sq", p + "var", p + "var", axes=[-1]),
            node("Add", p + "var eps", p + "ve", p + "eps"), node("Sqrt", p + "ve", p + "sd", p + "sqrt"),
            node("Div", f"{p}c {p}sd", p + "n", p + "div"), node("Mul", p + "n gamma", p + "g", p + "mul"),
            node("Add", p + "g beta", dst, p + "add")]


@case("targets/bert.onnx")
def target_bert():
    """One layer of BERT as exporters write it: shape arithmetic, masks from integers, everything decomposed."""
    nodes = [node("Gather", "words ids", "we", "words_gather"), node("Shape", "ids", "ids_shape", "ids_shape"),
             node("Gather", "ids_shape i1", "len", "length", axis=0), node("Unsqueeze", "len axes0", "len1", "length_un"),
             node("Slice", "positions start len1 axes1", "pos", "position_slice"),
             node("Gather", "table pos", "pe", "position_gather"), node("Add", "we pe", "emb", "embed"),
             *bert_norm("ln0", "emb", "h"), *bert_mask(), *bert_heads("q", "h"), *bert_heads("k", "h"),
             *bert_heads("v", "h"), node("MatMul", "q_t k_t", "qk", "scores"), node("Div", "qk root", "scaled", "scale"),
             node("Add", "scaled bias", "masked", "add_mask"), node("Softmax", "masked", "prob", "softmax", axis=-1),
             node("MatMul", "prob v_t", "ctx", "context"), node("Transpose", "ctx", "ct", "back", perm=[0, 2, 1, 3]),
             node("Reshape", "ct flat", "cr", "flatten"), node("MatMul", "cr w_q", "o", "out"), node("Add", "o h", "res", "residual"),
             *bert_norm("ln1", "res", "n1"), node("Div", "n1 root2", "ge", "gelu_div"), node("Erf", "ge", "er", "gelu_erf"),
             node("Add", "er one", "e1", "gelu_add"), node("Mul", "n1 e1", "gm", "gelu_mul"), node("Mul", "gm half", "y", "gelu_half")]
    i64 = lambda *v: np.array(v, np.int64)
    inits = [ones("words", 20, 8), ones("table", 16, 8), *(ones("w_" + k, 8, 8) for k in "qkv"),
             *(ones("b_" + k, 8) for k in "qkv"), ones("gamma", 8), ones("beta", 8), tensor("i0", np.int64(0)),
             tensor("i1", np.int64(1)), tensor("axes0", i64(0)), tensor("axes1", i64(1)), tensor("axes12", i64(1, 2)),
             tensor("start", i64(0)), tensor("positions", np.arange(16, dtype=np.int64)[None]), tensor("heads", i64(2)),
             tensor("width", i64(4)), tensor("flat", i64(0, -1, 8)), tensor("one", np.float32(1)),
             tensor("low", np.float32(-3.4e38)), tensor("two", np.float32(2)), tensor("eps", np.float32(1e-12)),
             tensor("root", np.float32(2)), tensor("root2", np.float32(1.4142135)), tensor("half", np.float32(0.5))]
    return model(nodes, [info("ids", TensorProto.INT64, ["batch", "seq"]), info("mask", TensorProto.INT64, ["batch", "seq"])],
                 [info("y", shape=["batch", "seq", 8])], inits, 7, 14)


def files_of(path, make, feeds, expect, extra):
    made = make()
    files = {path: made if isinstance(made, bytes) else made.SerializeToString(deterministic=True)}
    stem = os.path.splitext(path)[0]
    if feeds:
        files[stem + ".in.npz"] = npz(feeds)
    if expect:
        files[stem + ".out.npz"] = npz(expect(**feeds))
    if extra:
        files.update(extra())
    return files


ABOUT = {"models": "Small models, each for one corner of the format. `NAME.in.npz` and `NAME.out.npz` are inputs and the "
                   "right outputs.",
         "targets": "Models for questions about runtimes: where do they load, and where do their nodes run?",
         "values": "Values in files of their own, for inputs that .npy cannot hold.",
         "notonnx": "Files that are no ONNX model, to be told apart."}


def all_files():
    files, rows = {}, {k: [] for k in ABOUT}
    for path, purpose, *rest in CASES:
        files.update(files_of(path, *rest))
        top, name = path.split("/", 1)
        rows[top].append(f"| `{name}` | {purpose} |\n")
    for top, about in ABOUT.items():
        text = f"# {top}\n\n{about}\n\nMade by `scripts/make_testdata.py`; do not edit.\n\n| file | what |\n|---|---|\n"
        files[f"{top}/README.md"] = (text + "".join(rows[top])).encode()
    return files


def check(files):
    bad = 0
    for path, data in sorted(files.items()):
        try:
            with open(os.path.join(ROOT, path), "rb") as f:
                same = f.read() == data
        except OSError:
            same = False
        if not same:
            bad = 1
            print(f"testdata/{path}: differs")
    return bad


def main(argv):
    files = all_files()
    if argv == ["--check"]:
        return check(files)
    if argv:
        sys.exit(__doc__)
    for path, data in files.items():
        full = os.path.join(ROOT, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as f:
            f.write(data)
    print(f"{len(files)} files, {sum(map(len, files.values()))} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
