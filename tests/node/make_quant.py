#!/usr/bin/env python3
"""Writes testdata/quant.zip: ONNX Runtime's blocked and quantized operators, for tests/unit/test_nodes.c.

Blocked ones (com.microsoft.nchwc): ONNX Runtime has one block size a machine, so what to expect is worked out by its
plain operators, and what is blocked in inputs, weights and outputs is reordered here, for every block size. Quantized
ones: what ONNX Runtime computes. Needs numpy, onnx and onnxruntime; format: make_cases.py.

    tests/node/make_quant.py           write the archive
    tests/node/make_quant.py --list    name the cases
"""
import sys

import numpy as np
import onnx
from make_cases import write
from make_contrib import case as runtime_case
from make_contrib import runtime
from onnx import helper, numpy_helper

RNG = np.random.default_rng(31)
LIMIT = 40000  # bytes a case: blocks of 16 take room
NCHWC = "com.microsoft.nchwc"


def f(*s, scale=1.0):
    """Of few bits, so that the archive stays small."""
    return (np.round(RNG.normal(size=s) * 16) / 16 * scale).astype(np.float32)


def model_of(nodes, inputs, outputs, inits):
    """inputs, outputs: {name: array}, with all extents fixed."""
    def info(n, x):
        return helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
    graph = helper.make_graph(nodes, "g", [info(*i) for i in inputs.items()], [info(*o) for o in outputs.items()],
                              [numpy_helper.from_array(v, n) for n, v in inits.items()])
    opsets = [helper.make_opsetid(d, v) for d, v in (("", 17), ("com.microsoft", 1), (NCHWC, 1))]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def files_of(name, model, inputs, outputs, rtol=1e-5, atol=1e-5):
    files = [("model.onnx", model.SerializeToString())]
    for part, values in (("input", inputs), ("output", outputs)):
        files += [(f"{part}_{i}.pb", numpy_helper.from_array(np.asarray(v), n).SerializeToString())
                  for i, (n, v) in enumerate(values.items())]
    return name, rtol, atol, files


# ---- blocks ----

def padded(x, b, axis=1):
    pad = [(0, 0)] * x.ndim
    pad[axis] = (0, -x.shape[axis] % b)
    return np.pad(x, pad)


