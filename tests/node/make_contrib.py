#!/usr/bin/env python3
"""Writes testdata/contrib.zip: one-node models of ONNX Runtime's own operators, for tests/unit/test_nodes.c.

What to expect is what ONNX Runtime computes. It has float kernels only for many of them and then converts 16-bit floats
around the node, so these get the tolerance of their type. Needs numpy, onnx and onnxruntime; format: make_cases.py.
    tests/node/make_contrib.py           write the archive
    tests/node/make_contrib.py --list    name the cases
"""
import math
import multiprocessing
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


def runtime(model, feeds, shared=None):
    """In a process of its own: ONNX Runtime dies of some nodes. shared: {input: output in the same memory}."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply_async(run_here, (model.SerializeToString(), feeds, shared)).get(20)


def run_shared(session, feeds, shared):
    bind = session.io_binding()
    values = {n: onnxruntime.OrtValue.ortvalue_from_numpy(x.copy()) for n, x in feeds.items()}
    for n, v in values.items():
        bind.bind_ortvalue_input(n, v)
    for o in session.get_outputs():
        source = next((i for i, out in shared.items() if out == o.name), None)
        if source:
            bind.bind_ortvalue_output(o.name, values[source])
        else:
            bind.bind_output(o.name)
    session.run_with_iobinding(bind)
    return bind.copy_outputs_to_cpu()


def run_here(model, feeds, shared):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options)
    return run_shared(session, feeds, shared) if shared else session.run(None, feeds)


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
    if "k_quant_type" in attrs:  # the cache's type follows from its width alone
        for v in values[1:]:
            v.CopyFrom(helper.make_tensor_value_info(v.name, TensorProto.INT8 if attrs["kv_cache_bit_width"] == 8 else
                                                     TensorProto.UINT8, None))
    if wanted[-1] == "y3":  # scores, of a type that nothing implies
        values[-1] = helper.make_tensor_value_info("y3", helper.np_dtype_to_tensor_dtype(inputs[0].dtype), None)
    graph = helper.make_graph([node], "g", formal, values, inits)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(MS, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10), feeds


def case(name, op, inputs, outs=1, rtol=None, atol=None, const=(), domain=MS, expect=None, shared=None, **attrs):
    """outs: how many outputs, or which (a list of truths). expect: the outputs, where ONNX Runtime cannot run the node
    though its documentation defines it (say why at the call)."""
    inputs = [None if x is None else np.asarray(x) for x in inputs]
    outs = [True] * outs if isinstance(outs, int) else outs
    model, feeds = one_node(op, inputs, outs, const, domain, attrs)
    try:
        got = runtime(model, feeds, shared) if expect is None else expect
    except Exception as e:
        print(f"{op} {name}: {e}", file=sys.stderr)
        return None
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
        yield case(act, "FusedGemm", [a, b, c], activation=act, alpha=0.5, beta=2.0, **values)
    yield case("trans_const", "FusedGemm", [f(4, 3), f(5, 4), f(3, 1)], const=(1,), transA=1, transB=1, activation="Tanh")
    yield case("no_c", "FusedGemm", [a, b], activation="Relu")


# ---- normalizations ----

def norms():
    for dt in (np.float32, np.float64, np.float16):
        t = dt.__name__
        x, g = f(2, 3, 8, dt=dt), f(8, dt=dt)
        yield case(t, "SimplifiedLayerNormalization", [x, g], domain="", epsilon=1e-3)
        yield case(f"{t}_inv", "SimplifiedLayerNormalization", [x, g], 2, domain="")
    for dt in (np.float32, np.float16):
        t = dt.__name__
        x, skip, g, b = f(2, 3, 8, dt=dt), f(2, 3, 8, dt=dt), f(8, dt=dt), f(8, dt=dt)
        yield case(t, "SkipLayerNormalization", [x, skip, g, b, f(8, dt=dt)], [True, False, False, True])
        yield case(f"{t}_once", "SkipLayerNormalization", [x, f(1, 3, 8, dt=dt), g], epsilon=1e-3)
        yield case(f"{t}_flat", "SkipLayerNormalization", [x[0], skip[1], g, b])
        yield case(t, "SkipSimplifiedLayerNormalization", [x, skip, g, b], [True, False, False, True], epsilon=1e-5)
        yield case(t, "BiasGelu", [f(2, 3, 8, dt=dt), f(8, dt=dt)])
        yield case(t, "FastGelu", [f(2, 3, 8, dt=dt), f(8, dt=dt)])
        ids, seg, pos = (RNG.integers(0, n, (2, 3)).astype(np.int32) for n in (9, 2, 4))
        tables = [f(9, 8, dt=dt), f(4, 8, dt=dt), f(2, 8, dt=dt), f(8, dt=dt), f(8, dt=dt)]
        mask = i32([1, 1, 0], [1, 1, 1])
        yield case(t, "EmbedLayerNormalization", [ids, seg, *tables, mask], 3, const=(2, 3, 4, 5, 6))
        yield case(f"{t}_positions", "EmbedLayerNormalization", [ids, seg, *tables, None, pos], 2, const=(2, 3, 4, 5, 6),
                   epsilon=1e-2)
        yield case(f"{t}_one_position_row", "EmbedLayerNormalization", [ids, None, *tables[:2], None, *tables[3:], None, pos[:1]], 2,
                   const=(2, 3, 5, 6))
    yield case("empty", "SkipLayerNormalization", [f(0, 3, 8), f(0, 3, 8), f(8)])
    yield case("empty", "BiasGelu", [f(0, 8), f(8)])
    yield case("axis", "SimplifiedLayerNormalization", [f(2, 3, 4), f(3, 4)], domain="", axis=1)


# ---- attention ----

def attentions():
    op = "Attention"
    b, s, w, n, h = 2, 3, 4, 2, 4
    x, weights, bias = f(b, s, w), f(w, 3 * n * h), f(3 * n * h)
    yield case("plain", op, [x, weights, bias], num_heads=n)
    yield case("const", op, [x, weights, bias], const=(1, 2), num_heads=n, scale=0.3)
    # ONNX Runtime dies of a bias that is left out.
    yield case("no_bias", op, [x, weights], num_heads=n, unidirectional=1, expect=runtime(
        *one_node(op, [x, weights, bias * 0], [True], (), MS, {"num_heads": n, "unidirectional": 1})))
    yield case("float16", op, [x.astype(np.float16), weights.astype(np.float16), bias.astype(np.float16)], const=(1, 2),
               num_heads=n)
    yield case("mask_2d", op, [x, weights, bias, i32([1, 1, 0], [1, 0, 0])], num_heads=n)
    yield case("mask_3d", op, [x, weights, bias, RNG.integers(0, 2, (b, s, s)).astype(np.int32)], num_heads=n,
               mask_filter_value=-50.0)
    yield case("mask_3d_causal", op, [x, weights, bias, RNG.integers(0, 2, (b, s, s)).astype(np.int32)], num_heads=n,
               unidirectional=1)
    yield case("ends", op, [x, weights, bias, i32(2, 3)], num_heads=n)
    yield case("ends_begins", op, [x, weights, bias, i32(2, 3, 0, 1)], num_heads=n, unidirectional=1)
    yield case("added", op, [x, weights, bias, None, None, f(1, n, s, s)], num_heads=n)
    yield case("added_masked", op, [x, weights, bias, i32([1, 1, 0], [1, 1, 1]), None, f(b, 1, s, s)], num_heads=n)
    yield case("sizes", op, [x, f(w, 2 * n * h + 6), f(2 * n * h + 6)], num_heads=n, qkv_hidden_sizes=[n * h, n * h, 6])
    past = f(2, b, n, 2, h)
    yield case("past", op, [x, weights, bias, None, past], 2, num_heads=n, unidirectional=1)
    yield case("past_mask", op, [x[:, :1], weights, bias, i32([1, 1, 1], [0, 1, 1]), past], 2, num_heads=n)
    yield case("present", op, [x, weights, bias], 2, num_heads=n)
    yield case("empty_past", op, [x, weights, bias, None, f(2, b, n, 0, h)], 2, num_heads=n, unidirectional=1)
    op = "MultiHeadAttention"
    q, k, v, bias = f(b, s, n * h), f(b, 5, n * h), f(b, 5, n * 3), f(2 * n * h + n * 3)
    yield case("plain", op, [q, k, v], num_heads=n)
    yield case("float16", op, [z.astype(np.float16) for z in (q, k, v)], num_heads=n)
    yield case("bias", op, [q, k, v, bias], num_heads=n, scale=0.7)
    yield case("present_and_qk", op, [q, k, v, bias], 4, num_heads=n)
    yield case("qk_masked", op, [q, k, v, bias, i32([1, 1, 0, 1, 1], [0, 1, 1, 1, 1]), f(1, 1, s, 5)], 4, num_heads=n)
    yield case("lengths", op, [q, k, v, None, i32(3, 5)], num_heads=n)
    yield case("mask_3d", op, [q, k, v, None, RNG.integers(0, 2, (b, s, 5)).astype(np.int32)], num_heads=n,
               mask_filter_value=-9.0)
    yield case("added", op, [q, k, v, None, None, f(b, n, s, 5)], num_heads=n)
    yield case("causal", op, [q, q, q], num_heads=n, unidirectional=1)
    yield case("other_keys", op, [q, f(b, n, 5, h), f(b, n, 5, h)], num_heads=n)
    pk, pv, v, bias = f(b, n, 2, h), f(b, n, 2, h), f(b, 5, n * h), f(3 * n * h)
    yield case("past", op, [q, k, v, bias, None, None, pk, pv], 3, num_heads=n)
    yield case("past_causal", op, [q, f(b, s, n * h), f(b, s, n * h), bias, None, None, pk, pv], 3, num_heads=n,
               unidirectional=1)
    yield case("past_mask", op, [q, k, v, bias, i32([1, 1, 0, 1, 1, 1, 1], [0] + [1] * 6), None, pk, pv], 3, num_heads=n)
    # The documented packed layouts, which ONNX Runtime leaves to its GPU providers; unpacked, it computes the same.
    qkv = f(b, s, n, 3, h)
    q3, k3, v3 = (qkv[:, :, :, i].reshape(b, s, n * h) for i in range(3))
    want = case("unpacked", op, [q3, k3, v3], 3, num_heads=n)
    yield want
    expect = runtime(*one_node(op, [q3, k3, v3], [True] * 3, (), MS, {"num_heads": n}))
    yield case("packed", op, [qkv], 3, num_heads=n, expect=expect)
    yield case("packed_kv", op, [q3, qkv[:, :, :, 1:].copy()], 3, num_heads=n, expect=expect)
    op = "DecoderMaskedMultiHeadAttention"
    q, k, v, hid = f(b, 1, n * h), f(b, 1, n * h), f(b, 1, n * h), n * h
    room = 6
    pk, pv = f(b, n, room, h), f(b, n, room, h)
    tries = {
        "cross": ([q, f(b, n, 5, h), f(b, n, 5, h)], 1, {}),
        "cross_mask": ([q, f(b, n, 5, h), f(b, n, 5, h), i32([1, 1, 1, 0, 0], [1, 1, 1, 1, 1])], 1, {}),
        "self": ([q, k, v, None, None, pk, pv, i32(3)], 3, {"past_present_share_buffer": 1}),
        "self_mask": ([q, k, v, i32([1, 1, 0, 1], [1, 0, 1, 1]), None, pk, pv, i32(3)], 3, {"past_present_share_buffer": 1}),
        "self_bias": ([q, k, v, None, None, pk, pv, i32(3), None, None, f(3 * hid)], 3, {"past_present_share_buffer": 1}),
        "beams": ([q, k, v, None, None, pk, pv, i32(3), i32(2), RNG.integers(0, 2, (1, 2, room)).astype(np.int32)], 3,
                  {"past_present_share_buffer": 1}),
        "added": ([q, k, v, None, f(1, n, 1, 4), pk, pv, i32(3)], 3, {"past_present_share_buffer": 1}),
        "qk": ([q, f(b, n, 5, h), f(b, n, 5, h)], [True, False, False, True], {"output_qk": 1}),
    }
    # One row of queries, keys and values: ONNX Runtime's CPU provider takes it for a row of queries.
    attrs = {"num_heads": n, "past_present_share_buffer": 1}
    expect = runtime(*one_node(op, tries["self"][0], [True] * 3, (), MS, attrs))
    yield case("packed", op, [np.concatenate([q, k, v], 2), None, None, None, None, pk, pv, i32(3)], 3, expect=expect, **attrs)
    for name, (inputs, outs, attrs) in tries.items():
        yield case(name, op, inputs, outs, num_heads=n, **attrs)


def turns(rows, half):
    angle = np.arange(rows)[:, None] * 0.3 ** np.arange(half)[None]
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def rotaries():
    op = "RotaryEmbedding"
    b, s, n, h = 2, 3, 2, 8
    c, sn = turns(10, h // 2)
    x, x4, pos = f(b, s, n * h), f(b, n, s, h), i64([4, 5, 6], [0, 2, 9])
    yield case("flat", op, [x, pos, c, sn])
    yield case("offset", op, [x, i64(3), c, sn])
    yield case("heads", op, [x4, pos, c, sn])
    yield case("interleaved", op, [x, pos, c, sn], interleaved=1)
    yield case("float16", op, [x.astype(np.float16), pos, c.astype(np.float16), sn.astype(np.float16)])
    c2, s2 = turns(10, 2)
    yield case("part", op, [x, pos, c2, s2], num_heads=n, rotary_embedding_dim=4)
    yield case("part_heads", op, [x4, pos, c2, s2], num_heads=n, rotary_embedding_dim=4, interleaved=1)
    yield case("scale", op, [x, pos, c, sn], scale=2.0)
    op = "MRotaryEmbedding"
    pos3 = RNG.integers(0, 10, (3, b, s))
    for inter in (0, 1):
        yield case(f"chunks_{inter}", op, [x, pos3, c, sn], mrope_section=[1, 2, 1], num_heads=n, interleaved=inter)
        yield case(f"woven_{inter}", op, [x4, pos3, c, sn], mrope_section=[2, 1, 1], mrope_layout=1, interleaved=inter)
    yield case("part", op, [x, pos3, c2, s2], mrope_section=[1, 0, 1], num_heads=n, rotary_embedding_dim=4)
    yield case("float16", op, [x.astype(np.float16), pos3, c.astype(np.float16), sn.astype(np.float16)],
               mrope_section=[1, 2, 1], num_heads=n)


def grouped():
    op = "GroupQueryAttention"
    b, s, n, kn, h = 2, 3, 2, 1, 16
    heads = {"num_heads": n, "kv_num_heads": kn}
    q, k, v = f(b, s, n * h), f(b, s, kn * h), f(b, s, kn * h)
    full = [i32(s - 1, s - 1), i32(s)]
    c, sn = turns(12, h // 2)
    none = [None, None]
    wide = [f(b, s, 32), f(b, s, 16), f(b, s, 16), None, None, *full]
    yield case("two_groups", op, wide, 3, num_heads=4, kv_num_heads=2)
    yield case("prompt", op, [q, k, v, *none, *full], 3, **heads)
    yield case("prompt_output", op, [q, k, v, *none, *full], **heads)
    yield case("float16", op, [*(z.astype(np.float16) for z in (q, k, v)), *none, *full], 3, **heads)
    yield case("packed", op, [np.concatenate([q, k, v], 2), *none, *none, *full], 3, **heads)
    yield case("scale_softcap", op, [q, k, v, *none, *full], 3, scale=0.9, softcap=1.5, **heads)
    for inter in (0, 1):
        yield case(f"rotary_{inter}", op, [q, k, v, *none, *full, c, sn], 3, do_rotary=1, rotary_interleaved=inter, **heads)
    yield case("rotary_packed", op, [np.concatenate([q, k, v], 2), *none, *none, *full, c, sn], 3, do_rotary=1, **heads)
    c2, s2 = turns(12, 8)
    half = [f(1, 2, 32), f(1, 2, 32), f(1, 2, 32), *none, i32(1), i32(2), c2, s2]
    yield case("rotary_part", op, half, 3, do_rotary=1, num_heads=1, kv_num_heads=1)
    yield case("rotary_positions", op, [q, k, v, *none, *full, c, sn, i64([0, 1, 2], [3, 5, 7])], 3, do_rotary=1, **heads)
    for size in (1, 2):
        yield case(f"window_{size}", op, [q, k, v, *none, *full], 3, local_window_size=size, **heads)
    yield case("added", op, [q, k, v, *none, *full, *none, None, f(1, n, s, s)], 3, **heads)
    yield case("sink", op, [q, k, v, *none, *full, *none, None, None, f(n)], 3, **heads)
    yield case("smooth", op, [q, k, v, *none, *full], 3, smooth_softmax=1, **heads)
    yield case("smooth_cap_window", op, [q, k, v, *none, *full], 3, smooth_softmax=1, softcap=2.0, local_window_size=2, **heads)
    yield case("both_ways", op, [q, k, v, *none, *full], 3, causal=0, **heads)
    yield case("qk_before", op, [q, k, v, *none, *full], 4, qk_output=1, causal=0, softcap=1.0, **heads)
    yield case("qk_after", op, [q, k, v, *none, *full], 4, qk_output=2, **heads)
    q1, k1, v1 = f(b, 1, n * h), f(b, 1, kn * h), f(b, 1, kn * h)
    pk, pv = f(b, kn, 5, h), f(b, kn, 5, h)
    yield case("token", op, [q1, k1, v1, pk, pv, i32(5, 5), i32(6)], 3, **heads)
    yield case("token_uneven", op, [q1, k1, v1, pk, pv, i32(5, 2), i32(6)], 3, **heads)
    yield case("token_rotary", op, [q1, k1, v1, pk, pv, i32(5, 3), i32(6), c, sn], 3, do_rotary=1, **heads)
    yield case("token_positions", op, [q1, k1, v1, pk, pv, i32(5, 3), i32(6), c, sn, i64([7], [2])], 3, do_rotary=1, **heads)
    yield case("prompt_uneven", op, [q, k, v, *none, i32(1, 2), i32(3), c, sn], 3, do_rotary=1, **heads)
    yield case("token_room", op, [q1, k1, v1, f(b, kn, 9, h), f(b, kn, 9, h), i32(4, 4), i32(5)], 3, **heads)
    yield case("token_window", op, [q1, k1, v1, pk, pv, i32(5, 4), i32(6)], 3, local_window_size=3, **heads)
    yield case("token_packed", op, [np.concatenate([q1, k1, v1], 2), *none, pk, pv, i32(5, 5), i32(6), c, sn], 3, do_rotary=1,
               **heads)
    yield case("several", op, [q[:1], k[:1], v[:1], pk[:1], pv[:1], i32(7), i32(8), c, sn], 3, do_rotary=1, **heads)
    one, each = np.float32([0.021]), np.abs(f(1, kn, 1, h, scale=0.01)) + np.float32(0.02)
    skip, rot = [None] * 3, (c, sn)
    for bits, dt, w in ((8, np.int8, h), (4, np.uint8, h // 2)):
        room = np.iinfo(dt)
        pk, pv = (RNG.integers(room.min, room.max + 1, (b, kn, 5, w)).astype(dt) for _ in range(2))
        no = [pk[:, :, :0], pv[:, :, :0]]
        for kind, scale in (("PER_TENSOR", [one, one * 3]), ("PER_CHANNEL", [each, each * 3])):
            attrs = {"k_quant_type": kind, "v_quant_type": kind, "kv_cache_bit_width": bits, **heads}
            scale = [x if bits == 8 else x * 8 for x in scale]
            yield case(f"{kind}_{bits}_prompt", op, [q, k, v, *no, *full, *rot, *skip, *scale], 3, do_rotary=1, **attrs)
            yield case(f"{kind}_{bits}_token", op, [q1, k1, v1, pk, pv, i32(5, 3), i32(6), *none, *skip, *scale], 3, **attrs)
    slide = {"sliding_window_cache": 1, **heads}
    for room, window in ((3, 3), (5, 3)):
        pk, pv = f(b, kn, room, h), f(b, kn, room, h)
        for total in (2, 4, 6, 9):
            yield case(f"slide_{room}_{total}", op, [q1, k1, v1, pk, pv, i32(total - 1, total - 2), i32(total), c, sn], 3,
                       do_rotary=1, local_window_size=window, **slide)
        one = [z[:1] for z in (q, k, v, pk, pv)]
        yield case(f"slide_{room}_several", op, [*one, i32(8), i32(9), *none, None, f(1, n, s, 9)], 3, local_window_size=window,
                   **slide)
    yield case("slide_prompt", op, [q, k, v, f(b, kn, 2, h), f(b, kn, 2, h), *full], 3, local_window_size=2, **slide)
    # Normalized heads, which ONNX Runtime leaves to its GPU providers: normalized ahead, its CPU provider does the rest.
    wq, wk = f(h), f(h)

    def norm(x, w):
        y = x.reshape(*x.shape[:2], -1, h).astype(np.float64)
        return (y / np.sqrt((y * y).mean(-1, keepdims=True) + 1e-3) * w).reshape(x.shape).astype(np.float32)
    attrs = {"do_rotary": 1, **heads}
    expect = runtime(*one_node(op, [norm(q, wq), norm(k, wk), v, *none, *full, c, sn], [True] * 3, (), MS, attrs))
    yield case("norms", op, [q, k, v, *none, *full, c, sn, *none, None, None, None, wq, wk], 3, expect=expect,
               qk_norm_epsilon=1e-3, **attrs)


# ---- what ai.onnx has too, and gates ----

def same():
    x = f(2, 3, 4)
    yield case("plain", "GatherND", [x, i64([[0, 1]], [[1, 2]])])
    yield case("int32_strings", "GatherND", [np.array([["a", "b"], ["c", "d"]], object), i32([0, 1], [1, 0])])
    for dt in (np.float32, np.float64, np.int64, np.uint8, np.float16):
        yield case(f"{np.dtype(dt).name}", "ExpandDims", [(x * 9).astype(dt), np.array(1, np.int32)])
    yield case("negative", "ExpandDims", [x, np.array(-1, np.int32)])
    for dt in (np.float32, np.float64, np.int64):
        yield case(f"{np.dtype(dt).name}", "Trilu", [(x * 9).astype(dt)])
    yield case("lower", "Trilu", [x, np.array(-1, np.int64)], upper=0)
    yield case("above", "Trilu", [x, np.array(2, np.int64)])
    for mode in ("constant", "reflect", "edge"):
        yield case(mode, "Pad", [x, i64(0, 1, 2, 0, 1, 1)], mode=mode)
    yield case("value", "Pad", [x, i64(0, 1, 2, 0, 0, 1), np.array([3.5], np.float32)])
    yield case("row", "Pad", [x, i64([0, 1, 2, 0, 0, 1])])
    yield case("float32", "SampleOp", [x])
    image, grid = f(1, 2, 4, 5), f(1, 3, 3, 2)
    for mode in ("bilinear", "nearest", "bicubic"):
        for pad in ("zeros", "border", "reflection"):
            if (mode, pad) == ("bicubic", "border"):
                continue  # ONNX Runtime clamps the position, the specification what is read around it
            yield case(f"{mode}_{pad}", "GridSample", [image, grid], mode=mode, padding_mode=pad, align_corners=int(pad != "border"))
    x, w, b = f(2, 3, 5), f(3, 1, 4), f(3)
    yield case("plain", "CausalConvWithState", [x, w], 2)
    yield case("past", "CausalConvWithState", [x, w, b, f(2, 3, 3)], 2, activation="silu")
    bt, hq, hk, d = (1, 3), 2, 2, 4
    q, k, v = f(*bt, hq * d), f(*bt, hk * d), f(*bt, hk * 3)
    decay, beta = -np.abs(f(*bt, hk)), np.abs(f(*bt, hk))
    heads = {"q_num_heads": hq, "kv_num_heads": hk}
    yield case("linear", "LinearAttention", [q, k, v], 2, update_rule="linear", **heads)
    yield case("gated", "LinearAttention", [q, k, v, None, decay], 2, update_rule="gated", **heads)
    yield case("delta", "LinearAttention", [q, k, v, None, None, beta], 2, update_rule="delta", **heads)
    yield case("gated_delta", "LinearAttention", [q, k, v, f(1, hk, d, 3), decay, beta], 2, scale=0.5, **heads)


def soft(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def gates():
    for dt in (np.float32, np.float16):
        t = np.dtype(dt).name
        x, y, g = f(2, 3, 8, dt=dt), f(2, 3, 8, dt=dt), f(2, 3, 1, dt=dt)
        yield case(t, "GatedAdd", [x, y, g])
        yield case(t, "GatedRMSNorm", [x, f(4, dt=dt), y])
        yield case(f"{t}_sigmoid", "GatedRMSNorm", [x, f(8, dt=dt), y], activation="sigmoid", epsilon=1e-2)
        yield case(t, "ScaledSiLU", [x], alpha=1.7)
        yield case(f"{t}_input", "ScaledSiLU", [x, np.array(0.3, np.float32)])
        yield case(t, "BranchwiseRMSNorm", [x])
        yield case(f"{t}_scale", "BranchwiseRMSNorm", [x, f(3, 8)], epsilon=1e-2)
        yield case(f"{t}_flat", "BranchwiseRMSNorm", [x, f(4)], num_branches=2)
        yield case(f"{t}_flat_scale", "BranchwiseRMSNorm", [x, f(8)], num_branches=2)
        a = f(2, 3, 4, dt=dt)
        yield case(t, "LinearAttentionGate", [a, f(4), -np.abs(f(4))])
        yield case(f"{t}_beta", "LinearAttentionGate", [a, f(4), -np.abs(f(4)), f(2, 3, 4, dt=dt)], 2)
    # No CPU kernels in ONNX Runtime: from the definitions.
    x, bias, skip = f(2, 3, 8), f(8), f(2, 3, 8)
    yield case("plain", "BiasAdd", [x, bias, skip], expect=[x + bias + skip])
    left, right = np.split(x + bias, 2, axis=-1)
    erf = np.vectorize(math.erf)
    yield case("plain", "BiasSplitGelu", [x, bias], expect=[(left * 0.5 * right * (1 + erf(right / math.sqrt(2)))).astype("f")])
    x = f(2, 2, 3, 4)
    for name, b, inner in (("inner", f(2, 1, 1, 4), 1), ("outer", f(1, 2, 3, 4), 0), ("same", f(2, 2, 3, 4), 1),
                           ("low_rank", f(3, 4), 0)):
        yield case(name, "BiasSoftmax", [x, b], axis=3, is_inner_broadcast=inner, expect=[soft(x + b, -1)])
    y = soft((x + b).reshape(2, 2, 12), -1).reshape(x.shape)
    yield case("flat_axis", "BiasSoftmax", [x, b], axis=2, is_inner_broadcast=0, expect=[y])


def misc():
    for dt in (np.float32, np.float64, np.int64, np.int32, np.int16):
        t = np.dtype(dt).name
        yield case(t, "Range", [np.array(v, dt) for v in (1, 9, 2)])
        yield case(f"{t}_unit", "Range", [np.array(-2, dt), np.array([3], dt)])
        yield case(f"{t}_const", "Range", [np.array(5, dt), np.array(1, dt), np.array(-3, dt)], const=(0, 1, 2))
    for dt in (np.float32, np.float64):
        for metric in ("euclidean", "sqeuclidean"):
            yield case(f"{np.dtype(dt).name}_{metric}", "CDist", [f(3, 4, dt=dt), f(5, 4, dt=dt)], metric=metric, rtol=1e-4,
                       atol=1e-5)
    a, b = f(3, 4), f(2, 4)
    d = a[:, None] - b[None]
    cosine = 1 - (a @ b.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)
    for metric, y in (("cityblock", np.abs(d).sum(-1)), ("chebyshev", np.abs(d).max(-1)), ("cosine", cosine)):
        yield case(metric, "CDist", [a, b], metric=metric, expect=[y], rtol=1e-5)  # documented, without a CPU kernel
    x = f(2, 7, 3)
    yield case("middle", "UnfoldTensor", [x], dim=1, size=3, step=2)
    yield case("last", "UnfoldTensor", [(x * 5).astype(np.int64)], size=2)
    # In the schema, but not in ONNX Runtime's kernel.
    yield case("strings", "UnfoldTensor", [np.array(["a", "b", "c"], object)], dim=0, size=2,
               expect=[np.array([["a", "b"], ["b", "c"]], object)])
    yield case("plain", "Unique", [np.array([2, 1, 1, 3, 4, 3, -0.0, 0.0], np.float32)], 3)
    yield case("empty", "Unique", [f(0)], 3)
    ids = i64([1, 2, 3, 1, 2], [4, 4, 4, 4, 4], [0, 1, 2, 3, 4])
    for n in (1, 2, 3, 6):
        yield case(f"of_{n}", "NGramRepeatBlock", [ids, f(3, 6)], ngram_size=n)
    for dt in (np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64):
        yield case(f"{np.dtype(dt).name}", "MurmurHash3", [np.array([0, 3, 4], dt)])
    yield case("seed", "MurmurHash3", [i32(7, -1)], positive=0, seed=10)
    yield case("strings", "MurmurHash3", [np.array(["", "a", "ab", "abc", "abcd", "The quick brown fox"], object)])
    image = f(2, 2, 5, 6)
    boxes = np.array([[0, 0, 1, 1], [0.2, 0.1, 0.7, 0.9], [0.8, 1, -0.1, 0.3], [0, 0, 1.3, 1]], np.float32)
    for mode in ("bilinear", "nearest"):
        yield case(mode, "CropAndResize", [image, boxes, i32(0, 1, 1, 0), i32(3, 4)], mode=mode, extrapolation_value=2.5)
        yield case(f"{mode}_one", "CropAndResize", [image, boxes, i32(0, 1, 1, 0), i32(1, 1)], mode=mode)
    a, b = f(2, 3, 2), f(3, 2)
    ca, cb = a[..., 0] + 1j * a[..., 1], b[..., 0] + 1j * b[..., 1]
    for op, y in (("ComplexMul", ca * cb), ("ComplexMulConj", ca * cb.conj())):  # on GPU only
        yield case("broadcast", op, [a, b], expect=[np.stack([y.real, y.imag], -1).astype("f")])
    for dt in (np.float32, np.float64):  # on GPU only
        x = f(2, 3, 8, dt=dt)
        y = np.fft.rfft(x)
        y = np.stack([y.real, y.imag], -1).astype(dt)
        yield case(f"{np.dtype(dt).name}", "Rfft", [x], expect=[y], signal_ndim=1)
        yield case(f"{np.dtype(dt).name}", "Irfft", [y], expect=[x], signal_ndim=1)
    yield case("plain", "DynamicTimeWarping", [f(4, 6)])
    yield case("batch_of_one", "DynamicTimeWarping", [np.abs(f(1, 7, 3))])


def texts():
    x = np.array(["Hello World", "I love computer science !", "", "a  b"], object)
    base = {"mincharnum": 1, "mark": 0, "pad_value": "#"}
    yield case("separator", "Tokenizer", [x], separators=[" "], **base)
    yield case("matrix_mark", "Tokenizer", [x.reshape(2, 2)], separators=[" "], **{**base, "mark": 1})
    yield case("several", "Tokenizer", [np.array(["one, two;three", "x;;y, "], object)], separators=["[,;]", "\\s+"], **base)
    yield case("short_dropped", "Tokenizer", [x], separators=[" "], **{**base, "mincharnum": 2})
    yield case("chars", "Tokenizer", [np.array(["abc", "äöü€", "x"], object)], separators=[""], **base)
    yield case("dot", "Tokenizer", [np.array(["abc", "äö"], object)], tokenexp=".", **{**base, "mark": 1})
    yield case("word", "Tokenizer", [np.array(["It's 12 o'clock, really", "über allem -- Gipfel"], object)],
               tokenexp="[a-zA-Z0-9_]+", **base)
    yield case("longest", "Tokenizer", [np.array(["aabab b", "abc"], object)], tokenexp="a|ab|aab", **base)
    yield case("words_of_two", "Tokenizer", [np.array(["a bb ccc d", "eé ff"], object)], tokenexp="[^ ]+",
               **{**base, "mincharnum": 2})
    yield case("nothing", "Tokenizer", [np.array(["   ", " "], object)], separators=[" "], **base)


def sparse():
    op, n, h, block, room = "SparseAttention", 2, 16, 16, 32
    rows, cols = i32([0, 1, 3], [0, 1, 2]), i32([0, 0, 1], [0, 1, -1])
    attrs = {"num_heads": n, "kv_num_heads": 1, "sparse_block_size": block}
    pk, pv = f(1, 1, room, h), f(1, 1, room, h)
    s, one = 18, {"x3": "y1", "x4": "y2"}  # past and present are one buffer
    q, k, v = f(1, s, n * h), f(1, s, h), f(1, s, h)
    c, sn = turns(room, h // 2)
    yield case("prompt", op, [q, k, v, pk, pv, rows, cols, i32(s), i32(s)], 3, shared=one, **attrs)
    yield case("packed_rotary", op, [np.concatenate([q, k, v], 2), None, None, pk, pv, rows, cols, i32(s), i32(s), c, sn], 3,
               do_rotary=1, shared=one, **attrs)
    yield case("token", op, [q[:, :1], k[:, :1], v[:, :1], pk, pv, rows, cols, i32(25), i32(25), c, sn], 3, do_rotary=1,
               scale=0.5, shared=one, **attrs)


def hyper():
    for dt in (np.float32, np.float16):
        t, c, h = np.dtype(dt).name, 3, 4
        x, flat = f(2, 2, c, h, dt=dt), f(2, 2, c * h, dt=dt)
        for name, shape in (("branch", (2, 2, c)), ("branch_axis", (2, 2, c, 1)), ("feature", (2, 2, c, h))):
            yield case(f"{t}_{name}", "HyperConnectionPreMix", [x, f(*shape, dt=dt)], reduction_scale=0.5)
            yield case(f"{t}_{name}", "HyperConnectionPostMix", [x, f(2, 2, h, dt=dt), f(*shape, dt=dt)])
        yield case(f"{t}_flat", "HyperConnectionPreMix", [flat, f(2, 2, c * h)], num_branches=c)
        yield case(f"{t}_flat", "HyperConnectionPostMix", [flat, f(2, 2, h, dt=dt), f(2, 2, c), f(2, 2, c, c)], num_branches=c)
        yield case(f"{t}_mixed", "HyperConnectionPostMix", [x, f(2, 2, h, dt=dt), f(2, 2, c), f(2, 2, c, c)])
        inputs = [x, f(2, 2, c, h, dt=dt), f(2, 2, h, dt=dt), f(c, h, dt=dt), f(c, h, dt=dt), f(c, h, dt=dt)]
        yield case(t, "EngramGate", inputs[:5])
        yield case(f"{t}_normed", "EngramGate", inputs, 2, epsilon=1e-2)


def experts():
    n, h, inter, e = 5, 6, 4, 3
    x, router = f(n, h), f(n, e)
    one = [f(e, inter, h), f(e, inter), f(e, h, inter), f(e, h)]
    two = [f(e, 2 * inter, h), f(e, 2 * inter), f(e, h, inter), f(e, h)]
    for act in ("relu", "gelu", "silu", "identity"):
        yield case(act, "MoE", [x, router, *one], activation_type=act, rtol=1e-4, atol=1e-5)
    yield case("no_bias", "MoE", [x, router, one[0], None, one[2]], k=2, rtol=1e-4, atol=1e-5)
    for k in (1, 2, 3):
        for norm in (0, 1):
            yield case(f"best_{k}_{norm}", "MoE", [x.reshape(1, n, h), router, *one], k=k, normalize_routing_weights=norm,
                       rtol=1e-4, atol=1e-5)
    swi = {"k": 2, "activation_type": "swiglu", "activation_alpha": 1.702, "activation_beta": 1.0, "swiglu_limit": 0.8}
    yield case("swiglu_1", "MoE", [x, router, *two], swiglu_fusion=1, rtol=1e-4, atol=1e-5, **swi)
    # ONNX Runtime's CPU provider wants gate and linear rows to alternate: the other layouts, rearranged, are the same.
    g, lin = ([w[:, i::2].copy() for w in two[:2]] for i in (0, 1))

    def expect(**attrs):
        attrs = {**attrs, "swiglu_fusion": 1}
        return runtime(*one_node("MoE", [x, router, *two], [True], (), MS, attrs))
    halves = [np.concatenate([a, b], 1) for a, b in zip(g, lin)]
    yield case("swiglu_2", "MoE", [x, router, *halves, *two[2:]], swiglu_fusion=2, rtol=1e-4, atol=1e-5, expect=expect(**swi), **swi)
    yield case("swiglu_0", "MoE", [x, router, *g, *two[2:], *lin], rtol=1e-4, atol=1e-5, expect=expect(**swi), **swi)
    plain = {"k": 2, "activation_type": "swiglu"}
    yield case("third", "MoE", [x, router, *g, *two[2:], *lin], k=2, activation_type="silu", rtol=1e-4, atol=1e-5,
               expect=expect(**plain))


def all_cases():
    yield from products()
    yield from norms()
    yield from attentions()
    yield from rotaries()
    yield from grouped()
    yield from same()
    yield from gates()
    yield from misc()
    yield from texts()
    yield from sparse()
    yield from hyper()
    yield from experts()


if __name__ == "__main__":
    made = [c for c in all_cases() if c]
    if sys.argv[1:] == ["--list"]:
        print("\n".join(c[0] for c in made))
    else:
        write("contrib", made, 20000)
