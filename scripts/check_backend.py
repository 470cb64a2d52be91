#!/usr/bin/env python3
"""Run the node tests of the onnx package through onnxtool, and count by operator.

    check_backend.py [--tool build/onnxtool] [--only GLOB] [--optimize LEVEL] [--threads N] [--cpu-mask MASK]
                     [--keep DIR] [--all] [-v]

Cases are collected from onnx.backend.test.case.node on the fly, so that the newest package decides. A case whose
operators are all in src/ops/ops.def must pass; the others must be refused as unsupported (exit code 4). The table has a
line an operator; with --all also those that nobody expects to run. Exit code 1 when a case fails.

Needs onnx (and its dependencies ml_dtypes, numpy). KEEP gets the failing cases: model.onnx and test_data_set_0.
"""
import argparse
import collections
import concurrent.futures
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import numpy_helper  # noqa: E402
from onnx.backend.test.case.node import collect_testcases  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOMAINS = {"ml": "ai.onnx.ml", "preview": "ai.onnx.preview", "training": "ai.onnx.preview.training",
           "com_microsoft": "com.microsoft"}
# Outputs are random by definition: they must run, their values are not compared.
RANDOM = re.compile(r"^test_(bernoulli|random|multinomial|training_dropout(?!.*zero_ratio))")
# Least relative tolerance by element type of the outputs: a result may round to the neighbour on the way, which is more
# than the 1e-3 that the cases ask for.
LEAST_RTOL = {onnx.TensorProto.BFLOAT16: 1.6e-2, onnx.TensorProto.FLOAT16: 2e-3}
# Cases that say something else than the specification's text.
DISPUTED = {f"test_{op}_{t}_to_FLOAT4E2M1{tail}": "NaN has no float4 value; the case wants -0, we saturate"
            for op, tail in (("cast", ""), ("castlike", ""), ("castlike", "_expanded"))
            for t in ("FLOAT", "FLOAT16")}
DISPUTED.update({f"test_dft_inverse{tail}": "numpy computed it in float32: zeros are 2e-6, where 1e-7 is allowed"
                 for tail in ("", "_opset19")})


def listed_operators():
    ops = set()
    with open(os.path.join(ROOT, "src/ops/ops.def"), encoding="utf-8") as f:
        for line in f:
            if m := re.match(r"\s*OP\((\w+)\)", line):
                ops.add(("", m[1]))
            elif m := re.match(r"\s*OPD\((\w+),\s*(\w+)\)", line):
                ops.add((DOMAINS.get(m[1], m[1]), m[2]))
    return ops


def graph_operators(graph):
    for node in graph.node:
        yield ("" if node.domain == "ai.onnx" else node.domain, node.op_type)
        for a in node.attribute:
            for g in [a.g] * a.HasField("g") + list(a.graphs):
                yield from graph_operators(g)


def operators(model):
    calls = {(f.domain, f.name) for f in model.functions}
    ops = set(graph_operators(model.graph)) | {o for f in model.functions for o in graph_operators(f)}
    return ops - calls


def write_value(path, value, info):
    kind = info.type.WhichOneof("value")
    if isinstance(value, (onnx.TensorProto, onnx.SequenceProto, onnx.OptionalProto)):
        proto = value
        proto.name = info.name
    elif kind == "map_type":
        proto = numpy_helper.from_dict(value, info.name)
    elif kind == "sequence_type":
        proto = numpy_helper.from_list(value, info.name)
    elif kind == "optional_type":
        proto = numpy_helper.from_optional(value, info.name)
    else:
        proto = numpy_helper.from_array(np.asarray(value), info.name)
    with open(path, "wb") as f:
        f.write(proto.SerializeToString())


def write_case(case, folder):
    os.makedirs(os.path.join(folder, "test_data_set_0"))
    onnx.save(case.model, os.path.join(folder, "model.onnx"))
    ins, outs = case.data_sets[0]
    graph = case.model.graph
    for kind, values, infos in (("input", ins, graph.input), ("output", outs, graph.output)):
        for i, value in enumerate(values):
            write_value(os.path.join(folder, "test_data_set_0", f"{kind}_{i}.pb"), value, infos[i])


