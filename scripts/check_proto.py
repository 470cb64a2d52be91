#!/usr/bin/env python3
"""Compares proto/onnx.proto with the format that the installed onnx package speaks.

Every message, field (name, number, type, label, packed, oneof), reserved range and enum value must agree, both ways.
Needs the onnx package and protoc or protoc-c. Exit 0: they agree; 1: differences, printed one a line.
"""
import os
import shutil
import subprocess
import sys
import tempfile

import onnx
from google.protobuf import descriptor_pb2
from onnx import onnx_data_pb2, onnx_ml_pb2

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def compile_ours():
    compiler = shutil.which("protoc") or shutil.which("protoc-c")
    if not compiler:
        sys.exit("check_proto: protoc or protoc-c is needed")
    with tempfile.TemporaryDirectory() as tmp:
        out = os.path.join(tmp, "set.bin")
        proto = os.path.join(ROOT, "proto")
        subprocess.run([compiler, "-I" + proto, "--descriptor_set_out=" + out, "onnx.proto"], check=True)
        files = descriptor_pb2.FileDescriptorSet()
        with open(out, "rb") as f:
            files.ParseFromString(f.read())
    return list(files.file)


def installed():
    files = []
    for module in (onnx_ml_pb2, onnx_data_pb2):
        f = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(f)
        files.append(f)
    return files


def facts_of_enum(path, e, facts):
    facts.add(f"enum {path}")
    for v in e.value:
        facts.add(f"enum {path}: {v.name} = {v.number}")


def facts_of_message(path, m, facts):
    facts.add(f"message {path}")
    for f in m.field:
        kind = descriptor_pb2.FieldDescriptorProto.Type.Name(f.type)
        label = descriptor_pb2.FieldDescriptorProto.Label.Name(f.label)
        oneof = m.oneof_decl[f.oneof_index].name if f.HasField("oneof_index") else "-"
        default = f.default_value if f.HasField("default_value") else "-"
        facts.add(f"message {path}: {f.name} = {f.number} {label} {kind} {f.type_name or '-'} "
                  f"packed={f.options.packed} oneof={oneof} default={default}")
    for r in m.reserved_range:
        for n in range(r.start, r.end):
            facts.add(f"message {path}: reserved {n}")
    for name in m.reserved_name:
        facts.add(f"message {path}: reserved name {name}")
    for e in m.enum_type:
        facts_of_enum(f"{path}.{e.name}", e, facts)
    for n in m.nested_type:
        facts_of_message(f"{path}.{n.name}", n, facts)


def facts_of(files):
    facts = set()
    for f in files:
        facts.add(f"package {f.package}, syntax {f.syntax or 'proto2'}")
        for e in f.enum_type:
            facts_of_enum(e.name, e, facts)
        for m in f.message_type:
            facts_of_message(m.name, m, facts)
    return facts


def main():
    ours, theirs = facts_of(compile_ours()), facts_of(installed())
    for fact in sorted(theirs - ours):
        print("missing in proto/onnx.proto:", fact)
    for fact in sorted(ours - theirs):
        print("only in proto/onnx.proto:   ", fact)
    if ours != theirs:
        return 1
    print(f"proto/onnx.proto agrees with onnx {onnx.__version__}: {len(ours)} facts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
