#!/usr/bin/env python3
"""Writes testdata/nodes.zip: one-node models with inputs and expected outputs, for tests/unit/test_nodes.c.

Most come from the onnx package's backend tests (Apache-2.0, Copyright ONNX Project Contributors); forms that only
old opsets had are written here, with numpy working out what to expect. Needs numpy, onnx and onnxruntime. The archive has one
member, nodes.bin: for each case a line "case NAME RTOL ATOL", then per file a line "file NAME BYTES" and the
bytes; kept as one stream because that packs ten times better than many small files.
"""
import os
import sys
import warnings
import zipfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

warnings.filterwarnings("ignore")
LIMIT = 6000  # bytes a case; the few larger ones show nothing that a small one does not

SKIP = {  # name: why what the package expects is not what we test
    "test_image_decoder_decode_jpeg2k_rgb": "its library may be missing; `make conformance` runs it",
    "test_image_decoder_decode_webp_rgb": "its library may be missing; `make conformance` runs it",
    "test_training_dropout": "random numbers of numpy's generator",
    "test_training_dropout_default": "random numbers of numpy's generator",
    "test_training_dropout_mask": "random numbers of numpy's generator",
    "test_training_dropout_default_mask": "random numbers of numpy's generator",
    "test_resize_downsample_scales_cubic_align_corners": "positions from the unrounded output size",
    "test_resize_downsample_scales_linear_align_corners": "positions from the unrounded output size",
}


# Drawn from another generator: type and shape must be right, tests/unit/test_random.c looks at the values.
RANDOM = ("test_bernoulli", "test_random", "test_multinomial")

# name: absolute tolerance, where what the package expects carries an error of its own
ATOL = {  # transforms that numpy computed in float32: zeros come out as 2e-6
    "test_dft_inverse": 1e-5,
    "test_dft_inverse_opset19": 1e-5,
}


def value_proto(x, name, kind):
    if isinstance(x, TensorProto):
        return x
    if kind == "sequence_type":
        return numpy_helper.from_list(x, name)
    if kind == "optional_type":
        return numpy_helper.from_optional(x, name)
    return numpy_helper.from_array(np.asarray(x), name)


def low_precision(model):
    text = {TensorProto.BFLOAT16, TensorProto.FLOAT16}
    return any(v.type.tensor_type.elem_type in text for v in model.graph.output)


def skipped(name):
    # What NaN becomes in a type without NaN is open; we take the largest value.
    return name in SKIP or ("FLOAT4E2M1" in name and "_FLOAT4E2M1_to" not in name)


def backend_cases():
    from onnx.backend.test.case.node import collect_testcases

    for c in collect_testcases(None):
        if skipped(c.name):
            continue
        files = [("model.onnx", c.model.SerializeToString())]
        try:
            for part, values, formal in (
                ("input", c.data_sets[0][0], c.model.graph.input),
                ("output", c.data_sets[0][1], c.model.graph.output),
            ):
                for i, x in enumerate(values):
                    p = value_proto(x, formal[i].name, formal[i].type.WhichOneof("value"))
                    files.append((f"{part}_{i}.pb", p.SerializeToString()))
        except (TypeError, ValueError) as e:
            print(f"{c.name}: left out: {e}", file=sys.stderr)
            continue
        # A chain of operators in 16 bits rounds at every step.
        rtol = max(c.rtol, 2e-2) if low_precision(c.model) else c.rtol
        atol = np.inf if c.name.startswith(RANDOM) else ATOL.get(c.name, c.atol)
        yield c.name, rtol, max(atol, 1e-2) if rtol > c.rtol else atol, files


def case(case_name, version, op, inputs, outputs, domain="", **attrs):
    """inputs, outputs: arrays; None is an input left out."""
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    given = [(n, x) for n, x in zip(names, inputs) if x is not None]

    def info(n, x):
        dt = helper.np_dtype_to_tensor_dtype(x.dtype)
        return helper.make_tensor_value_info(n, dt, [f"{n}_{i}" for i in range(x.ndim)])

    outs = [(f"y{i}", y) for i, y in enumerate(outputs)]
    node = helper.make_node(op, names, [n for n, _ in outs], domain=domain, **attrs)
    graph = helper.make_graph([node], "g", [info(*g) for g in given], [info(*o) for o in outs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, version)], ir_version=8)
    files = [("model.onnx", model.SerializeToString())]
    files += [(f"input_{i}.pb", numpy_helper.from_array(x, n).SerializeToString()) for i, (n, x) in enumerate(given)]
    files += [(f"output_{i}.pb", numpy_helper.from_array(y, n).SerializeToString()) for i, (n, y) in enumerate(outs)]
    return f"{op}-{version}_{case_name}", 1e-5, 1e-6, files


