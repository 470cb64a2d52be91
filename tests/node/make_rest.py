#!/usr/bin/env python3
"""Writes testdata/rest.zip: cases of the operators that no other archive has, as tests/unit/test_nodes.c asks for one of
each. ONNX Runtime says what to expect; of random operators only type and shape. Needs numpy, onnx and onnxruntime; format:
make_cases.py.
"""
import numpy as np
import onnx
from make_cases import write
from make_contrib import runtime
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(37)
ML, MS = "ai.onnx.ml", "com.microsoft"


def f(*s):
    return (np.round(RNG.normal(size=s) * 16) / 16).astype(np.float32)


def value_proto(x, name):
    if isinstance(x, np.ndarray) and x.dtype == object:
        return helper.make_tensor(name, TensorProto.STRING, x.shape, [str(s).encode() for s in x.reshape(-1)])
    return numpy_helper.from_array(np.asarray(x), name)


def info(n, x):
    kind = TensorProto.STRING if x.dtype.kind in "OU" else helper.np_dtype_to_tensor_dtype(x.dtype)
    return helper.make_tensor_value_info(n, kind, [f"{n}_{i}" for i in range(x.ndim)])


def graph_case(name, nodes, feeds, outs, tol=1e-5, atol=None):
    """outs: names of the results."""
    graph = helper.make_graph(nodes, "g", [info(n, x) for n, x in feeds.items()], [helper.make_empty_tensor_value_info(o) for o in outs])
    opsets = [helper.make_opsetid(d, v) for d, v in (("", 17), (ML, 3), (MS, 1))]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    got = [np.asarray(y) for y in runtime(model, feeds)]
    for k, (o, y) in enumerate(zip(outs, got)):
        graph.output[k].CopyFrom(info(o, y))
        model.graph.output[k].CopyFrom(info(o, y))
    files = [("model.onnx", model.SerializeToString())]
    files += [(f"input_{i}.pb", value_proto(x, n).SerializeToString()) for i, (n, x) in enumerate(feeds.items())]
    files += [(f"output_{i}.pb", value_proto(y, o).SerializeToString()) for i, (o, y) in enumerate(zip(outs, got))]
    return f"rest_{name}", tol, tol if atol is None else atol, files


def case(name, op, inputs, nout=1, domain="", atol=None, **attrs):
    names = [f"x{i}" for i in range(len(inputs))]
    outs = [f"y{o}" for o in range(nout)]
    return graph_case(f"{op}_{name}", [helper.make_node(op, names, outs, domain=domain, **attrs)], dict(zip(names, inputs)), outs, atol=atol)


