#!/usr/bin/env python3
"""Loads and saves models with the library, and compares the result with the original, field by field, as the
onnx package reads both. Values are compared by what they mean: external data is read in, nodes may have been put
into topological order.

    scripts/check_roundtrip.py [--build DIR] [MODEL...]

Without models: everything in testdata/ that is not bad on purpose and, when there, ../shared/models."""

import argparse
import glob
import os
import re
import shlex
import subprocess
import sys
import tempfile

import onnx
from onnx import TensorProto, external_data_helper

BAD = re.compile(r"/(bad|external_bad|notonnx)/")
LIBS = ["libprotobuf-c", "libcjson", "popt", "libzip"]


def build_tool(build):
    tool = os.path.join(build, "tests/tools/resave")
    os.makedirs(os.path.dirname(tool), exist_ok=True)
    lib = os.path.join(build, "libonnxtool.a")
    flags = shlex.split(subprocess.check_output(["pkg-config", "--cflags", "--libs"] + LIBS, text=True))
    cc = os.environ.get("CC", "cc")
    extra = shlex.split(os.environ.get("CFLAGS", ""))
    subprocess.check_call([cc, "-std=c11", "-D_GNU_SOURCE", "-O1", *extra, "-Isrc", "-o", tool,
                           "tests/tools/resave.c", lib, *flags, "-ldl", "-lm", "-lpthread"])
    return tool


def tensors_in(graph):
    for t in graph.initializer:
        yield t
    for s in graph.sparse_initializer:
        yield from (s.values, s.indices)
    for n in graph.node:
        yield from tensors_of_node(n)


def tensors_of_node(node):
    for a in node.attribute:
        if a.HasField("t"):
            yield a.t
        yield from a.tensors
        if a.HasField("g"):
            yield from tensors_in(a.g)
        for g in a.graphs:
            yield from tensors_in(g)


def all_tensors(model):
    yield from tensors_in(model.graph)
    for f in model.functions:
        for n in f.node:
            yield from tensors_of_node(n)


def read(path):
    model = onnx.load(path, load_external_data=False)
    for t in all_tensors(model):
        if t.data_location == TensorProto.EXTERNAL:
            external_data_helper.load_external_data_for_tensor(t, os.path.dirname(path))
            t.data_location = TensorProto.DEFAULT
            del t.external_data[:]
        t.ClearField("data_location")
    return model


def normalize(graph):
    """Puts nodes into one order that does not depend on the one they came in."""
    for n in graph.node:
        for a in n.attribute:
            if a.HasField("g"):
                normalize(a.g)
            for g in a.graphs:
                normalize(g)
    nodes = sorted(graph.node, key=lambda n: (list(n.output), n.SerializeToString(deterministic=True)))
    del graph.node[:]
    graph.node.extend(nodes)


def check(tool, path, mode, folder):
    out = os.path.join(folder, "out.onnx")
    r = subprocess.run([tool, "--external", mode, path, out], capture_output=True, text=True, check=False)
    if r.returncode:
        return r.stderr.strip()
    a, b = read(path), read(out)
    if a == b:
        return None
    for m in (a, b):
        normalize(m.graph)
        for f in m.functions:
            normalize(f)
    if a == b:
        return None
    for field in a.DESCRIPTOR.fields:
        if getattr(a, field.name) != getattr(b, field.name):
            return f"field {field.name} differs"
    return "differs (unknown fields?)"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", default="build")
    ap.add_argument("models", nargs="*")
    args = ap.parse_args()
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    models = [os.path.abspath(m) for m in args.models]
    os.chdir(root)
    for pattern in ("testdata/**/*.onnx", "../shared/models/**/*.onnx"):
        found = [] if args.models else sorted(glob.glob(pattern, recursive=True))
        models += [m for m in found if not BAD.search(m)]
    tool = build_tool(args.build)
    failed = 0
    for path in models:
        for mode in ("auto", "always", "never"):
            with tempfile.TemporaryDirectory() as folder:
                why = check(tool, path, mode, folder)
            if why:
                failed += 1
                print(f"FAIL {path} ({mode}): {why}")
    print(f"{3 * len(models) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
