#!/usr/bin/env python3
"""Writes testdata/contrib.zip: one-node models of ONNX Runtime's own operators, for tests/unit/test_nodes.c.

What to expect is what ONNX Runtime computes. It has float kernels only for many of them and then converts 16-bit floats
around the node, so these get the tolerance of their type. Needs numpy, onnx and onnxruntime; format: make_cases.py.
    tests/node/make_contrib.py           write the archive
    tests/node/make_contrib.py --list    name the cases
"""
import sys

import numpy as np
import onnxruntime
from make_cases import write
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(29)
KINDS = {np.dtype(np.float16): (2e-3, 2e-3), np.dtype(np.float64): (1e-9, 1e-12)}
MS = "com.microsoft"


def f(*s, dt=np.float32, scale=1.0):
    return (RNG.normal(size=s) * scale).astype(dt)


def i32(*v):
    return np.array(v, np.int32)


def i64(*v):
    return np.array(v, np.int64)


def runtime(model, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, feeds)


def one_node(op, inputs, outs, const, domain, attrs):
    """The model, and its feeds. inputs: None is one left out; const: numbers of those that are initializers."""
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    formal, inits, feeds = [], [], {}
    for i, (n, x) in enumerate(zip(names, inputs)):
        if x is None:
            continue
        if i in const:
            inits.append(numpy_helper.from_array(x, n))
            continue
        feeds[n] = x
        kind = helper.np_dtype_to_tensor_dtype(x.dtype) if x.dtype.kind not in "OU" else TensorProto.STRING
        formal.append(helper.make_tensor_value_info(n, kind, [f"{n}_{k}" for k in range(x.ndim)]))
    wanted = [f"y{o}" if w else "" for o, w in enumerate(outs)]
    node = helper.make_node(op, names, wanted, domain=domain, **attrs)
    values = [helper.make_empty_tensor_value_info(n) for n in wanted if n]
    graph = helper.make_graph([node], "g", formal, values, inits)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(MS, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10), feeds


def case(name, op, inputs, outs=1, rtol=None, atol=None, const=(), domain=MS, expect=None, **attrs):
    """outs: how many outputs, or which (a list of truths). expect: the outputs, where ONNX Runtime cannot run the node
    though its documentation defines it (say why at the call)."""
    inputs = [None if x is None else np.asarray(x) for x in inputs]
    outs = [True] * outs if isinstance(outs, int) else outs
    model, feeds = one_node(op, inputs, outs, const, domain, attrs)
    got = runtime(model, feeds) if expect is None else expect
    for v, y in zip(model.graph.output, got):
        kind = helper.np_dtype_to_tensor_dtype(y.dtype) if y.dtype.kind not in "OU" else TensorProto.STRING
        v.CopyFrom(helper.make_tensor_value_info(v.name, kind, [f"{v.name}_{k}" for k in range(y.ndim)]))
    loose = [KINDS[x.dtype] for x in [*inputs, *got] if x is not None and x.dtype in KINDS]
    rt, at = max(loose, default=(1e-5, 2e-6)) if np.float16 in [x.dtype for x in got] else (1e-5, 2e-6)
    files = [("model.onnx", model.SerializeToString())]
    files += [(f"input_{i}.pb", numpy_helper.from_array(x, n).SerializeToString()) for i, (n, x) in enumerate(feeds.items())]
    files += [(f"output_{i}.pb", numpy_helper.from_array(y, v.name).SerializeToString())
              for i, (v, y) in enumerate(zip(model.graph.output, got))]
    return f"ms_{op}_{name}", rtol or rt, atol or at, files


# ---- products ----