def standard():
    x = f(2, 3, 5, 6)
    yield case("two", "GlobalLpPool", [x])
    yield case("three", "GlobalLpPool", [x], p=3)
    rois = np.array([[0, 0, 0, 4, 3], [1, 1, 1, 5, 4]], np.float32)
    yield case("plain", "MaxRoiPool", [x, rois], pooled_shape=[2, 2], spatial_scale=1.0)
    nodes = [helper.make_node("SequenceConstruct", ["a", "b", "c"], ["s"]), helper.make_node("SequenceErase", ["s", "at"], ["t"]),
             helper.make_node("ConcatFromSequence", ["t"], ["y"], axis=1)]
    yield graph_case("sequence", nodes, {"a": f(2, 3), "b": f(2, 1), "c": f(2, 2), "at": np.array(1)}, ["y"])
    random = {"atol": np.inf}
    yield case("plain", "Multinomial", [f(2, 4)], sample_size=3, **random)
    yield case("plain", "RandomNormal", [], shape=[2, 3], mean=1.0, **random)
    yield case("plain", "RandomUniform", [], shape=[2, 3], low=1.0, high=2.0, **random)
    yield case("plain", "RandomNormalLike", [f(2, 3)], **random)
    h = f(2, 3)
    mish = helper.make_model(helper.make_graph([helper.make_node("Mish", ["x"], ["y"])], "g", [info("x", h)], [info("y", h)]),
                             opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    want = (h * np.tanh(np.log1p(np.exp(h)))).astype(np.float32)  # its definition: ONNX Runtime has it in newer opsets
    yield "rest_Mish", 1e-5, 1e-5, [("model.onnx", mish.SerializeToString()), ("input_0.pb", value_proto(h, "x").SerializeToString()),
                                    ("output_0.pb", value_proto(want, "y").SerializeToString())]


def ml():
    x, words = f(3, 2), np.array([["a", "bc"], ["onnx", "a"]], object)
    yield case("floats", "Imputer", [np.array([[1, 9], [9, 2]], np.float32)], domain=ML, imputed_value_floats=[5.0, 6.0], replaced_value_float=9.0)
    yield case("ints", "Imputer", [np.array([[1, 9], [9, 2]])], domain=ML, imputed_value_int64s=[5], replaced_value_int64=9)
    for norm in ("MAX", "L1", "L2"):
        yield case(norm, "Normalizer", [np.abs(x) + 1], domain=ML, norm=norm)
    yield case("columns", "Scaler", [x], domain=ML, offset=[0.5, -1.0], scale=[2.0, 0.5])
    yield case("ints", "OneHotEncoder", [np.array([[0, 2], [1, 7]])], domain=ML, cats_int64s=[0, 1, 2], zeros=1)
    yield case("words", "OneHotEncoder", [words], domain=ML, cats_strings=["a", "onnx"], zeros=1)
    yield case("to_ints", "CategoryMapper", [words], domain=ML, cats_int64s=[3, 5], cats_strings=["a", "bc"], default_int64=-1)
    yield case("to_words", "CategoryMapper", [np.array([3, 4, 5])], domain=ML, cats_int64s=[3, 5], cats_strings=["a", "bc"], default_string="?")
    yield case("two", "FeatureVectorizer", [f(2, 2), f(2, 3)], domain=ML, inputdimensions=[2, 3])
    for post in ("NONE", "SOFTMAX", "LOGISTIC"):
        yield case(post.lower(), "LinearRegressor", [x], domain=ML, coefficients=[0.5, 1.0, -1.0, 0.25], intercepts=[0.1, 0.2], targets=2,
                   **({"post_transform": post} if post == "NONE" else {}))
        yield case(post.lower(), "LinearClassifier", [x], 2, ML, coefficients=[0.5, 1.0, -1.0, 0.25, 0.5, 0.5], intercepts=[0.1, 0.2, 0.3],
                   classlabels_ints=[4, 5, 6], post_transform=post)
    vectors = {"kernel_type": "RBF", "kernel_params": [0.5, 0.0, 3.0], "support_vectors": [0.5, 1.0, -1.0, 0.25, 0.75, -0.5]}
    yield case("rbf", "SVMRegressor", [x], domain=ML, coefficients=[1.0, -0.5, 0.25], n_supports=3, rho=[0.125], **vectors)
    yield case("rbf", "SVMClassifier", [x], 2, ML, coefficients=[1.0, -0.5, 0.25], vectors_per_class=[2, 1], rho=[0.125],
               classlabels_ints=[0, 1], **vectors)


def maps():
    """ONNX Runtime's answers are dicts; these are few enough to be written down."""
    numbers = {np.int64(0): np.float32(1.5), np.int64(2): np.float32(2.5)}
    of_maps = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    row = helper.make_tensor_type_proto(TensorProto.FLOAT, [1, None])
    rows = np.array([[1, 2], [3, 4]], np.float32)
    zipped = numpy_helper.from_list([{np.int64(7): a, np.int64(9): b} for a, b in rows], "y")
    for op, x, xt, y, yt, attrs in (
            ("ZipMap", value_proto(rows, "x"), helper.make_tensor_type_proto(TensorProto.FLOAT, [2, 2]), zipped,
             helper.make_sequence_type_proto(of_maps), {"classlabels_int64s": [7, 9]}),
            ("CastMap", numpy_helper.from_dict(numbers, "x"), of_maps, value_proto(np.array([[1.5, 2.5]], np.float32), "y"), row,
             {"cast_to": "TO_FLOAT", "map_form": "DENSE"}),
            ("DictVectorizer", numpy_helper.from_dict(numbers, "x"), of_maps, value_proto(np.array([[2.5, 1.5, 0]], np.float32), "y"), row,
             {"int64_vocabulary": [2, 0, 5]})):
        graph = helper.make_graph([helper.make_node(op, ["x"], ["y"], domain=ML, **attrs)], "g", [helper.make_value_info("x", xt)],
                                  [helper.make_value_info("y", yt)])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(ML, 3)], ir_version=8)
        yield f"rest_{op}", 0, 0, [("model.onnx", model.SerializeToString()), ("input_0.pb", x.SerializeToString()),
                                   ("output_0.pb", y.SerializeToString())]


def microsoft():
    x = f(2, 3, 4)
    yield case("plain", "Gelu", [x], domain=MS)
    yield case("plain", "QuickGelu", [x], domain=MS, alpha=1.5)
    yield case("relu", "FusedConv", [f(1, 2, 5, 5), f(3, 2, 3, 3), f(3)], domain=MS, activation="Relu", pads=[1, 1, 1, 1])
    yield case("clip", "FusedConv", [f(1, 2, 5, 5), f(3, 2, 3, 3)], domain=MS, activation="Clip", activation_params=[-0.5, 0.75])
    q = RNG.integers(0, 256, (2, 3, 4)).astype(np.uint8)
    scale, zero, out, ozero = np.float32(0.02), np.uint8(7), np.float32(0.03), np.uint8(20)
    mean = np.clip(np.round((q.astype("f8") - 7).mean(1, keepdims=True) * 0.02 / 0.03) + 20, 0, 255).astype(np.uint8)
    ins = {"x": q, "s": np.asarray(scale), "z": np.asarray(zero), "t": np.asarray(out), "u": np.asarray(ozero)}
    node = helper.make_node("QLinearReduceMean", list(ins), ["y"], domain=MS, axes=[1], keepdims=1)  # no kernel in ONNX Runtime
    model = helper.make_model(helper.make_graph([node], "g", [info(n, v) for n, v in ins.items()], [info("y", mean)]),
                              opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(MS, 1)], ir_version=8)
    files = [("model.onnx", model.SerializeToString())]
    files += [(f"input_{i}.pb", value_proto(v, n).SerializeToString()) for i, (n, v) in enumerate(ins.items())]
    yield "rest_QLinearReduceMean", 0, 0, [*files, ("output_0.pb", value_proto(mean, "y").SerializeToString())]


if __name__ == "__main__":
    assert onnx.__version__
    write("rest", [c for part in (standard, ml, maps, microsoft) for c in part()])