def blocked(x, b):
    """[N, C, H, W] in the order [N, C/b, H, W, b], channels padded; the shape stays that of N, C, H, W."""
    x = padded(x, b)
    n, c, h, w = x.shape
    return np.ascontiguousarray(x.reshape(n, c // b, b, h, w).transpose(0, 1, 3, 4, 2)).reshape(x.shape)


def blocked_filter(w, b, plain_input):
    """A filter for blocks of b; the image of a plain_input has its channels in plain order."""
    w = padded(w, b, 0)
    if not plain_input and w.shape[1] > 1:
        w = padded(w, b)
    o, i, kh, kw = w.shape
    if plain_input or i < b:
        return np.ascontiguousarray(w.reshape(o // b, b, i, kh, kw).transpose(0, 2, 3, 4, 1)).reshape(w.shape)
    w8 = w.reshape(o // b, b, i // b, b, kh, kw).transpose(0, 2, 4, 5, 3, 1)
    return np.ascontiguousarray(w8).reshape(w.shape)


def plain_run(op, inputs, **attrs):
    domain = "com.microsoft" if op == "FusedConv" else ""
    ins = {f"x{i}": x for i, x in enumerate(inputs) if x is not None}
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    model = model_of([helper.make_node(op, names, ["y"], domain=domain, **attrs)], ins, {}, {})
    model.graph.output.append(helper.make_empty_tensor_value_info("y"))
    return runtime(model, ins)[0]


def conv_case(name, b, x, w, bias=None, res=None, **attrs):
    """Conv on an image in blocks (or plain, with fewer channels than a block), answer in blocks."""
    y = plain_run("FusedConv", [x, w, bias, res], **attrs)
    plain_input = x.shape[1] < b
    wb = blocked_filter(w, b, plain_input)
    inits = {"w": wb}
    ins = {"x": x if plain_input else blocked(x, b)}
    if bias is not None:
        inits["b"] = padded(bias[None], b)[0]
    if res is not None:
        ins["s"] = blocked(res, b)
    if attrs.get("group", 1) > 1 and w.shape[1] == 1:
        attrs["group"] = wb.shape[0]
    names = ["x", "w", "b" if bias is not None else "", "s" if res is not None else ""]
    yb = blocked(y, b)
    model = model_of([helper.make_node("Conv", names, ["y"], domain=NCHWC, **attrs)], ins, {"y": yb}, inits)
    return files_of(f"nchwc_Conv_{name}_b{b}", model, ins, {"y": yb})


def one_case(name, b, op, x, y, **attrs):
    ins, outs = {"x": blocked(x, b)}, {"y": blocked(y, b)}
    model = model_of([helper.make_node(op, ["x"], ["y"], domain=NCHWC, **attrs)], ins, outs, {})
    return files_of(f"nchwc_{op}_{name}_b{b}", model, ins, outs)


def between_case(name, b, nodes, inits, x, y, channels, in_last=0, out_last=0):
    """ReorderInput, nodes from "i" to "o", ReorderOutput."""
    xs = x.transpose(0, 2, 3, 1).copy() if in_last else x
    ys = y.transpose(0, 2, 3, 1).copy() if out_last else y
    nodes = [helper.make_node("ReorderInput", ["x"], ["i"], domain=NCHWC, channels_last=in_last), *nodes,
             helper.make_node("ReorderOutput", ["o"], ["y"], domain=NCHWC, channels=channels, channels_last=out_last)]
    return files_of(f"nchwc_{name}_b{b}", model_of(nodes, {"x": xs}, {"y": ys}, inits), {"x": xs}, {"y": ys})


def between(b):
    """Chains whose blocked values stay inside, with all kinds of neighbours."""
    c = 2 * b + b // 2  # does not fill its blocks, and three blocks tell which they are
    x, w = f(1, c, 6, 5), f(c, c, 2, 2, scale=0.2)
    wb = blocked_filter(w, b, False)
    conv = helper.make_node("Conv", ["i", "w"], ["c"], domain=NCHWC, pads=[1, 1, 0, 0], activation="Relu")
    y = np.maximum(plain_run("Conv", [x, w], pads=[1, 1, 0, 0]), 0)
    end = helper.make_node("Identity", ["c"], ["o"])
    for in_last, out_last in ((0, 0), (1, 0), (0, 1), (1, 1)):
        yield between_case(f"chain_{in_last}{out_last}", b, [conv, end], {"w": wb}, x, y, c, in_last, out_last)
    rest = [conv, helper.make_node("Add", ["c", "i"], ["a"]), helper.make_node("Tanh", ["a"], ["t"]),
            helper.make_node("MaxPool", ["t"], ["o"], domain=NCHWC, kernel_shape=[2, 2], strides=[2, 2])]
    yield between_case("neighbours", b, rest, {"w": wb}, x,
                       plain_run("MaxPool", [np.tanh(y + x)], kernel_shape=[2, 2], strides=[2, 2]), c)
    whole = f(1, 2 * b, 3, 3)
    cat = [helper.make_node("GlobalAveragePool", ["i"], ["g"], domain=NCHWC),
           helper.make_node("GlobalMaxPool", ["i"], ["m"], domain=NCHWC),
           helper.make_node("Concat", ["g", "m"], ["p"], axis=1),
           helper.make_node("Conv", ["p", "w"], ["o"], domain=NCHWC)]
    w = f(c, 4 * b, 1, 1)
    pooled = np.concatenate([whole.mean((2, 3), keepdims=True), whole.max((2, 3), keepdims=True)], 1)
    yield between_case("concat", b, cat, {"w": blocked_filter(w, b, False)}, whole, plain_run("Conv", [pooled, w]), c)
    # A Transpose reads elements by position: everything has to be in blocks around it.
    turn = [conv, helper.make_node("Transpose", ["c"], ["t"], perm=[0, 1, 2, 3]), helper.make_node("Neg", ["t"], ["o"])]
    yield between_case("by_position", b, turn, {"w": wb}, x, -y, c)


def pools(b):
    c = 2 * b if b == 16 else 3 * b  # 24 or 12 channels tell that a block is not 16
    x = f(2, c, 7, 6)
    window = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
    for op in ("MaxPool", "AveragePool"):
        yield one_case("window", b, op, x, plain_run(op, [x], **window), **window)
        yield one_case("ceil", b, op, x, plain_run(op, [x], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
                       kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
        yield one_case("same", b, op, x, plain_run(op, [x], kernel_shape=[2, 3], auto_pad="SAME_UPPER"),
                       kernel_shape=[2, 3], auto_pad="SAME_UPPER")
        yield one_case("global", b, "Global" + op, x, plain_run("Global" + op, [x]))
    yield one_case("dilated", b, "MaxPool", x, plain_run("MaxPool", [x], kernel_shape=[2, 2], dilations=[2, 3]),
                   kernel_shape=[2, 2], dilations=[2, 3])
    yield one_case("include", b, "AveragePool", x, plain_run("AveragePool", [x], count_include_pad=1, **window),
                   count_include_pad=1, **window)
    for mode, coord in (("nearest", "asymmetric"), ("linear", "asymmetric"), ("linear", "half_pixel"),
                        ("linear", "align_corners")):
        y = plain_run("Resize", [x, None, np.array([1, 1, 2, 3], np.float32)], mode=mode, nearest_mode="floor",
                      coordinate_transformation_mode=coord)
        yield one_case(f"{mode}_{coord}", b, "Upsample", x, y, scales=[1, 1, 2, 3], mode=mode,
                       coordinate_transformation_mode=coord)


def convs(b):
    c = 2 * b if b == 16 else 3 * b
    x = f(2, c, 6, 5)
    yield conv_case("plain", b, x, f(c, c, 2, 2, scale=0.1), pads=[1, 1, 1, 1])
    yield conv_case("bias", b, x, f(c, c, 1, 1, scale=0.2), f(c), strides=[2, 2])
    yield conv_case("sum_act", b, x, f(c, c, 1, 1, scale=0.2), f(c), f(2, c, 6, 5), activation="Relu")
    yield conv_case("clip", b, x, f(c, c, 2, 2, scale=0.1), f(c), activation="Clip", activation_params=[-0.5, 0.75])
    yield conv_case("leaky", b, x, f(c, c, 2, 2, scale=0.1), activation="LeakyRelu", activation_params=[0.2])
    yield conv_case("sigmoid", b, x, f(c, c, 1, 1, scale=0.2), activation="Sigmoid")
    yield conv_case("dilated", b, x, f(c, c, 2, 2, scale=0.1), dilations=[2, 1])
    yield conv_case("same_lower", b, x, f(c, c, 2, 2, scale=0.1), auto_pad="SAME_LOWER")
    yield conv_case("image", b, f(2, 3, 6, 5), f(c, 3, 3, 3), f(c), pads=[1, 1, 1, 1])
    yield conv_case("depthwise", b, x, f(c, 1, 3, 3), f(c), group=c, pads=[1, 1, 1, 1])
    if b < 16:
        yield conv_case("grouped", b, x, f(c, b, 2, 2, scale=0.2), f(c), group=3)
    else:
        yield conv_case("grouped", b, x, f(c, b, 2, 2, scale=0.2), f(c), group=2)


def nchwc_cases():
    for b in (16, 8, 4):
        yield from convs(b)
        yield from pools(b)
        yield from between(b)
    # Channels that fill blocks of 16 and of 8: the weights tell. Trained channels differ in size, as these do.
    x = f(1, 16, 3, 3)
    w = f(256, 16, 1, 1) * np.exp(RNG.normal(size=(256, 1, 1, 1))).astype(np.float32)
    for b in (16, 8):
        yield from [(f"{n}_by_weights", *rest) for n, *rest in [conv_case("plain", b, x, w)]]


# ---- quantized ----

BYTES = (np.uint8, np.int8)


def case(name, op, inputs, *args, **kw):
    """None, and a word about it, for what ONNX Runtime does not take."""
    try:
        return runtime_case(name, op, inputs, *args, **kw)
    except Exception as e:
        print(f"{op} {name} is left out: {str(e)[:200]}", file=sys.stderr)
        return None


def q(dt, *s):
    info = np.iinfo(dt)
    return RNG.integers(info.min, info.max, size=s, endpoint=True).astype(dt)


def scalar(v):
    return np.array(v, np.float32)


def products():
    for ta in BYTES:
        for tb in BYTES:
            t = f"{ta.__name__}_{tb.__name__}"
            a, b, za, zb = q(ta, 2, 3, 4), q(tb, 4, 5), q(ta), q(tb)
            one, two = scalar(0.02), scalar(0.01)
            yield case(t, "MatMulIntegerToFloat", [a, b, one, two, za, zb, f(5)], const=(1,))
            yield case(f"{t}_columns", "MatMulIntegerToFloat", [a, b, one, f(5, scale=0.1), za, q(tb, 5)])
            yield case(f"{t}_no_zeros", "MatMulIntegerToFloat", [a, b, one, two])
            yield case(f"{t}_batch", "MatMulIntegerToFloat", [q(ta, 2, 3, 4), q(tb, 2, 4, 5), one, two, za, zb])
            c = q(np.int32, 5) // 100000
            for name, tail in (("float", []), ("same", [scalar(0.3), q(ta)])):
                if tail and ta != tb:
                    continue  # ONNX Runtime has one type for A and Y there
                yield case(f"{t}_{name}", "QGemm", [q(ta, 3, 4), one, za, b, two, zb, c, *tail], alpha=0.5)
                yield case(f"{t}_{name}_trans", "QGemm", [q(ta, 4, 3), one, za, q(tb, 5, 4), two, zb, None, *tail],
                           transA=1, transB=1)
                yield case(f"{t}_{name}_const", "QGemm", [q(ta, 3, 4), one, za, q(tb, 5, 4), f(5, scale=0.1), q(tb, 5), c,
                                                          *tail], transB=1, const=(3, 4, 5))
    for tb in BYTES:
        t, two = tb.__name__, scalar(0.01)
        x = f(2, 3, 8)
        yield case(t, "DynamicQuantizeMatMul", [x, q(tb, 8, 5), two, q(tb), f(5)], const=(1, 2, 3), atol=1e-4)
        yield case(f"{t}_columns", "DynamicQuantizeMatMul", [x, q(tb, 8, 5), f(5, scale=0.1), q(tb, 5)], atol=1e-4)
        yield case(f"{t}_bare", "DynamicQuantizeMatMul", [x, q(tb, 8, 5), two], atol=1e-4)
        yield case(f"{t}_zeros", "DynamicQuantizeMatMul", [x * 0, q(tb, 8, 5), two], atol=1e-4)
    yield case("plain", "MatMulInteger16", [q(np.int16, 2, 3, 4), q(np.int16, 4, 5)])


def packed(values, bits):
    """Rows of values below 2^bits into bytes, lowest bits first."""
    planes = (values[..., None] >> np.arange(bits)) & 1
    return np.packbits(planes.reshape(*values.shape[:-1], -1).astype(np.uint8), axis=-1, bitorder="little")


def few_bits():
    for bits in (2, 4, 8):
        for k, block in ((32, 16), (48, 32), (20, 16)):
            n, nb = 3, -(-k // block)
            b = packed(RNG.integers(0, 1 << bits, (n, nb, block)), bits)
            scales, a = f(n, nb, scale=0.1), f(2, 2, k)
            zp = packed(RNG.integers(0, 1 << bits, (n, nb)), bits)
            size = {"K": k, "N": n, "bits": bits, "block_size": block}
            name = f"{bits}bits_{k}_{block}"
            yield case(name, "MatMulNBits", [a, b, scales], const=(1, 2), atol=1e-5, **size)
            yield case(f"{name}_zeros", "MatMulNBits", [a, b, scales, zp], const=(1, 2, 3), atol=1e-5, **size)
            yield case(f"{name}_inputs", "MatMulNBits", [a, b, scales, zp], atol=1e-5, **size)
            if bits == 4:
                fz = f(n, nb) + 8
                yield case(f"{name}_float_zeros", "MatMulNBits", [a, b, scales, fz], const=(1, 2, 3), atol=1e-5, **size)
                yield case(f"{name}_bias", "MatMulNBits", [a, b, scales, zp, None, f(n)], const=(1, 2, 3, 5), atol=1e-5,
                           **size)
                yield case(f"{name}_int8", "MatMulNBits", [a, b, scales, zp], const=(1, 2, 3), atol=0.1, rtol=0.05,
                           accuracy_level=4, **size)
                groups = RNG.integers(0, nb, k).astype(np.int32)
                # Without zero points: ONNX Runtime takes no notice of them where there are groups.
                yield case(f"{name}_groups", "MatMulNBits", [a, b, scales, None, groups], const=(1, 2, 4), atol=1e-5,
                           **size)
    for kind in (0, 1):
        for k, n in ((16, 4), (24, 3)):
            b, absmax = q(np.uint8, (n * k + 1) // 2), np.abs(f(-(-n * k // 16))) + 0.5
            yield case(f"{kind}_{k}", "MatMulBnb4", [f(2, 3, k), b, absmax], const=(1, 2), K=k, N=n, block_size=16,
                       quant_type=kind, atol=1e-5)


def gathers():
    for name, axis, quantize, shape, scales in (("rows", 0, 1, (4, 32), (4, 2)), ("other", 1, 0, (32, 3), (2, 3)),
                                                ("three", 0, 2, (3, 2, 32), (3, 2, 2))):
        ids = np.array([[0, 2], [1, -1]], np.int64)
        for bits in (2, 4, 8):
            if axis or quantize != len(shape) - 1:
                continue  # not for bytes
            data = packed(RNG.integers(0, 1 << bits, shape), bits)
            zp = packed(RNG.integers(0, 1 << bits, scales), bits)
            at = {"gather_axis": axis, "quantize_axis": quantize, "block_size": 16, "bits": bits}
            yield case(f"{name}_{bits}bits", "GatherBlockQuantized", [data, ids, f(*scales), zp], const=(0, 2, 3), **at)
            yield case(f"{name}_{bits}bits_no_zeros", "GatherBlockQuantized", [data, ids, f(*scales)], const=(0, 2), **at)


def elementwise():
    for dt in BYTES:
        t, one, two = dt.__name__, scalar(0.02), scalar(0.031)
        z, z2, z3 = q(dt), q(dt), q(dt)
        c = RNG.random((2, 3, 1)) < 0.5
        yield case(t, "QLinearWhere", [c, q(dt, 3, 4), one, z, q(dt, 2, 1, 4), two, z2, scalar(0.025), z3],
                   const=(2, 3, 5, 6, 7, 8))
        window = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
        for last in (0, 1):
            x = q(dt, 2, 7, 6, 3) if last else q(dt, 2, 3, 7, 6)
            name = t + ("_last" if last else "")
            yield case(name, "QLinearAveragePool", [x, one, z, two, z2], channels_last=last, **window)
            yield case(f"{name}_include", "QLinearAveragePool", [x, one, z, two, z2], channels_last=last,
                       count_include_pad=1, **window)
            for group, w in ((1, (4, 3, 3, 2)), (3, (6, 1, 3, 2))):
                co = w[0]
                for wt in BYTES:
                    yield case(f"{name}_{wt.__name__}_{group}", "QLinearConv",
                               [x, one, z, q(wt, *w), f(co, scale=0.02) + 0.05, np.zeros(co, wt), scalar(0.5), z2,
                                q(np.int32, co) // 1000000], channels_last=last, group=group, pads=[1, 0, 1, 1],
                               strides=[1, 2], const=(3, 4, 5))
        yield case(t, "NhwcMaxPool", [q(dt, 2, 7, 6, 3)], **window)
        yield case(f"{t}_dilated", "NhwcMaxPool", [q(dt, 2, 7, 6, 3)], kernel_shape=[2, 2], dilations=[2, 1])
    for dt in (np.int16, np.uint16):
        x = f(2, 3, 4)
        yield case(dt.__name__, "QuantizeLinear", [x, scalar(0.002), q(dt)])
        yield case(dt.__name__, "DequantizeLinear", [q(dt, 2, 3, 4), scalar(0.002), q(dt)])


def layers():
    for dt in BYTES:
        t, h = dt.__name__, 4
        for name, dirs, direction in (("forward", 1, "forward"), ("both", 2, "bidirectional")):
            w, r = q(dt, dirs, 3, 4 * h), q(dt, dirs, h, 4 * h)
            args = [f(5, 2, 3), w, r, f(dirs, 8 * h, scale=0.2), None, f(dirs, 2, h), f(dirs, 2, h), None]
            sw, sr = np.full(dirs, 0.01, np.float32), np.full(dirs, 0.012, np.float32)
            z = q(dt, dirs) // 8
            yield case(f"{t}_{name}", "DynamicQuantizeLSTM", [*args, sw, z, sr, z], 3, const=(1, 2, 3, 8, 9, 10, 11),
                       hidden_size=h, direction=direction, rtol=0.02, atol=0.02)
            yield case(f"{t}_{name}_columns", "DynamicQuantizeLSTM",
                       [*args, np.abs(f(dirs, 4 * h, scale=0.01)) + 0.01, np.zeros((dirs, 4 * h), dt),
                        np.abs(f(dirs, 4 * h, scale=0.01)) + 0.01, np.zeros((dirs, 4 * h), dt)], 3,
                       const=(1, 2, 3, 8, 9, 10, 11), hidden_size=h, direction=direction, rtol=0.02, atol=0.02)
        ids, segments = RNG.integers(0, 10, (2, 3)).astype(np.int32), RNG.integers(0, 2, (2, 3)).astype(np.int32)
        tables = [q(dt, 10, 8), q(dt, 5, 8), q(dt, 2, 8), q(dt, 8), q(dt, 8)]
        scales = [scalar(v) for v in (0.02, 0.01, 0.03, 0.01, 0.02)]
        zeros = [q(dt) for _ in range(5)]
        mask = np.array([[1, 1, 0], [1, 0, 0]], np.int32)
        yield case(t, "QEmbedLayerNormalization", [ids, segments, *tables, mask, *scales, *zeros], 2, atol=1e-4, const=range(2, 7))
        tables[2] = scales[2] = zeros[2] = None
        yield case(f"{t}_no_segments", "QEmbedLayerNormalization", [ids, None, *tables, None, *scales, *zeros], 2,
                   atol=1e-4, const=range(2, 7))


def attention():
    hidden, heads = 8, 2
    mask = np.array([3, 2], np.int32)
    past = f(2, 2, heads, 2, hidden // heads)
    for dt in BYTES:
        x, w, bias, one, two = q(np.uint8, 2, 3, 8), q(dt, 8, 3 * hidden), f(3 * hidden), scalar(0.02), scalar(0.01)
        zero, zw, t = q(np.uint8), q(dt), dt.__name__
        tail = {"num_heads": heads, "rtol": 1e-3, "atol": 1e-3}
        yield case(t, "QAttention", [x, w, bias, one, two, None, zero, zw], **tail)
        yield case(f"{t}_const", "QAttention", [x, w, bias, one, two, None, zero, zw], const=(1, 4, 7), **tail)
        yield case(f"{t}_mask", "QAttention", [x, w, bias, one, two, mask, zero, zw], const=(1, 4, 7), **tail)
        yield case(f"{t}_columns", "QAttention", [x, w, bias, one, np.abs(f(24, scale=0.01)), mask, zero, q(dt, 24)],
                   const=(1, 4, 7), **tail)
        yield case(f"{t}_past", "QAttention", [x, w, bias, one, two, None, zero, zw, past], 2, unidirectional=1, **tail)


def all_cases():
    yield from nchwc_cases()
    for part in (products, few_bits, gathers, elementwise, layers, attention):
        yield from (c for c in part() if c)


if __name__ == "__main__":
    assert onnx.__version__
    made = list(all_cases())
    if sys.argv[1:] == ["--list"]:
        print("\n".join(c[0] for c in made))
    else:
        write("quant", made, LIMIT)
