#!/usr/bin/env python3
"""Writes testdata/defined.zip: what is computed where the specification does not say (src/ops/defined.def).

What to expect is written down here, nothing computes it. A case that has to fail carries a file "error" instead of
outputs: the name of the status, and a part of the message. Format: make_cases.py. Needs numpy and onnx.
"""
import numpy as np
import onnx
from make_cases import write
from onnx import TensorProto, helper, numpy_helper

NAN, INF = np.nan, np.inf
INTS = (np.int8, np.int16, np.int32, np.int64)


def f(*v):
    return np.array(v, np.float32)


def i(*v, dt=np.int64):
    return np.array(v, dt)


def elem(x):
    return TensorProto.STRING if x.dtype == object else helper.np_dtype_to_tensor_dtype(x.dtype)


def proto(x, name):
    if x.dtype == object:
        return helper.make_tensor(name, TensorProto.STRING, x.shape, [s.encode() for s in x.reshape(-1)])
    return numpy_helper.from_array(x, name)


def case(name, op, inputs, expect, version=21, kind=None, nout=1, **attrs):
    """expect: outputs, or (status, text) of the error. kind: element type of the output where there is none."""
    fails = isinstance(expect, tuple)
    names = [f"x{k}" if x is not None else "" for k, x in enumerate(inputs)]
    given = [(n, np.asarray(x)) for n, x in zip(names, inputs) if x is not None]
    outs = [(f"y{k}", np.zeros((), kind or given[0][1].dtype if k == 0 else np.int64)) for k in range(nout)] if fails else [(f"y{k}", np.asarray(y)) for k, y in enumerate(expect)]
    infos = [helper.make_tensor_value_info(n, elem(x), x.shape) for n, x in given]
    wanted = [helper.make_tensor_value_info(n, elem(y), None if fails else [f"{n}_{k}" for k in range(y.ndim)]) for n, y in outs]
    graph = helper.make_graph([helper.make_node(op, names, [n for n, _ in outs], "n", **attrs)], "g", infos, wanted)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=13)
    return pack(name, model, given, expect if fails else None, outs)


def pack(name, model, given, fails, outs):
    files = [("model.onnx", model.SerializeToString())]
    files += [(f"input_{k}.pb", proto(x, n).SerializeToString()) for k, (n, x) in enumerate(given)]
    if fails:
        files.append(("error", f"{fails[0]} {fails[1]}".encode()))
    else:
        files += [(f"output_{k}.pb", proto(y, n).SerializeToString()) for k, (n, y) in enumerate(outs)]
    return f"defined_{name}", 1e-6, 1e-6, files


def integers():
    for t in INTS:
        lo, hi, n = np.iinfo(t).min, np.iinfo(t).max, t.__name__
        one, top, low = i(1, dt=t), i(hi, dt=t), i(lo, dt=t)
        yield case(f"wrap_add_{n}", "Add", [top, one], [low])
        yield case(f"wrap_sub_{n}", "Sub", [low, one], [top])
        yield case(f"wrap_mul_{n}", "Mul", [top, i(2, dt=t)], [i(-2, dt=t)])
        yield case(f"wrap_neg_{n}", "Neg", [low], [low])
        yield case(f"wrap_abs_{n}", "Abs", [low], [low])
        yield case(f"div_zero_{n}", "Div", [i(5, lo, dt=t), i(0, 0, dt=t)], [i(0, 0, dt=t)])
        yield case(f"div_zero_mod_{n}", "Mod", [i(5, lo, dt=t), i(0, 0, dt=t)], [i(0, 0, dt=t)])
        yield case(f"div_zero_fmod_{n}", "Mod", [i(5, lo, dt=t), i(0, 0, dt=t)], [i(0, 0, dt=t)], fmod=1)
        yield case(f"div_lowest_{n}", "Div", [low, i(-1, dt=t)], [low])
        yield case(f"div_lowest_mod_{n}", "Mod", [low, i(-1, dt=t)], [i(0, dt=t)])
        yield case(f"div_lowest_fmod_{n}", "Mod", [low, i(-1, dt=t)], [i(0, dt=t)], fmod=1)
    for t in (np.uint8, np.uint16, np.uint32, np.uint64):
        n, hi = t.__name__, np.iinfo(t).max
        yield case(f"wrap_sub_{n}", "Sub", [i(0, dt=t), i(1, dt=t)], [i(hi, dt=t)])
        yield case(f"div_zero_{n}", "Div", [i(5, dt=t), i(0, dt=t)], [i(0, dt=t)])
        bits = 8 * t().itemsize
        yield case(f"shift_far_left_{n}", "BitShift", [i(1, hi, dt=t), i(bits, 200, dt=t)], [i(0, 0, dt=t)], direction="LEFT")
        yield case(f"shift_far_right_{n}", "BitShift", [i(1, hi, dt=t), i(bits, 200, dt=t)], [i(0, 0, dt=t)], direction="RIGHT")
    big = 2**62
    yield case("wrap_reduce", "ReduceSum", [i(big, big), i(0)], [i(-2**63)])
    yield case("wrap_cumsum", "CumSum", [i(big, big), np.array(0)], [i(big, -2**63)])
    yield case("wrap_sum", "Sum", [f(1), f(2)], [f(3)])
    yield case("wrap_pow", "Pow", [i(10, dt=np.int32), i(10)], [i(1410065408, dt=np.int32)])
    yield case("pow_negative", "Pow", [i(2, 1, -1, 0), i(-1, -1, -1, -1)], [i(0, 1, -1, 0)])
    yield case("int_mean", "ReduceMean", [i(1, 2), i(0)], [i(1)])