def old_cases():
    rng = np.random.default_rng(7)

    def f(*s):
        return rng.normal(size=s).astype(np.float32)

    def i(*v):
        return np.array(v, np.int64)

    a, b, c = f(2, 3, 4), f(3), f(4)
    for op, fn in (("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply), ("Div", np.divide)):
        yield case("axis", 6, op, [a, b], [fn(a, b[:, None])], broadcast=1, axis=1)
        yield case("negative_axis", 6, op, [a, b], [fn(a, b[:, None])], broadcast=1, axis=-2)
        yield case("suffix", 1, op, [a, c], [fn(a, c)], broadcast=1)
        yield case("same", 1, op, [a, a + 1], [fn(a, a + 1)])
        for shape in ((), (0, 3), (1,)):
            x = f(*shape)
            yield case(f"shape{len(shape)}_{x.size}", 14, op, [x, x + 1], [np.asarray(fn(x, x + 1))])
    x, y = i(7, -7, 5, -2**63), i(2, 2, 0, -1)
    yield case("zero_and_lowest", 14, "Div", [x, y], [i(3, -3, 0, -2**63)])
    yield case("zero_and_lowest", 13, "Mod", [x, y], [i(1, 1, 0, 0)])
    yield case("fmod", 13, "Mod", [x, y], [i(1, -1, 0, 0)], fmod=1)
    yield case("mixed", 13, "Pow", [a * a + 1, i(2)], [((a * a + 1) ** 2).astype(np.float32)])
    yield case("axis", 1, "Pow", [a * a + 1, b], [np.power(a * a + 1, b[:, None])], broadcast=1, axis=1)
    m, n = a > 0, b > 0
    for op, fn in (("And", np.logical_and), ("Or", np.logical_or), ("Xor", np.logical_xor)):
        yield case("axis", 1, op, [m, n], [fn(m, n[:, None])], broadcast=1, axis=1)
    for op, fn in (("Greater", np.greater), ("Less", np.less)):
        yield case("axis", 1, op, [a, b], [fn(a, b[:, None])], broadcast=1, axis=1)
    yield case("attributes", 6, "Clip", [a], [np.clip(a, -0.5, 0.25)], min=-0.5, max=0.25)
    yield case("one_attribute", 6, "Clip", [a], [np.minimum(a, 0.25)], max=0.25)
    yield case("no_bounds", 13, "Clip", [a], [a])
    yield case("only_max", 13, "Clip", [i(1, 5, 9), None, np.array(6)], [i(1, 5, 6)])
    yield case("one_input", 8, "Max", [a], [a])
    yield case("three", 13, "Mean", [a, b[:, None], c], [(a + b[:, None] + c) / 3])
    yield case("attribute", 1, "Reshape", [a], [a.reshape(3, 8)], shape=[3, -1])
    yield case("zero_copies", 5, "Reshape", [a, i(0, -1)], [a.reshape(2, 12)])
    yield case("empty_and_minus_one", 14, "Reshape", [f(0, 3, 4), i(0, -1)], [np.zeros((0, 12), np.float32)])
    yield case("allowzero", 14, "Reshape", [f(0, 3), i(3, 0)], [np.zeros((3, 0), np.float32)], allowzero=1)
    yield case("attribute", 11, "Squeeze", [a[:1, :, :]], [a[0]], axes=[0])
    yield case("all", 13, "Squeeze", [a[:1, :1, :]], [a[0, 0]])
    yield case("attribute", 1, "Unsqueeze", [b], [b[None, :, None]], axes=[0, 2])
    yield case("attribute", 11, "Unsqueeze", [b], [b[None, :, None]], axes=[-1, 0])
    yield case("one_axis", 1, "Tile", [b, np.array(3.0, np.float32), np.array(0.0, np.float32)], [np.tile(b, 3)])
    yield case("attributes", 1, "Slice", [a], [a[:, 1:3, -2:]], starts=[1, -2], ends=[3, 1000], axes=[1, 2])
    yield case("no_axes", 1, "Slice", [a], [a[1:, :2]], starts=[1, 0], ends=[2, 2])
    yield case("backwards", 13, "Slice", [a, i(-1), i(-2**63), i(2), i(-2)], [a[:, :, ::-2]])
    yield case("huge_step", 13, "Slice", [a, i(1), i(2**63 - 1), i(2), i(2**62)], [a[:, :, 1:2]])
    yield case("empty", 13, "Slice", [a, i(3), i(1), i(2)], [a[:, :, 3:1]])
    yield case("default_axis", 1, "Concat", [a, a], [np.concatenate([a, a], 1)])
    yield case("with_empty", 13, "Concat", [a, f(2, 0, 4)], [a], axis=1)
    yield case("attribute", 2, "Split", [c], [c[:1], c[1:]], split=[1, 3], axis=0)
    yield case("input", 1, "Split", [c, np.array([1, 3], np.float32)], [c[:1], c[1:]], axis=0, split=[1, 3])
    yield case("uneven", 18, "Split", [i(*range(7))], [i(0, 1, 2), i(3, 4, 5), i(6)], num_outputs=3)
    yield case("axes", 11, "ReduceSum", [a], [a.sum((0, 2))], axes=[0, -1], keepdims=0)
    yield case("all", 1, "ReduceMean", [a], [a.mean(keepdims=True)])
    yield case("middle_kept", 18, "ReduceMax", [a, i(0, 2)], [a.max((0, 2), keepdims=True)])
    yield case("noop", 18, "ReduceSumSquare", [a], [a * a], noop_with_empty_axes=1)
    yield case("empty", 18, "ReduceProd", [f(2, 0), i(1)], [np.ones(2, np.float32)], keepdims=0)
    yield case("empty", 20, "ReduceMax", [f(2, 0), i(1)], [np.full(2, -np.inf, np.float32)], keepdims=0)
    yield case("last", 12, "ArgMax", [i(3, 1, 3)], [i(2)], axis=0, select_last_index=1)
    yield case("text_type", 1, "Cast", [a], [a.astype(np.int32)], to="INT32")
    yield case("attribute", 1, "TopK", [c], [np.sort(c)[::-1][:2].copy(), np.argsort(-c)[:2]], k=2)
    yield case("ties", 11, "TopK", [i(2, 1, 2, 1), i(3)], [i(1, 1, 2), i(1, 3, 0)], largest=0)
    yield case("largest_int64", 11, "TopK", [i(2**62 + 1, 2**62), i(1)], [i(2**62 + 1), i(0)])
    yield case("scatter", 9, "Scatter", [c, i(3, 0), c[:2]], [np.array([c[1], c[1], c[2], c[0]])])
    yield case("scalar_index", 13, "Gather", [a, np.array(-1)], [a[:, -1]], axis=1)
    yield case("scalars", 11, "Range", [np.array(5.0), np.array(1.0), np.array(-1.5)], [np.arange(5.0, 1.0, -1.5)])
    yield case("none", 11, "Range", [i(3)[0].reshape(()), i(1)[0].reshape(()), i(1)[0].reshape(())], [i()])
    yield case("scalar", 13, "NonZero", [np.array(3.0, np.float32)], [np.zeros((1, 1), np.int64)])
    yield case("to_nothing", 13, "Expand", [f(1, 3), i(0, 3)], [np.zeros((0, 3), np.float32)])
    yield case("keep_depth", 11, "OneHot", [i(1, -1, 7), np.array(3.0, np.float32), np.array([5, 9], np.int32)],
               [np.array([[5, 9, 5], [5, 5, 9], [5, 5, 5]], np.int32)])
    t = {"nodes_treeids": [0] * 3, "nodes_nodeids": [0, 1, 2], "nodes_featureids": [1, 0, 0],
         "nodes_values": [0.5, 0.0, 0.0], "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
         "nodes_truenodeids": [1, 0, 0], "nodes_falsenodeids": [2, 0, 0]}
    xs = np.array([[9, 0.5], [9, 0.6], [9, np.nan]], np.float32)
    yield case("one_tree", 3, "TreeEnsembleRegressor", [xs], [np.array([[1], [2], [2]], np.float32)],
               domain="ai.onnx.ml", n_targets=1, target_treeids=[0, 0], target_nodeids=[1, 2], target_ids=[0, 0],
               target_weights=[1.0, 2.0], **t)
    yield case("two_classes", 3, "TreeEnsembleClassifier", [xs],
               [i(7, 8, 8), np.array([[1, -1], [-1, 1], [-1, 1]], np.float32)],
               domain="ai.onnx.ml", classlabels_int64s=[7, 8], class_treeids=[0, 0], class_nodeids=[1, 2],
               class_ids=[0, 0], class_weights=[-1.0, 1.0], **t)
    yield case("missing_goes_left", 3, "TreeEnsembleRegressor", [xs], [np.array([[1], [2], [1]], np.float32)],
               domain="ai.onnx.ml", n_targets=1, target_treeids=[0, 0], target_nodeids=[1, 2], target_ids=[0, 0],
               target_weights=[1.0, 2.0], nodes_missing_value_tracks_true=[1, 0, 0], **t)


def more_cases():
    """Forms that the package has no case for, expected values by numpy."""
    rng = np.random.default_rng(11)

    def f(*s):
        return rng.normal(size=s).astype(np.float32)

    def i(*v):
        return np.array(v, np.int64)

    def parts(z):
        return np.stack([z.real, z.imag], -1).astype(np.float32)

    for n in (1, 2, 3, 7, 8, 12, 16, 17, 100):
        x, z = f(2, n, 3, 1), f(2, n, 2)
        yield case(f"real{n}", 20, "DFT", [x, None, np.array(1)], [parts(np.fft.fft(x[..., 0].astype(float), axis=1))])
        c = z[..., 0].astype(float) + 1j * z[..., 1]
        yield case(f"inverse{n}", 20, "DFT", [z], [parts(np.fft.ifft(c))], inverse=1)
        yield case(f"onesided{n}", 17, "DFT", [x], [parts(np.fft.rfft(x[..., 0].astype(float), axis=1))], onesided=1)
        yield case(f"to_real{n}", 20, "DFT", [z, np.array(2 * n - 1)],
                   [np.fft.irfft(c, 2 * n - 1)[..., None].astype(np.float32)], inverse=1, onesided=1)
    x = f(2, 5, 1)
    for n in (3, 9):
        yield case(f"length{n}", 20, "DFT", [x, np.array(n)], [parts(np.fft.fft(x[..., 0].astype(float), n))])
    yield case("double", 17, "DFT", [x.astype(float)], [parts(np.fft.fft(x[..., 0].astype(float))).astype(float)])
    sig, win = f(1, 20, 1), f(6)
    frames = np.stack([sig[0, k:k + 6, 0] * win for k in range(0, 15, 4)])[None].astype(float)
    yield case("window", 17, "STFT", [sig, np.array(4), win], [parts(np.fft.rfft(frames))])
    yield case("both_sides", 17, "STFT", [sig, np.array(4), win, np.array(6)], [parts(np.fft.fft(frames))], onesided=0)
    yield case("symmetric", 17, "HannWindow", [np.array(9)], [np.hanning(9).astype(np.float32)], periodic=0)
    yield case("none", 17, "BlackmanWindow", [np.array(0)], [np.zeros(0, np.float32)])
    yield case("double", 17, "BlackmanWindow", [np.array(8, np.int32)], [np.blackman(9)[:8]], output_datatype=11)
    m = f(3, 4, 4)
    yield case("batch", 11, "Det", [m], [np.linalg.det(m)])
    yield case("empty", 11, "Det", [f(2, 0, 0)], [np.ones(2, np.float32)])
    yield case("singular", 22, "Det", [np.ones((3, 3))], [np.array(0.0)])

    def t(*v):
        return np.array(v, object)

    yield case("space", 20, "StringSplit", [t(" a  b ", "", " \t", "c")],
               [np.array([["a", "b"], ["", ""], ["", ""], ["c", ""]], object), i(2, 0, 0, 1)])
    yield case("space_once", 20, "StringSplit", [t("  a b  c ")], [np.array([["a", "b  c "]], object), i(2)], maxsplit=1)
    yield case("empty_text", 20, "StringSplit", [t("", ",", "a,,b")],
               [np.array([["", "", ""], ["", "", ""], ["a", "", "b"]], object), i(1, 2, 3)], delimiter=",")
    yield case("twice", 20, "StringSplit", [t("a--b--c--d")], [np.array([["a", "b", "c--d"]], object), i(3)],
               delimiter="--", maxsplit=2)
    yield case("column_row", 20, "StringConcat", [t("a", "b").reshape(2, 1), t("x", "", "z")],
               [np.array([["ax", "a", "az"], ["bx", "b", "bz"]], object)])
    words = t("The", "\u00c9t\u00e9", "\u0416", "x", "THE")
    yield case("fold", 10, "StringNormalizer", [words], [t("\u00e9t\u00e9", "\u0436", "x")], case_change_action="LOWER",
               stopwords=["the"])
    yield case("upper", 10, "StringNormalizer", [words], [t("THE", "\u00c9T\u00c9", "\u0416", "X", "THE")],
               case_change_action="UPPER")
    yield case("exact", 10, "StringNormalizer", [words.reshape(1, 5)], [words[1:].reshape(1, 4)], is_case_sensitive=1,
               stopwords=["The", "\u00c9T\u00c9"])
    grams = dict(min_gram_length=1, max_gram_length=2, ngram_counts=[0, 2], ngram_indexes=[2, 0, 1, 3],
                 pool_int64s=[2, 3, 5, 4, 2, 2])
    tokens = i(2, 2, 5, 4, 2, 3, 3)
    yield case("skips", 9, "TfIdfVectorizer", [tokens], [np.array([2, 1, 3, 3], np.float32)], mode="TF",
               max_skip_count=3, **grams)
    yield case("idf", 9, "TfIdfVectorizer", [tokens], [np.array([20, 30, 10, 40], np.float32)], mode="IDF",
               max_skip_count=3, weights=[10.0, 20.0, 30.0, 40.0], **grams)
    yield case("tfidf_rows", 9, "TfIdfVectorizer", [tokens.astype(np.int32)[None]],
               [np.array([[40, 30, 30, 40]], np.float32)], mode="TFIDF", max_skip_count=0,
               weights=[10.0, 20.0, 30.0, 40.0], **grams)
    a, b = f(3, 4), f(3, 4)
    yield case("alpha", 28, "SwiGLU", [a, b], [(a / (1 + np.exp(-0.5 * a.astype(float))) * b).astype(np.float32)],
               alpha=0.5)
    box = np.array([[[0, 0, 1, 1], [0, 0.1, 1, 1.1], [5, 5, 4, 4]]], np.float32)
    score = np.array([[[0.5, np.nan, 0.5]]], np.float32)
    yield case("ties_and_nan", 11, "NonMaxSuppression", [box, score, i(3), np.array([0.5], np.float32)],
               [np.array([[0, 0, 0], [0, 0, 2]], np.int64)])
    yield case("none_asked", 10, "NonMaxSuppression", [box, score], [np.zeros((0, 3), np.int64)])


def runtime_case(name, op, inputs, nout=1, rtol=1e-5, atol=1e-6, **attrs):
    """An operator of com.microsoft; ONNX Runtime, whose operators these are, says what to expect."""
    inputs = [x if x is None else np.asarray(x) for x in inputs]
    outputs = [np.zeros((), np.float32)] * nout
    full, _, _, files = case(name, 1, op, inputs, outputs, domain="com.microsoft", **attrs)
    model = onnx.load_from_string(files[0][1])
    for o in model.graph.output:
        o.type.Clear()
    for info, x in zip(model.graph.input, [x for x in inputs if x is not None]):
        for d, n in zip(info.type.tensor_type.shape.dim, x.shape):
            d.dim_value = n
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    got = session.run(None, {f"x{i}": x for i, x in enumerate(inputs) if x is not None})
    _, _, _, files = case(name, 1, op, inputs, got, domain="com.microsoft", **attrs)
    return f"com_{full}", rtol, atol, files


def contrib_cases():
    rng = np.random.default_rng(13)

    def f(*s):
        return rng.normal(size=s).astype(np.float32)

    def q(dt, *s):
        return rng.integers(np.iinfo(dt).min, np.iinfo(dt).max, size=s, endpoint=True).astype(dt)

    def scale(v):
        return np.array(v, np.float32)

    x, skip, g, b = f(2, 3, 8), f(2, 3, 8), f(8), f(8)
    yield runtime_case("plain", "SkipLayerNormalization", [x, skip, g, b, None])
    yield runtime_case("sum", "SkipLayerNormalization", [x, f(3, 8), g, None, f(8)], epsilon=1e-3)
    yield runtime_case("plain", "SkipSimplifiedLayerNormalization", [x, skip, g], epsilon=1e-5)
    yield runtime_case("bias", "SkipSimplifiedLayerNormalization", [x, skip, g, b], epsilon=1e-5)
    yield runtime_case("plain", "BiasGelu", [x, b])
    yield runtime_case("plain", "FastGelu", [x])
    yield runtime_case("bias", "FastGelu", [x, b])
    yield runtime_case("batch", "Inverse", [f(3, 4, 4)], rtol=1e-3, atol=1e-4)
    ids = rng.integers(0, 10, (2, 3)).astype(np.int32)
    seg = rng.integers(0, 2, (2, 3)).astype(np.int32)
    mask = np.array([[1, 1, 0], [1, 0, 0]], np.int32)
    yield runtime_case("plain", "EmbedLayerNormalization", [ids, seg, f(10, 8), f(5, 8), f(2, 8), g, b, mask], nout=2)
    yield runtime_case("no_segments", "EmbedLayerNormalization", [ids, None, f(10, 8), f(5, 8), None, g, b], nout=2)
    for dt in (np.uint8, np.int8):
        t = dt.__name__
        z, z2, z3 = q(dt), q(dt), q(dt)
        a, c = q(dt, 2, 3, 4), q(dt, 3, 1)
        one, two = scale(0.02), scale(0.031)
        yield runtime_case(t, "QLinearAdd", [a, one, z, c, two, z2, scale(0.05), z3])
        yield runtime_case(t, "QLinearMul", [a, one, z, c, two, z2, scale(0.05), z3])
        yield runtime_case(t, "QLinearSigmoid", [a, one, z, scale(1 / 256), z2])
        yield runtime_case(t, "QLinearLeakyRelu", [a, one, z, two, z2], alpha=0.2)
        yield runtime_case(t, "QLinearGlobalAveragePool", [q(dt, 2, 3, 5, 5), one, z, two, z2])
        yield runtime_case(f"{t}_last", "QLinearGlobalAveragePool", [q(dt, 2, 5, 5, 3), one, z, two, z2], channels_last=1)
        yield runtime_case(t, "QLinearConcat", [two, z3, a, one, z, q(dt, 2, 1, 4), two, z2], axis=1)
        yield runtime_case(t, "QLinearSoftmax", [a, scale(0.05), z, scale(1 / 256), z2 * 0], axis=-1, opset=13)
        yield runtime_case(f"{t}_flat", "QLinearSoftmax", [a, scale(0.05), z, scale(1 / 256), z2 * 0], axis=1, opset=12)
        yield runtime_case(t, "QuantizeLinear", [x, scale(0.02), z])
        yield runtime_case(t, "DequantizeLinear", [a, one, z])
        yield runtime_case(f"{t}_axis", "DequantizeLinear", [a, f(3), q(dt, 3)], axis=1)


def write(name, cases, limit=LIMIT):
    """Writes testdata/NAME.zip; cases: (name, rtol, atol, [(file name, bytes)])."""
    out = os.path.join(os.path.dirname(__file__), "..", "..", "testdata", name + ".zip")
    blob, count = bytearray(), 0
    for name, rtol, atol, files in cases:
        if sum(len(d) for _, d in files) > limit:
            continue
        blob += f"case {name} {rtol:g} {atol:g}\n".encode()
        for n, d in files:
            blob += f"file {n} {len(d)}\n".encode() + d
        count += 1
    info = zipfile.ZipInfo("nodes.bin", (2026, 1, 1, 0, 0, 0))
    with zipfile.ZipFile(out, "w") as z:
        z.writestr(info, bytes(blob), zipfile.ZIP_DEFLATED, 9)
    print(f"{count} cases, {os.path.getsize(out)} bytes, onnx {onnx.__version__}")


def main():
    write("nodes", [*old_cases(), *more_cases(), *contrib_cases(), *backend_cases()])


if __name__ == "__main__":
    main()
