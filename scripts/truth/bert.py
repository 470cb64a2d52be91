"""Writes a tiny BERT as PyTorch's exporter lays it out: sizes read off the inputs (Shape, Gather, Unsqueeze, Concat), token
types out of a ConstantOfShape, the mask widened with Equal, Where and Expand, layer norms and Gelu spelled out.

    bert.py OUT OPSET      opset 11, 14 or 17
"""
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HIDDEN, HEADS, LAYERS, WORDS, LENGTH = 16, 2, 2, 20, 32
IR = {11: 6, 14: 7, 17: 8}


class Graph:
    """Nodes named as they come; methods return names of values."""

    def __init__(self, opset):
        self.opset, self.nodes, self.weights, self.count = opset, [], [], 0
        self.random = np.random.RandomState(0)

    def op(self, kind, *ins, **attrs):
        self.count += 1
        name = "%s_%d" % (kind, self.count)
        self.nodes.append(helper.make_node(kind, list(ins), [name + "_output_0"], name=name, **attrs))
        return name + "_output_0"

    def const(self, value, dtype="i8"):
        return self.op("Constant", value=numpy_helper.from_array(np.array(value, dtype), ""))

    def weight(self, name, *dims):
        self.weights.append(numpy_helper.from_array((self.random.rand(*dims) / 10).astype("f"), name))
        return name

    def unsqueeze(self, value, axis):
        if self.opset >= 13:
            return self.op("Unsqueeze", value, self.const([axis]))
        return self.op("Unsqueeze", value, axes=[axis])

    def dim(self, value, axis):
        return self.op("Gather", self.op("Shape", value), self.const(axis), axis=0)

    def linear(self, value, name, rows, cols):
        return self.op("Add", self.weight(name + ".bias", cols),
                       self.op("MatMul", value, self.weight(name + ".weight", rows, cols)))

    def norm(self, value, name):
        if self.opset >= 17:
            return self.op("LayerNormalization", value, self.weight(name + ".weight", HIDDEN),
                           self.weight(name + ".bias", HIDDEN), axis=-1)
        centred = self.op("Sub", value, self.op("ReduceMean", value, axes=[-1]))
        square = self.op("ReduceMean", self.op("Pow", centred, self.const(2.0, "f4")), axes=[-1])
        scaled = self.op("Div", centred, self.op("Sqrt", self.op("Add", square, self.const(1e-12, "f4"))))
        return self.op("Add", self.op("Mul", scaled, self.weight(name + ".weight", HIDDEN)),
                       self.weight(name + ".bias", HIDDEN))

    def heads(self, value, perm):
        shape = self.op("Concat", self.unsqueeze(self.dim(value, 0), 0), self.unsqueeze(self.dim(value, 1), 0),
                        self.const([HEADS]), self.const([HIDDEN // HEADS]), axis=0)
        return self.op("Transpose", self.op("Reshape", value, shape), perm=perm)


def fill(g, dims, value):
    return g.op("ConstantOfShape", dims, value=numpy_helper.from_array(np.array([value], "i8"), ""))


def mask_of(g, batch, length):
    mask = g.op("Cast", g.unsqueeze(g.unsqueeze("attention_mask", 1), 2), to=TensorProto.FLOAT)
    want = g.op("Concat", batch, g.const([1]), length, length, axis=0)
    want = g.op("Reshape", want, g.const([-1]))
    ones = fill(g, g.op("Shape", want), 1)
    same = g.op("Equal", want, g.op("Mul", ones, g.const(-1)))
    mask = g.op("Expand", mask, g.op("Where", same, ones, want))
    mask = g.op("Sub", g.const(1.0, "f4"), mask)
    return g.op("Where", g.op("Cast", mask, to=TensorProto.BOOL), g.const(-3e38, "f4"), mask)


def embed(g, batch, length):
    g.weights.append(numpy_helper.from_array(np.arange(LENGTH, dtype="i8")[None], "position_ids"))
    places = g.op("Slice", "position_ids", g.const([0]), length, g.const([1]))
    kinds = fill(g, g.op("Concat", batch, length, axis=0), 0)
    x = g.op("Gather", g.weight("words", WORDS, HIDDEN), "input_ids")
    x = g.op("Add", x, g.op("Gather", g.weight("kinds", 2, HIDDEN), kinds))
    return g.norm(g.op("Add", x, g.op("Gather", g.weight("places", LENGTH, HIDDEN), places)), "norm")


def layer(g, x, mask, name):
    q = g.heads(g.linear(x, name + ".q", HIDDEN, HIDDEN), [0, 2, 1, 3])
    k = g.heads(g.linear(x, name + ".k", HIDDEN, HIDDEN), [0, 2, 3, 1])
    v = g.heads(g.linear(x, name + ".v", HIDDEN, HIDDEN), [0, 2, 1, 3])
    scores = g.op("Add", g.op("Div", g.op("MatMul", q, k), g.const((HIDDEN / HEADS) ** 0.5, "f4")), mask)
    seen = g.op("Transpose", g.op("MatMul", g.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
    shape = g.op("Concat", g.unsqueeze(g.dim(seen, 0), 0), g.unsqueeze(g.dim(seen, 1), 0), g.const([HIDDEN]), axis=0)
    seen = g.op("Reshape", seen, shape)
    x = g.norm(g.op("Add", g.linear(seen, name + ".o", HIDDEN, HIDDEN), x), name + ".n1")
    f = g.linear(x, name + ".up", HIDDEN, 4 * HIDDEN)
    f = g.op("Mul", f, g.op("Add", g.op("Erf", g.op("Div", f, g.const(2 ** 0.5, "f4"))), g.const(1.0, "f4")))
    f = g.op("Mul", f, g.const(0.5, "f4"))
    return g.norm(g.op("Add", g.linear(f, name + ".down", 4 * HIDDEN, HIDDEN), x), name + ".n2")


def bert(opset):
    g = Graph(opset)
    batch, length = g.unsqueeze(g.dim("input_ids", 0), 0), g.unsqueeze(g.dim("input_ids", 1), 0)
    mask = mask_of(g, batch, length)
    x = embed(g, batch, length)
    for i in range(LAYERS):
        x = layer(g, x, mask, "layer%d" % i)
    first = g.op("Gather", x, g.const(0), axis=1)
    pooled = g.op("Tanh", g.op("Gemm", first, g.weight("pool.weight", HIDDEN, HIDDEN), g.weight("pool.bias", HIDDEN),
                               transB=1))
    ins = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "sequence"])
           for n in ("input_ids", "attention_mask")]
    outs = [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["batch", "sequence", HIDDEN]),
            helper.make_tensor_value_info(pooled, TensorProto.FLOAT, ["batch", HIDDEN])]
    graph = helper.make_graph(g.nodes, "bert", ins, outs, g.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR[opset])
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    onnx.save(bert(int(sys.argv[2])), sys.argv[1])