def products():
    for dt in (np.float32, np.float64, np.float16):
        t = dt.__name__
        a, b = f(2, 3, 4, dt=dt), f(2, 4, 5, dt=dt)
        yield case(t, "FusedMatMul", [a, b], alpha=0.5)
        yield case(f"{t}_trans_a", "FusedMatMul", [a.transpose(0, 2, 1).copy(), b], transA=1)
        yield case(f"{t}_trans_b", "FusedMatMul", [a, b.transpose(0, 2, 1).copy()], transB=1, alpha=-2.0)
        yield case(f"{t}_const", "FusedMatMul", [a, f(5, 4, dt=dt)], transB=1, const=(1,))
    a, b = f(3, 2, 4), f(4, 2, 5)
    yield case("batch_a", "FusedMatMul", [a, f(2, 4, 5)], transBatchA=1)
    yield case("batch_b", "FusedMatMul", [f(2, 3, 4), b], transBatchB=1)
    yield case("batch_both", "FusedMatMul", [f(3, 6, 2, 4), f(4, 6, 2, 5)], transBatchA=1, transBatchB=1, alpha=0.25)
    yield case("batch_a_trans", "FusedMatMul", [f(4, 2, 3), f(2, 4, 5)], transBatchA=1, transA=1)
    yield case("batch_b_trans", "FusedMatMul", [f(2, 3, 4), f(5, 2, 4)], transBatchB=1, transB=1)
    yield case("vectors", "FusedMatMul", [f(4), f(4)], alpha=3.0)
    yield case("vector_left", "FusedMatMul", [f(4), f(3, 4, 5)], transA=1)
    yield case("vector_right", "FusedMatMul", [f(2, 3, 4), f(4)], transB=1)
    yield case("broadcast", "FusedMatMul", [f(2, 1, 4, 3), f(5, 4, 2)], transA=1)
    yield case("tall_const", "FusedMatMul", [f(2, 3, 4), f(4, 7)], const=(1,), alpha=1.5)
    yield case("empty", "FusedMatMul", [f(0, 3, 4), f(4, 2)])
    yield case("no_inner", "FusedMatMul", [f(2, 0), f(0, 3)])
    yield case("plain", "TransposeMatMul", [f(2, 4, 3), f(2, 4, 5)], transA=1, alpha=0.125)
    a, b, c = f(3, 4), f(4, 5), f(5)
    acts = {"Relu": {}, "Sigmoid": {}, "Tanh": {}, "Softplus": {}, "Softsign": {}, "LeakyRelu": {"alpha": 0.3},
            "Elu": {"alpha": 0.7}, "HardSigmoid": {"alpha": 0.3, "beta": 0.4}, "ThresholdedRelu": {"alpha": 0.5},
            "Celu": {"alpha": 0.8}, "Selu": {"alpha": 1.6, "gamma": 1.1}}
    for act, values in acts.items():
        values = {f"activation_{k}": v for k, v in values.items()}
        try:
            yield case(act, "FusedGemm", [a, b, c], activation=act, alpha=0.5, beta=2.0, **values)
        except Exception as e:  # an activation that ONNX Runtime cannot fuse
            print(f"FusedGemm {act}: {str(e)[:90]}", file=sys.stderr)
    yield case("trans_const", "FusedGemm", [f(4, 3), f(5, 4), f(3, 1)], const=(1,), transA=1, transB=1, activation="Tanh")
    yield case("no_c", "FusedGemm", [a, b], activation="Relu")


# ---- normalizations ----

def norms():
    for dt in (np.float32, np.float64, np.float16):
        t = dt.__name__
        x, g = f(2, 3, 8, dt=dt), f(8, dt=dt)
        yield case(t, "SimplifiedLayerNormalization", [x, g], domain="", epsilon=1e-3)
        yield case(f"{t}_inv", "SimplifiedLayerNormalization", [x, g], 2, domain="")
    yield case("axis", "SimplifiedLayerNormalization", [f(2, 3, 4), f(3, 4)], domain="", axis=1)


def all_cases():
    yield from products()
    yield from norms()


if __name__ == "__main__":
    made = list(all_cases())
    if sys.argv[1:] == ["--list"]:
        print("\n".join(c[0] for c in made))
    else:
        write("contrib", made)
