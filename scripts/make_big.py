#!/usr/bin/env python3
"""Writes three models of more than 2 GiB in a single file, which no protobuf library can write or read:

    scripts/make_big.py DIR

    big_two.onnx    2 tensors in raw_data; picks two elements of each and adds them
    big_many.onnx   3,000 tensors in raw_data, 5,000 nodes: a chain of MatMul and Relu
    big_field.onnx  as big_two.onnx, in packed float_data

The weights are holes of sparse files but for a few elements, so the files take little room on most file systems.
Needs onnx, for the small parts; the large messages are framed here.

Right answers: the first and last element of tensor k of big_two and big_field are k + 1 and k + 1.5, so Y is [3, 4].
Every matrix of big_many has a single 1 in its first element, so Y[0, 0] = max(X[0, 0], 0) and the rest is 0.
"""
import os
import struct
import sys

from onnx import TensorProto, helper

RAW_DATA, FLOAT_DATA = 9, 4
TWO_COUNT = 300_000_000  # elements a tensor: 2 x 1.2 GB
MANY, MANY_NODES, MANY_DIM = 3000, 5000, 424  # 3000 x 719,104 bytes


def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out + bytes([n]))


def head(field, length):
    """Key and length of a length-delimited field."""
    return varint(field << 3 | 2) + varint(length)


def field(number, data):
    return head(number, len(data)) + data


class Weight:
    """A float tensor whose elements stand last in its message and are zero but for {index: value}."""

    def __init__(self, name, dims, data_field, values):
        self.count = 1
        for d in dims:
            self.count *= d
        fixed = TensorProto(name=name, dims=dims, data_type=TensorProto.FLOAT).SerializeToString()
        self.lead = fixed + head(data_field, 4 * self.count)
        self.values = values

    def size(self):
        return len(self.lead) + 4 * self.count

    def write(self, f):
        f.write(self.lead)
        start = f.tell()
        for index, value in self.values.items():
            f.seek(start + 4 * index)
            f.write(struct.pack("<f", value))
        f.seek(start + 4 * self.count)


def write_model(path, graph, weights):
    """graph without initializers; they are added behind what it has."""
    small = graph.SerializeToString()
    total = len(small) + sum(len(head(5, w.size())) + w.size() for w in weights)
    with open(path, "wb") as f:
        f.write(b"\x08" + varint(8) + field(2, b"make_big"))  # ir_version, producer_name
        f.write(field(8, helper.make_opsetid("", 17).SerializeToString()))
        f.write(head(7, total) + small)
        for w in weights:
            f.write(head(5, w.size()))
            w.write(f)
        f.truncate(f.tell())  # the last element may be in a hole
    print(f"{path}: {os.path.getsize(path)} bytes, {os.stat(path).st_blocks * 512} on disk")


def write_two(path, data_field):
    n = TWO_COUNT
    weights = [Weight(f"w{k}", [n], data_field, {0: k + 1.0, n - 1: k + 1.5}) for k in range(2)]
    ends = helper.make_tensor("ends", TensorProto.INT64, [2], [0, n - 1])
    graph = helper.make_graph(
        [helper.make_node("Gather", ["w0", "ends"], ["a"]), helper.make_node("Gather", ["w1", "ends"], ["b"]),
         helper.make_node("Add", ["a", "b"], ["Y"])],
        "two", [], [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [2])], [ends])
    write_model(path, graph, weights)


def write_many(path):
    nodes, value = [], "X"
    relus = MANY_NODES - MANY
    for k in range(MANY):
        nodes.append(helper.make_node("MatMul", [value, f"layer{k}.weight"], [f"m{k}"], f"layer{k}"))
        value = f"m{k}"
        if k >= MANY - relus:
            nodes.append(helper.make_node("Relu", [value], [f"r{k}"], f"relu{k}"))
            value = f"r{k}"
    nodes[-1].output[0] = "Y"
    io = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", MANY_DIM])] for n in ("X", "Y")]
    weights = [Weight(f"layer{k}.weight", [MANY_DIM, MANY_DIM], RAW_DATA, {0: 1.0}) for k in range(MANY)]
    write_model(path, helper.make_graph(nodes, "many", *io), weights)


def main(argv):
    if len(argv) != 1 or argv[0].startswith("-"):
        sys.exit(__doc__)
    os.makedirs(argv[0], exist_ok=True)
    write_two(os.path.join(argv[0], "big_two.onnx"), RAW_DATA)
    write_many(os.path.join(argv[0], "big_many.onnx"))
    write_two(os.path.join(argv[0], "big_field.onnx"), FLOAT_DATA)


if __name__ == "__main__":
    main(sys.argv[1:])