def floats():
    yield case("fmod_special", "Mod", [f(5, INF, 1), f(0, 1, INF)], [f(NAN, NAN, 1)], fmod=1)
    yield case("nan_max", "Max", [f(NAN, 1), f(1, NAN)], [f(NAN, NAN)])
    yield case("nan_min", "Min", [f(NAN, 1), f(1, NAN)], [f(NAN, NAN)])
    yield case("nan_arg_max", "ArgMax", [f(1, NAN, 2)], [i(1)], axis=0)
    yield case("nan_top_k", "TopK", [f(1, NAN, 2), i(2)], [f(NAN, 2), i(1, 2)])
    yield case("domain_log", "Log", [f(0, -1)], [f(-INF, NAN)])
    yield case("domain_sqrt", "Sqrt", [f(-1)], [f(NAN)])
    yield case("domain_acosh", "Acosh", [f(0.5)], [f(NAN)])
    yield case("softmax_inf", "Softmax", [f(-INF, -INF)], [f(NAN, NAN)])
    yield case("clip_crossed", "Clip", [f(1, 2.5, 5), np.float32(3), np.float32(2)], [f(2, 2, 2)])


def casts():
    x = f(NAN, INF, -INF, 3e10, -3e10, 300, -1.5, 1e20)
    low32, low64 = -2**31, -2**63
    yield case("cast_int32", "Cast", [x], [i(low32, low32, low32, low32, low32, 300, -1, low32, dt=np.int32)], to=6)
    yield case("cast_int32_64", "Cast", [x], [i(low64, low64, low64, 30000001024, -30000001024, 300, -1, low64)], to=7)
    yield case("cast_small_int8", "Cast", [x], [i(0, 0, 0, 0, 0, 44, -1, 0, dt=np.int8)], to=3)
    yield case("cast_small_uint8", "Cast", [x], [i(0, 0, 0, 0, 0, 44, 255, 0, dt=np.uint8)], to=2)
    yield case("cast_small_int16", "Cast", [x], [i(0, 0, 0, 0, 0, 300, -1, 0, dt=np.int16)], to=5)
    yield case("cast_uint32", "Cast", [x], [i(0, 0, 0, 4230197248, 64770048, 300, 4294967295, 0, dt=np.uint32)], to=12)
    yield case("cast_bool", "Cast", [f(NAN, 0, -0.0, 1e-30)], [np.array([True, False, False, True])], to=9)
    four = helper.tensor_dtype_to_np_dtype(TensorProto.FLOAT4E2M1)
    yield case("cast_float4", "Cast", [f(NAN, INF, -9)], [f(6, 6, -6).astype(four)], version=23, to=23)
    yield case("cast_integers_8", "Cast", [i(300, -300, 2**40)], [i(44, -44, 0, dt=np.int8)], to=3)
    yield case("cast_integers_unsigned", "Cast", [i(-1, -300)], [i(255, 212, dt=np.uint8)], to=2)
    yield case("cast_text", "Cast", [np.array(["1e3", "x"], object)], ("VALUE", "element 1, 'x', is no number"), kind=np.float32, to=1)
    yield case("quantize_special", "QuantizeLinear", [f(NAN, INF, -INF, 1e9), np.float32(0.5), np.array(3, np.int8)],
               [i(-128, 127, -128, 127, dt=np.int8)])


def indices():
    x, far = f(1, 2, 3), "out of range"
    yield case("index_gather", "Gather", [x, i(3)], ("VALUE", far))
    yield case("index_gather_below", "Gather", [x, i(-4)], ("VALUE", far))
    yield case("index_elements", "GatherElements", [x, i(-4)], ("VALUE", far))
    yield case("index_gather_nd", "GatherND", [x, i(3).reshape(1, 1)], ("VALUE", "points out of the data"))
    yield case("index_scatter", "ScatterElements", [x, i(3), f(1)], ("VALUE", far))
    yield case("index_scatter_nd", "ScatterND", [x, i(3).reshape(1, 1), f(1)], ("VALUE", "points out of the data"))
    yield case("one_hot_outside", "OneHot", [i(5, -1, -9), np.array(3), f(0, 1)], [f(0, 0, 0, 0, 0, 1, 0, 0, 0).reshape(3, 3)])


