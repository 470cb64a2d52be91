#!/usr/bin/env python3
"""Writes models with the architectures that people run, for benchmarks and for comparison with other runtimes.

    make_zoo.py DIR [--only NAME[,NAME...]] [--batch N] [--list]

Weights are random with a fixed seed: the same file every time. They are scaled so that activations stay finite.
Graphs are as exporters leave them: reshapes by chains of Shape, Gather and Concat, normalization and GELU whole or in
pieces, BatchNormalization folded or not. DIR gets NAME.onnx and a zoo.json with opset, parameters, bytes,
multiply-accumulates (of Conv, ConvTranspose, Gemm, MatMul and LSTM, at the sizes listed) and the inputs to feed, each
with dtype, dims and range. --batch fixes the batch, which is symbolic otherwise and counted as 1. All of it is 1.7 GB.

Needs numpy and onnx.
"""
import argparse
import json
import math
import os
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
LOWEST = float(np.finfo(np.float32).min)


@dataclass
class Map:
    """An image-like value [batch, c, h, w]."""

    name: str
    c: int
    h: int
    w: int

    def named(self, name, c=None):
        return replace(self, name=name, c=c or self.c)


class Graph:
    """Collects nodes and weights; counts multiply-accumulates and parameters as layers are added."""

    def __init__(self, name, opset, batch=None):
        self.name, self.opset = name, opset
        self.batch = batch or 1  # what is counted
        self.axis0 = batch or "batch"  # what the graph says
        seed = int.from_bytes(name.encode()[:8].ljust(8, b"."), "little")
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights, self.inputs, self.outputs = [], [], [], []
        self.feed, self.shared = {}, {}
        self.macs = self.params = 0

    # ---- nodes and values

    def add(self, op, *inputs, outputs=1, out=None, **attributes):
        """A node; gives the name of its output, or a list when there are several."""
        node = f"{op.lower()}_{len(self.nodes)}"
        names = [out] if out else [f"{node}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=node, **attributes))
        return names[0] if outputs == 1 else names

    def weight(self, array, name=None, counted=True):
        name = name or f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        self.params += array.size if counted else 0
        return name

    def constant(self, value, dtype=np.int64):
        """A Constant node a use, as exporters write them."""
        return self.add("Constant", value=numpy_helper.from_array(np.asarray(value, dtype)))

    def scalar(self, value):
        return self.constant(value, np.float32)

    def table(self, value, dtype=np.int64):
        """A constant among the initializers, one for equal values, as after folding."""
        array = np.asarray(value, dtype)
        key = (array.tobytes(), array.dtype.str, array.shape)
        if key not in self.shared:
            self.shared[key] = self.weight(array, f"const_{len(self.shared)}", counted=False)
        return self.shared[key]

    def input(self, name, kind, axes, dims, span):
        self.inputs.append(helper.make_tensor_value_info(name, kind, [self.axis0] + axes))
        self.feed[name] = {
            "dtype": "float32" if kind == FLOAT else "int64",
            "dims": [self.batch] + dims,
            "range": span,
        }
        return name

    def image(self, channels, size, name="input"):
        self.input(name, FLOAT, [channels, size, size], [channels, size, size], [-1, 1])
        return Map(name, channels, size, size)

    def output(self, name, axes, first=False):
        info = helper.make_tensor_value_info(name, FLOAT, [self.axis0] + axes)
        self.outputs.insert(0 if first else len(self.outputs), info)

    # ---- random weights

    def normal(self, shape, fan_in, gain):
        return self.random.standard_normal(shape, np.float32) * np.float32(math.sqrt(gain / fan_in))

    def around(self, shape, mean, deviation):
        return (mean + deviation * self.random.standard_normal(shape)).astype(np.float32)

    def between(self, shape, low, high):
        return self.random.uniform(low, high, shape).astype(np.float32)

    # ---- layers on images

    def conv(self, x, c, kernel, stride=1, pad=None, groups=1, norm=False, act=None, gain=2.0, scale=1.0):
        """Convolution with a bias, or with BatchNormalization behind it (norm), then act."""
        pad = kernel // 2 if pad is None else pad
        fan = x.c // groups * kernel * kernel
        filters = self.normal((c, x.c // groups, kernel, kernel), fan, gain)
        inputs = [x.name, self.weight(filters if norm else filters * np.float32(scale))]
        if not norm:
            inputs.append(self.weight(self.around(c, 0, 0.02)))
        y = self.add("Conv", *inputs, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, group=groups,
                     dilations=[1, 1])
        h, w = ((n + 2 * pad - kernel) // stride + 1 for n in (x.h, x.w))
        self.macs += self.batch * c * h * w * fan
        if norm:
            y = self.batch_norm(y, c, scale)
        return self.activate(Map(y, c, h, w), act)

    def batch_norm(self, x, c, scale):
        parts = [self.between(c, 0.7 * scale, 1.3 * scale), self.around(c, 0, 0.1), self.around(c, 0, 0.2),
                 self.between(c, 0.5, 1.5)]
        return self.add("BatchNormalization", x, *map(self.weight, parts), epsilon=1e-5, momentum=0.9)

    def activate(self, x, act):
        if act == "relu":
            return x.named(self.add("Relu", x.name))
        if act == "relu6":
            return x.named(self.add("Clip", x.name, self.table(0, np.float32), self.table(6, np.float32)))
        if act == "silu":
            return x.named(self.add("Mul", x.name, self.add("Sigmoid", x.name)))
        return x

    def max_pool(self, x, kernel, stride, pad=0):
        y = self.add("MaxPool", x.name, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, ceil_mode=0)
        return Map(y, x.c, *((n + 2 * pad - kernel) // stride + 1 for n in (x.h, x.w)))

    def plus(self, x, y):
        return y.named(self.add("Add", x.name, y.name))

    def join(self, *maps):
        return maps[0].named(self.add("Concat", *(m.name for m in maps), axis=1), sum(m.c for m in maps))

    # ---- layers on rows of features

    def gemm(self, x, n_in, n_out, rows=1, gain=1.0, out=None):
        self.macs += self.batch * rows * n_in * n_out
        return self.add("Gemm", x, self.weight(self.normal((n_out, n_in), n_in, gain)),
                        self.weight(self.around(n_out, 0, 0.02)), transB=1, alpha=1.0, beta=1.0, out=out)

    def linear(self, x, n_in, n_out, rows):
        """MatMul and Add over the last axis."""
        self.macs += self.batch * rows * n_in * n_out
        y = self.add("MatMul", x, self.weight(self.normal((n_in, n_out), n_in, 1.0)))
        return self.add("Add", self.weight(self.around(n_out, 0, 0.02)), y)

    def layer_norm(self, x, width, whole, epsilon):
        scale, shift = self.weight(self.around(width, 1, 0.1)), self.weight(self.around(width, 0, 0.1))
        if whole:
            return self.add("LayerNormalization", x, scale, shift, axis=-1, epsilon=epsilon)
        centred = self.add("Sub", x, self.add("ReduceMean", x, axes=[-1], keepdims=1))
        square = self.add("Pow", centred, self.scalar(2))
        variance = self.add("ReduceMean", square, axes=[-1], keepdims=1)
        root = self.add("Sqrt", self.add("Add", variance, self.scalar(epsilon)))
        return self.add("Add", self.add("Mul", self.add("Div", centred, root), scale), shift)

    def gelu_erf(self, x):
        erf = self.add("Erf", self.add("Div", x, self.scalar(math.sqrt(2))))
        product = self.add("Mul", x, self.add("Add", erf, self.scalar(1)))
        return self.add("Mul", product, self.scalar(0.5))

    def gelu_tanh(self, x):
        cubic = self.add("Mul", self.add("Pow", x, self.scalar(3)), self.scalar(0.044715))
        inner = self.add("Mul", self.add("Add", x, cubic), self.scalar(math.sqrt(2 / math.pi)))
        factor = self.add("Add", self.add("Tanh", inner), self.scalar(1))
        return self.add("Mul", self.add("Mul", x, self.scalar(0.5)), factor)

    # ---- shapes

    def size(self, x, axis):
        """The size of an axis as a vector of one."""
        return self.add("Unsqueeze", self.add("Gather", self.add("Shape", x), self.constant(axis), axis=0),
                        self.constant([0]))

    def reshape(self, x, *dims):
        """dims: numbers, or names of vectors of one."""
        parts = [d if isinstance(d, str) else self.constant([d]) for d in dims]
        return self.add("Reshape", x, self.add("Concat", *parts, axis=0))

    def move(self, x, *order):
        return self.add("Transpose", x, perm=list(order))

    def slice(self, x, start, end, axis):
        """start and end: names of vectors of one."""
        return self.add("Slice", x, start, end, self.constant([axis]), self.constant([1]))

    def count_attention(self, rows, columns, width):
        """The two products of attention, over all heads."""
        self.macs += 2 * self.batch * rows * columns * width

    def model(self):
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.weights)
        model = helper.make_model(graph, producer_name="make_zoo",
                                  opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 9 if self.opset >= 20 else 8 if self.opset >= 15 else 7
        return model


# ---- convolutional networks


def resnet50(g, norm=False):
    x = g.max_pool(g.conv(g.image(3, 224), 64, 7, 2, 3, norm=norm, act="relu"), 3, 2, 1)
    for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for block in range(blocks):
            step = 1 if block else stride
            y = g.conv(x, width, 1, norm=norm, act="relu")
            y = g.conv(y, width, 3, step, norm=norm, act="relu")
            y = g.conv(y, 4 * width, 1, norm=norm, scale=0.3)
            if not block:
                x = g.conv(x, 4 * width, 1, step, norm=norm, gain=1.0)
            x = g.activate(g.plus(y, x), "relu")
    flat = g.add("Flatten", g.add("GlobalAveragePool", x.name), axis=1)
    g.gemm(flat, 2048, 1000, out="output")
    g.output("output", [1000])


def resnet50_bn(g):
    resnet50(g, norm=True)


def mobilenet_v2(g):
    x = g.conv(g.image(3, 224), 32, 3, 2, act="relu6")
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expand, c, blocks, stride in stages:
        for block in range(blocks):
            step, inner = 1 if block else stride, x.c * expand
            y = g.conv(x, inner, 1, act="relu6") if expand > 1 else x
            y = g.conv(g.conv(y, inner, 3, step, groups=inner, act="relu6"), c, 1, gain=1.0)
            x = g.plus(x, y) if step == 1 and x.c == c else y
    pooled = g.add("GlobalAveragePool", g.conv(x, 1280, 1, act="relu6").name)
    g.gemm(g.reshape(pooled, g.size(pooled, 0), -1), 1280, 1000, out="output")
    g.output("output", [1000])


def efficientnet_se(g):
    x = g.conv(g.image(3, 224), 32, 3, 2, norm=True, act="silu")
    stages = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5),
              (6, 192, 4, 2, 5), (6, 320, 1, 1, 3))
    for expand, c, blocks, stride, kernel in stages:
        for block in range(blocks):
            step, inner = 1 if block else stride, x.c * expand
            y = g.conv(x, inner, 1, norm=True, act="silu") if expand > 1 else x
            y = g.conv(y, inner, kernel, step, groups=inner, norm=True, act="silu")
            gate = Map(g.add("GlobalAveragePool", y.name), inner, 1, 1)
            gate = g.conv(g.conv(gate, max(1, x.c // 4), 1, act="silu"), inner, 1, gain=1.0)
            y = y.named(g.add("Mul", g.add("Sigmoid", gate.name), y.name))
            y = g.conv(y, c, 1, norm=True)
            x = g.plus(y, x) if step == 1 and x.c == c else y
    x = g.conv(x, 1280, 1, norm=True, act="silu")
    g.gemm(g.add("ReduceMean", x.name, axes=[2, 3], keepdims=0), 1280, 1000, out="output")
    g.output("output", [1000])


class Yolo:
    """The layers of YOLOv8 (its nano size) that repeat."""

    def __init__(self, g, size):
        self.g, self.size = g, size

    def conv(self, x, c, kernel=3, stride=1):
        return self.g.conv(x, c, kernel, stride, act="silu")

    def c2f(self, x, c, blocks, residual):
        g, half = self.g, c // 2
        y = self.conv(x, c, 1)
        a, b = g.add("Split", y.name, g.table([half, half]), outputs=2, axis=1)
        parts = [y.named(a, half), y.named(b, half)]
        for _ in range(blocks):
            z = self.conv(self.conv(parts[-1], half), half)
            parts.append(g.plus(parts[-1], z) if residual else z)
        return self.conv(g.join(*parts), c, 1)

    def double(self, x):
        y = self.g.add("Resize", x.name, "", self.g.table([1, 1, 2, 2], np.float32), mode="nearest",
                       nearest_mode="floor", coordinate_transformation_mode="asymmetric", cubic_coeff_a=-0.75)
        return Map(y, x.c, 2 * x.h, 2 * x.w)

    def pyramid_pool(self, x, c):
        pools = [self.conv(x, c // 2, 1)]
        for _ in range(3):
            pools.append(self.g.max_pool(pools[-1], 5, 1, 2))
        return self.conv(self.g.join(*pools), c, 1)

    def levels(self, image):
        """Features at strides 8, 16 and 32."""
        x = self.c2f(self.conv(self.conv(image, 16, 3, 2), 32, 3, 2), 32, 1, True)
        p3 = self.c2f(self.conv(x, 64, 3, 2), 64, 2, True)
        p4 = self.c2f(self.conv(p3, 128, 3, 2), 128, 2, True)
        p5 = self.pyramid_pool(self.c2f(self.conv(p4, 256, 3, 2), 256, 1, True), 256)
        up4 = self.c2f(self.g.join(self.double(p5), p4), 128, 1, False)
        out3 = self.c2f(self.g.join(self.double(up4), p3), 64, 1, False)
        out4 = self.c2f(self.g.join(self.conv(out3, 64, 3, 2), up4), 128, 1, False)
        out5 = self.c2f(self.g.join(self.conv(out4, 128, 3, 2), p5), 256, 1, False)
        return out3, out4, out5

    def head(self, x):
        """Boxes and classes of one level, a column a cell."""
        g = self.g
        box = g.conv(self.conv(self.conv(x, 64), 64), 64, 1, gain=1.0)
        cls = g.conv(self.conv(self.conv(x, 80), 80), 80, 1, gain=1.0)
        y = g.join(box, cls).name
        return g.reshape(y, g.size(y, 0), 144, -1)

    def grid(self, x):
        """Centres of the cells of one level, and its stride for each."""
        rows, columns = np.mgrid[0 : x.h, 0 : x.w] + 0.5
        return np.stack([columns.ravel(), rows.ravel()]), np.full(x.h * x.w, self.size // x.h)


def yolo_v8n(g, size=640):
    yolo = Yolo(g, size)
    levels = yolo.levels(g.image(3, size, "images"))
    y = g.add("Concat", *[yolo.head(x) for x in levels], axis=2)
    grids, strides = zip(*[yolo.grid(x) for x in levels])
    cells = sum(len(s) for s in strides)
    box, cls = g.add("Split", y, g.table([64, 80]), outputs=2, axis=1)

    # Each side of a box is the mean of a distribution over 16 distances.
    sides = g.move(g.reshape(box, g.size(box, 0), 4, 16, cells), 0, 2, 1, 3)
    sides = g.add("Conv", g.add("Softmax", sides, axis=1),
                  g.weight(np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1)), kernel_shape=[1, 1],
                  strides=[1, 1], pads=[0] * 4, dilations=[1, 1], group=1)
    g.macs += g.batch * 4 * cells * 16
    sides = g.reshape(sides, g.size(sides, 0), 4, cells)
    step, axis = g.table([1]), g.table([1])
    near = g.add("Slice", sides, g.table([0]), g.table([2]), axis, step)
    far = g.add("Slice", sides, g.table([2]), g.table([4]), axis, step)
    centres = g.table(np.concatenate(grids, 1)[None], np.float32)
    low, high = g.add("Sub", centres, near), g.add("Add", centres, far)
    middle = g.add("Div", g.add("Add", low, high), g.scalar(2))
    boxes = g.add("Concat", middle, g.add("Sub", high, low), axis=1)
    boxes = g.add("Mul", boxes, g.table(np.concatenate(strides)[None], np.float32))
    g.add("Concat", boxes, g.add("Sigmoid", cls), axis=1, out="output0")
    g.output("output0", [84, cells])


def unet(g, size=256, base=32):
    def double_conv(x, c):
        return g.conv(g.conv(x, c, 3, norm=True, act="relu"), c, 3, norm=True, act="relu")

    def pad_to(y, like):
        """Pads y to the size of another (which it has already), as the usual implementation does."""
        zero = g.constant([0])
        missing = [g.add("Sub", g.size(like.name, a), g.size(y, a)) for a in (2, 3)]
        before = [g.add("Div", m, g.constant([2])) for m in missing]
        behind = [g.add("Sub", m, b) for m, b in zip(missing, before)]
        pads = g.add("Concat", zero, g.constant([0]), *before, g.constant([0]), g.constant([0]), *behind, axis=0)
        return g.add("Pad", y, pads, g.scalar(0), mode="constant")

    x, passed = double_conv(g.image(3, size), base), []
    for depth in range(1, 5):
        passed.append(x)
        x = double_conv(g.max_pool(x, 2, 2), base << depth)
    for skip in reversed(passed):
        filters = g.weight(g.normal((x.c, skip.c, 2, 2), x.c, 1.0))
        y = g.add("ConvTranspose", x.name, filters, g.weight(g.around(skip.c, 0, 0.02)), kernel_shape=[2, 2],
                  strides=[2, 2], pads=[0] * 4, dilations=[1, 1], group=1)
        g.macs += g.batch * x.c * x.h * x.w * skip.c * 4
        x = double_conv(g.join(skip, skip.named(pad_to(y, skip))), skip.c)
    head = g.conv(x, 2, 1, gain=1.0)
    g.nodes[-1].output[0] = "output"
    g.output("output", [2, head.h, head.w])


def convnext_tiny(g):
    def norm_channels(x):
        rows = g.layer_norm(g.move(x.name, 0, 2, 3, 1), x.c, True, 1e-6)
        return x.named(g.move(rows, 0, 3, 1, 2))

    x = norm_channels(g.conv(g.image(3, 224), 96, 4, 4, 0, gain=1.0))
    for stage, (c, blocks) in enumerate(((96, 3), (192, 3), (384, 9), (768, 3))):
        if stage:
            x = g.conv(norm_channels(x), c, 2, 2, 0, gain=1.0)
        for _ in range(blocks):
            deep = g.conv(x, c, 7, groups=c, gain=1.0)
            rows = g.layer_norm(g.move(deep.name, 0, 2, 3, 1), c, True, 1e-6)
            rows = g.linear(g.gelu_erf(g.linear(rows, c, 4 * c, x.h * x.w)), 4 * c, c, x.h * x.w)
            scaled = g.add("Mul", g.weight(g.around((c, 1, 1), 0.3, 0.05)), g.move(rows, 0, 3, 1, 2))
            x = x.named(g.add("Add", scaled, x.name))
    pooled = norm_channels(Map(g.add("GlobalAveragePool", x.name), 768, 1, 1))
    g.gemm(g.add("Flatten", pooled.name, axis=1), 768, 1000, out="output")
    g.output("output", [1000])


# ---- transformers


def additive_mask(g, mask):
    """0 where the mask is 1, the lowest float where it is 0, as [batch, 1, 1, sequence]."""
    wide = g.add("Unsqueeze", g.add("Unsqueeze", mask, g.constant([1])), g.constant([2]))
    return g.add("Mul", g.add("Sub", g.scalar(1), g.add("Cast", wide, to=FLOAT)), g.scalar(LOWEST))


def merge_heads(g, x, width):
    x = g.move(x, 0, 2, 1, 3)
    return g.reshape(x, g.size(x, 0), g.size(x, 1), width)


def bert(g, layers, width, heads, whole, length=128, vocabulary=30522):
    each = width // heads

    def ids(name, span):
        return g.input(name, INT64, ["sequence"], [length], span)

    def split_heads(x, *order):
        return g.move(g.reshape(x, g.size(x, 0), g.size(x, 1), heads, each), *order)

    def norm(x):
        return g.layer_norm(x, width, whole, 1e-12)

    tokens, mask = ids("input_ids", [0, vocabulary]), ids("attention_mask", [1, 2])
    kinds = ids("token_type_ids", [0, 2])
    bias = additive_mask(g, mask)
    positions = g.slice(g.table(np.arange(512)[None]), g.constant([0]), g.size(tokens, 1), 1)
    x = g.add("Add", g.add("Gather", g.weight(g.around((vocabulary, width), 0, 0.5)), tokens),
              g.add("Gather", g.weight(g.around((2, width), 0, 0.5)), kinds))
    x = norm(g.add("Add", x, g.add("Gather", g.weight(g.around((512, width), 0, 0.5)), positions)))
    for _ in range(layers):
        q, k, v = (g.linear(x, width, width, length) for _ in range(3))
        q, k, v = split_heads(q, 0, 2, 1, 3), split_heads(k, 0, 2, 3, 1), split_heads(v, 0, 2, 1, 3)
        scores = g.add("Div", g.add("MatMul", q, k), g.scalar(math.sqrt(each)))
        weights = g.add("Softmax", g.add("Add", scores, bias), axis=-1)
        mixed = merge_heads(g, g.add("MatMul", weights, v), width)
        g.count_attention(length, length, width)
        x = norm(g.add("Add", g.linear(mixed, width, width, length), x))
        wide = g.linear(x, width, 4 * width, length)
        wide = g.add("Gelu", wide, approximate="none") if whole else g.gelu_erf(wide)
        x = norm(g.add("Add", g.linear(wide, 4 * width, width, length), x))
    g.nodes[-1].output[0] = "last_hidden_state"
    g.output("last_hidden_state", ["sequence", width])
    head = g.gemm(g.add("Gather", "last_hidden_state", g.constant(0), axis=1), width, width)
    g.add("Tanh", head, out="pooler_output")
    g.output("pooler_output", [width])


def bert_base(g):
    bert(g, 12, 768, 12, whole=False)


def bert_mini(g):
    bert(g, 4, 256, 4, whole=True)


def bert_mini_decomposed(g):
    bert(g, 4, 256, 4, whole=False)


def vit_b16(g, layers=12, width=768, heads=12):
    each, length = width // heads, 197
    patches = g.conv(g.image(3, 224), width, 16, 16, 0, gain=1.0).name
    rows = g.move(g.reshape(patches, g.size(patches, 0), width, length - 1), 0, 2, 1)
    shape = g.add("Concat", g.size(rows, 0), g.constant([1]), g.constant([1]), axis=0)
    first = g.add("Expand", g.weight(g.around((1, 1, width), 0, 0.02)), shape)
    x = g.add("Add", g.add("Concat", first, rows, axis=1), g.weight(g.around((1, length, width), 0, 0.02)))
    for _ in range(layers):
        y = g.linear(g.layer_norm(x, width, True, 1e-6), width, 3 * width, length)
        y = g.move(g.reshape(y, g.size(y, 0), g.size(y, 1), 3, heads, each), 2, 0, 3, 1, 4)
        q, k, v = (g.add("Gather", y, g.constant(i), axis=0) for i in range(3))
        scores = g.add("MatMul", g.add("Mul", q, g.scalar(each**-0.5)), g.move(k, 0, 1, 3, 2))
        mixed = merge_heads(g, g.add("MatMul", g.add("Softmax", scores, axis=-1), v), width)
        g.count_attention(length, length, width)
        x = g.add("Add", x, g.linear(mixed, width, width, length))
        wide = g.gelu_erf(g.linear(g.layer_norm(x, width, True, 1e-6), width, 4 * width, length))
        x = g.add("Add", x, g.linear(wide, 4 * width, width, length))
    x = g.layer_norm(x, width, True, 1e-6)
    g.gemm(g.add("Gather", x, g.constant(0), axis=1), width, 1000, out="logits")
    g.output("logits", [1000])


class Gpt2:
    """A decoder with a cache: one new token behind `past` known ones."""

    def __init__(self, g, width, heads, past, step):
        self.g, self.width, self.heads, self.past, self.step = g, width, heads, past, step
        self.each, self.total = width // heads, past + step
        self.triangle = None

    def dense(self, x, n_in, n_out):
        """Gemm on a flattened view, and the view back."""
        g = self.g
        g.macs += g.batch * self.step * n_in * n_out
        y = g.add("Gemm", g.reshape(x, -1, n_in), g.weight(g.normal((n_in, n_out), n_in, 1.0)),
                  g.weight(g.around(n_out, 0, 0.02)), alpha=1.0, beta=1.0)
        return g.reshape(y, g.size(x, 0), g.size(x, 1), n_out)

    def norm(self, x):
        return self.g.layer_norm(x, self.width, False, 1e-5)

    def cached(self, layer, kind, past, new):
        name = f"present.{layer}.{kind}"
        self.g.add("Concat", past, new, axis=-2, out=name)
        self.g.output(name, [self.heads, "past_sequence + sequence", self.each])
        return name

    def hide_future(self, scores, q, k):
        g = self.g
        known, new = g.size(k, 2), g.size(q, 2)
        rows = g.slice(self.triangle, g.add("Sub", known, new), known, 2)
        seen = g.slice(rows, g.constant([0]), known, 3)
        return g.add("Where", seen, scores, g.scalar(LOWEST))

    def attend(self, layer, x, past, bias):
        g, width = self.g, self.width
        parts = g.add("Split", self.dense(self.norm(x), width, 3 * width), g.table([width] * 3), outputs=3, axis=2)
        q, k, v = (g.move(g.reshape(p, g.size(p, 0), g.size(p, 1), self.heads, self.each), 0, 2, 1, 3) for p in parts)
        k, v = self.cached(layer, "key", past[0], k), self.cached(layer, "value", past[1], v)
        scores = g.add("Div", g.add("MatMul", q, g.move(k, 0, 1, 3, 2)), g.scalar(math.sqrt(self.each)))
        weights = g.add("Softmax", g.add("Add", self.hide_future(scores, q, k), bias), axis=-1)
        g.count_attention(self.step, self.total, width)
        return self.dense(merge_heads(g, g.add("MatMul", weights, v), width), width, width)


def gpt2_small(g, layers=12, width=768, heads=12, vocabulary=50257, past=128, step=1):
    net = Gpt2(g, width, heads, past, step)
    tokens = g.input("input_ids", INT64, ["sequence"], [step], [0, vocabulary])
    mask = g.input("attention_mask", INT64, ["past_sequence + sequence"], [net.total], [1, 2])
    places = g.input("position_ids", INT64, ["sequence"], [step], [past, past + 1])
    caches = [[g.input(f"past_key_values.{i}.{kind}", FLOAT, [heads, "past_sequence", net.each],
                       [heads, past, net.each], [-1, 1]) for kind in ("key", "value")] for i in range(layers)]
    words = g.weight(g.around((vocabulary, width), 0, 0.05), "transformer.wte.weight")
    x = g.add("Add", g.add("Gather", words, tokens),
              g.add("Gather", g.weight(g.around((1024, width), 0, 0.05)), places))
    bias = additive_mask(g, mask)
    net.triangle = g.weight(np.tril(np.ones((1, 1, 1024, 1024), bool)), "causal_mask", counted=False)
    for layer, past_values in enumerate(caches):
        x = g.add("Add", net.attend(layer, x, past_values, bias), x)
        wide = g.gelu_tanh(net.dense(net.norm(x), width, 4 * width))
        x = g.add("Add", x, net.dense(wide, 4 * width, width))
    g.macs += g.batch * step * width * vocabulary
    g.add("MatMul", net.norm(x), g.move(words, 1, 0), out="logits")  # the embedding is the output layer too
    g.output("logits", ["sequence", vocabulary], first=True)


# ---- others


def lstm_tagger(g, vocabulary=10000, embedding=128, hidden=256, layers=2, tags=17, length=64):
    tokens = g.input("input_ids", INT64, ["sequence"], [length], [0, vocabulary])
    x = g.add("Gather", g.weight(g.around((vocabulary, embedding), 0, 1.0)), tokens)
    x, width = g.move(x, 1, 0, 2), embedding
    bound = 1 / math.sqrt(hidden)
    for _ in range(layers):
        shape = g.add("Concat", g.constant([2]), g.size(x, 1), g.constant([hidden]), axis=0)
        zero = g.add("ConstantOfShape", shape, value=helper.make_tensor("zero", FLOAT, [1], [0.0]))
        sizes = ((2, 4 * hidden, width), (2, 4 * hidden, hidden), (2, 8 * hidden))
        y = g.add("LSTM", x, *(g.weight(g.between(s, -bound, bound)) for s in sizes), "", zero, zero, outputs=3,
                  direction="bidirectional", hidden_size=hidden)[0]
        g.macs += g.batch * length * 2 * 4 * hidden * (width + hidden)
        x = g.add("Reshape", g.move(y, 0, 2, 1, 3), g.constant([0, 0, -1]))
        width = 2 * hidden
    scores = g.linear(g.move(x, 1, 0, 2), width, tags, length)
    g.add("LogSoftmax", scores, axis=-1, out="log_probs")
    g.output("log_probs", ["sequence", tags])


def mlp(g):
    x = g.input("input", FLOAT, [784], [784], [0, 1])
    g.gemm(g.add("Relu", g.gemm(x, 784, 512, gain=2.0)), 512, 10, out="output")
    g.output("output", [10])


# Builder and opset, which decides how a graph is written as much as what may be in it.
ZOO = {
    "resnet50": (resnet50, 15),
    "resnet50_bn": (resnet50_bn, 15),
    "mobilenet_v2": (mobilenet_v2, 13),
    "efficientnet_se": (efficientnet_se, 13),
    "yolo_v8n": (yolo_v8n, 17),
    "unet": (unet, 13),
    "convnext_tiny": (convnext_tiny, 17),
    "bert_base": (bert_base, 14),
    "bert_mini": (bert_mini, 20),
    "bert_mini_decomposed": (bert_mini_decomposed, 14),
    "vit_b16": (vit_b16, 17),
    "gpt2_small": (gpt2_small, 14),
    "lstm_tagger": (lstm_tagger, 14),
    "mlp": (mlp, 13),
}


def write(folder, name, batch):
    """Writes a model; gives its entry in zoo.json."""
    build, opset = ZOO[name]
    g = Graph(name, opset, batch)
    build(g)
    path = os.path.join(folder, name + ".onnx")
    onnx.save(g.model(), path)
    onnx.checker.check_model(path)
    return {"opset": opset, "nodes": len(g.nodes), "params": int(g.params), "bytes": os.path.getsize(path),
            "macs": int(g.macs), "batch": g.batch, "inputs": g.feed, "outputs": [o.name for o in g.outputs]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", nargs="?", default="zoo")
    parser.add_argument("--only", default=",".join(ZOO), metavar="NAME[,NAME...]")
    parser.add_argument("--batch", type=int, metavar="N")
    parser.add_argument("--list", action="store_true", help="names and opsets")
    args = parser.parse_args()
    if args.list:
        for name, (_, opset) in ZOO.items():
            print(f"{name} opset {opset}")
        return
    names = args.only.split(",")
    unknown = [n for n in names if n not in ZOO]
    if unknown:
        parser.error(f"no such model: {', '.join(unknown)}")
    os.makedirs(args.folder, exist_ok=True)
    index = os.path.join(args.folder, "zoo.json")
    entries = {}
    if os.path.exists(index):
        with open(index) as f:
            entries = json.load(f)
    for name in names:
        entries[name] = e = write(args.folder, name, args.batch)
        print(f"{name}: {e['nodes']} nodes, {e['params'] / 1e6:.2f} M parameters, {e['macs'] / 1e9:.4f} GMACs, "
              f"{e['bytes'] / 1e6:.1f} MB", flush=True)
        with open(index, "w") as f:
            json.dump(entries, f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