def run_case(case, args, work):
    """(verdict, what the tool said): pass, fail, or unsupported."""
    folder = os.path.join(work, case.name)
    write_case(case, folder)
    data = os.path.join(folder, "test_data_set_0")
    command = [args.tool, "run", os.path.join(folder, "model.onnx"), "-q", "-O", args.optimize,
               "--threads", str(args.threads), "--cpu-mask", args.cpu_mask, "--timeout", "60"]
    if len(case.model.graph.input):
        command += ["--input", data]
    if not RANDOM.match(case.name):
        types = [o.type.tensor_type.elem_type for o in case.model.graph.output]
        rtol = max([case.rtol] + [LEAST_RTOL.get(t, 0) for t in types])
        command += ["--expect", data, "--rtol", repr(rtol), "--atol", repr(case.atol)]
    p = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    said = (p.stderr.strip() + " | " + " ".join(p.stdout.split())).strip(" |")
    verdict = "pass" if p.returncode == 0 else "unsupported" if p.returncode == 4 else "fail"
    if verdict != "pass" and args.keep:
        shutil.copytree(folder, os.path.join(args.keep, case.name), dirs_exist_ok=True)
    shutil.rmtree(folder)
    return verdict, f"exit {p.returncode}: {said}"


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--tool", default=os.path.join(ROOT, "build/onnxtool"))
    ap.add_argument("--only", default="*", help="GLOB of case names or of operators")
    ap.add_argument("--optimize", default="all")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--cpu-mask", default="all")
    ap.add_argument("--keep", help="folder for cases that do not pass")
    ap.add_argument("--all", action="store_true", help="show operators that are not in ops.def too")
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("-v", "--verbose", action="store_true", help="show every case that does not pass")
    args = ap.parse_args()

    listed = listed_operators()
    cases = collect_testcases(None)
    subject = {}  # case name -> operator it is about
    for c in cases:
        node = c.model.graph.node[0]
        subject[c.name] = (node.domain or "", node.op_type)
    rows = collections.defaultdict(collections.Counter)
    problems = []

    def about(c):
        base = re.sub(r"_expanded.*$", "", c.name)
        return subject.get(base, subject[c.name])

    chosen = [c for c in cases if c.data_sets and
              (fnmatch.fnmatch(c.name, args.only) or fnmatch.fnmatch(about(c)[1], args.only))]
    with tempfile.TemporaryDirectory() as work, \
            concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for c, (verdict, said) in zip(chosen, pool.map(lambda c: run_case(c, args, work), chosen)):
            expected = operators(c.model) <= listed
            if verdict == "unsupported" and expected:
                verdict = "refused"
            if verdict == "fail" and c.name in DISPUTED:
                verdict, said = "disputed", DISPUTED[c.name]
            rows[about(c)][verdict] += 1
            if verdict in ("fail", "refused") or (args.all and verdict == "unsupported"):
                problems.append((c.name, verdict, said))

    total = collections.Counter()
    print(f"{'operator':34}{'pass':>6}{'fail':>6}{'refused':>9}{'disputed':>10}{'unsupported':>13}")
    for op, n in sorted(rows.items()):
        total.update(n)
        if op in listed or args.all or n["fail"] or n["refused"]:
            name = f"{op[0]}.{op[1]}" if op[0] else op[1]
            print(f"{name:34}{n['pass']:6}{n['fail']:6}{n['refused']:9}{n['disputed']:10}{n['unsupported']:13}")
    print(f"{'all':34}{total['pass']:6}{total['fail']:6}{total['refused']:9}{total['disputed']:10}{total['unsupported']:13}")
    for name, verdict, said in problems:
        if args.verbose or len(problems) <= 20:
            print(f"{verdict} {name}: {said[:300]}")
    return 1 if total["fail"] or total["refused"] else 0


if __name__ == "__main__":
    sys.exit(main())