def nothing():
    e, axis = np.zeros((2, 0), np.float32), i(1)
    ints = e.astype(np.int32)
    low, high = -2**31, 2**31 - 1
    for op, v, whole in (("Sum", 0, 0), ("SumSquare", 0, 0), ("L1", 0, 0), ("L2", 0, 0), ("Prod", 1, 1), ("Max", -INF, low), ("Min", INF, high),
                         ("LogSum", -INF, None), ("LogSumExp", -INF, None), ("Mean", NAN, 0)):
        yield case(f"empty_{op}", "Reduce" + op, [e, axis], [f(v, v).reshape(2, 1)])
        if whole is not None:
            yield case(f"empty_{op}_int", "Reduce" + op, [ints, axis], [i(whole, whole, dt=np.int32).reshape(2, 1)])
    yield case("arg_empty", "ArgMax", [e], ("SHAPE", "is empty"), kind=np.int64, axis=1)
    yield case("range_zero", "Range", [np.float32(1), np.float32(2), np.float32(0)], ("VALUE", "the step is 0"))
    yield case("range_away", "Range", [np.float32(1), np.float32(2), np.float32(-1)], [f()])
    yield case("slice_step", "Slice", [f(1, 2), i(0), i(2), i(0), i(0)], ("VALUE", "step of axis 0 is 0"))
    yield case("dft_axis_of_parts", "DFT", [np.zeros((1, 4, 2), np.float32), None, np.array(2)], ("VALUE", "real and imaginary part"))
    yield case("top_k_beyond", "TopK", [f(1, 2), i(3)], ("VALUE", "k is 3"), nout=2)
    yield case("reshape_uneven", "Reshape", [f(1, 2, 3), i(2, -1)], ("SHAPE", "do not divide"))
    yield case("tile_negative", "Tile", [f(1), i(-1)], ("VALUE", "repeat 0 is -1"))
    yield case("pad_reflect", "Pad", [f(1, 2), i(3, 0)], [f(2, 1, 2, 1, 2)], mode="reflect")
    yield case("pad_crop", "Pad", [f(1, 2), i(-2, -1)], ("VALUE", "negative"))
    one = np.ones((1, 1, 3), np.float32)
    yield case("window_stride", "Conv", [one, one[:, :, :1]], ("ATTR", "strides: 0"), strides=[0])
    yield case("window_dilation", "Conv", [one, one[:, :, :1]], ("ATTR", "dilations: 0"), dilations=[0])
    yield case("window_group", "Conv", [one, one[:, :, :1]], ("ATTR", "group is 0"), group=0)
    yield case("average_of_padding", "AveragePool", [one[:, :, :2]], [f(NAN, 1).reshape(1, 1, 2)], kernel_shape=[2], strides=[3], pads=[2, 2])
    yield case("resize_nothing", "Resize", [np.ones((1, 1, 2, 2), np.float32), None, None, i(1, 1, 0, 2)], [np.zeros((1, 1, 0, 2), np.float32)])
    yield case("non_zero_scalar", "NonZero", [np.float32(3)], [np.zeros((1, 1), np.int64)])
    yield case("huge_elements", "Expand", [f(1), i(2**40, 2**40)], ("LIMIT", "2^63"))
    yield case("huge_memory", "Expand", [f(1), i(2**44)], ("NOMEM", ""))


def loops():
    """Counts to 3 without a trip count or a condition to begin with: the body says when."""
    body = helper.make_graph(
        [helper.make_node("Add", ["x_in", "one"], ["x_out"]), helper.make_node("Less", ["x_out", "three"], ["go_on"])], "body",
        [helper.make_tensor_value_info("turn", TensorProto.INT64, []), helper.make_tensor_value_info("go", TensorProto.BOOL, []),
         helper.make_tensor_value_info("x_in", TensorProto.FLOAT, [])],
        [helper.make_tensor_value_info("go_on", TensorProto.BOOL, []), helper.make_tensor_value_info("x_out", TensorProto.FLOAT, [])],
        [numpy_helper.from_array(np.float32(1), "one"), numpy_helper.from_array(np.float32(3), "three")])
    graph = helper.make_graph([helper.make_node("Loop", ["", "", "x"], ["y"], body=body)], "g",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    yield pack("loop_by_body", model, [("x", np.array(0, np.float32))], None, [("y", np.array(3, np.float32))])


if __name__ == "__main__":
    assert onnx.__version__
    write("defined", [c for part in (integers, floats, casts, indices, nothing, loops) for c in part()])
