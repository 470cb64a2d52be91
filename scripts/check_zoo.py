#!/usr/bin/env python3
"""Compare onnxtool with ONNX Runtime on realistic architectures.

    check_zoo.py ZOO [--tool build/onnxtool] [--only NAME[,NAME...]] [--optimize LEVEL] [--threads N] [--cpu-mask MASK]
                 [--seeds N]

ZOO is a folder of models with a zoo.json: per model the inputs to feed {name: dtype, dims, range} and its MACs. Every
model runs with batch 1 and 3 and, where it has a sequence, with another length; each with N seeds (3). ONNX Runtime's
CPU provider runs the same inputs with all optimizations off. Per output max |a-b| <= 1e-4 max |b| must hold, and the
MACs that `onnxtool inspect` counts must be those of zoo.json to the unit. Exit code 1 when something differs.

Needs numpy, onnx and onnxruntime.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import zlib

import numpy as np
import onnx
import onnxruntime as ort

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOLERANCE = 1e-4


def axes(model):
    """{input: [number or text]} of the graph's inputs."""
    return {i.name: [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim] for i in model.graph.input}


def sizes_of(entry, names):
    """Sizes of the symbols, read off the dims that the zoo feeds."""
    sizes = {}
    for name, dims in names.items():
        for axis, n in zip(dims, entry["inputs"][name]["dims"]):
            if isinstance(axis, str) and axis.isidentifier():
                sizes[axis] = n
    return sizes


def bindings(sizes):
    """(label, sizes) of every shape to try."""
    for batch in (1, 3):
        yield f"batch {batch}", {**sizes, "batch": batch}
    lengths = {k: n * 3 // 5 + 1 + k.startswith("past") for k, n in sizes.items() if "sequence" in k}
    if "past_sequence" in sizes:
        lengths["sequence"] = 5  # several tokens behind a cache
    if lengths:
        yield " ".join(f"{k} {n}" for k, n in lengths.items()), {**sizes, "batch": 2, **lengths}


def make_input(rng, name, spec, dims, past):
    low, high = spec["range"]
    if "position" in name:
        return np.broadcast_to(np.arange(past, past + dims[-1]), dims).astype(spec["dtype"])
    if "mask" in name:  # rows of different length
        mask = np.ones(dims, spec["dtype"])
        for row in mask[1:]:
            row[:rng.integers(0, dims[-1] // 2)] = 0
        return mask
    if spec["dtype"].startswith("float"):
        return rng.uniform(low, high, dims).astype(spec["dtype"])
    return rng.integers(low, high, dims).astype(spec["dtype"])


def make_inputs(entry, names, sizes, seed):
    rng = np.random.default_rng([seed, zlib.crc32(repr(sorted(sizes.items())).encode())])
    feed = {}
    for name, dims in names.items():
        # "past_sequence + sequence" is the only kind of expression in the zoo
        shape = [d if isinstance(d, int) else sum(sizes[s] for s in re.findall(r"\w+", d)) for d in dims]
        feed[name] = make_input(rng, name, entry["inputs"][name], shape, sizes.get("past_sequence", 0))
    return feed


def run_tool(args, path, feeds, work):
    """Outputs of each feed, by name."""
    command = [args.tool, "run", path, "-q", "-O", args.optimize, "--threads", str(args.threads),
               "--cpu-mask", args.cpu_mask, "--save", os.path.join(work, "out")]
    for i, feed in enumerate(feeds):
        np.savez(os.path.join(work, f"in{i}.npz"), **feed)
        command += ["--input", os.path.join(work, f"in{i}.npz")]
    p = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if p.returncode:
        raise RuntimeError(f"exit {p.returncode}: {p.stderr.strip()[:300]}")
    results = []
    for i in range(len(feeds)):
        folder = os.path.join(work, "out", f"test_data_set_{i}" if len(feeds) > 1 else "")
        results.append({f[:-4]: np.load(os.path.join(folder, f)) for f in os.listdir(folder) if f.endswith(".npy")})
    return results


def worst_of(names, got, want):
    """Largest max |a-b| / max |b| over the outputs; infinite when something is no match at all."""
    worst = 0.0
    for name, b in zip(names, want):
        a = got.get(name)
        if a is None or a.shape != b.shape or a.dtype != b.dtype or not np.isfinite(a).all():
            return float("inf")
        scale = np.abs(b).max() if b.size else 0
        error = np.abs(a.astype("f8") - b).max() if b.size else 0
        worst = max(worst, error / scale if scale else error)
    return worst


def check_outputs(args, name, path, entry):
    names = axes(onnx.load(path, load_external_data=False))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = args.threads
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    outputs = [o.name for o in session.get_outputs()]
    failed = 0
    for label, sizes in bindings(sizes_of(entry, names)):
        feeds = [make_inputs(entry, names, sizes, seed) for seed in range(args.seeds)]
        with tempfile.TemporaryDirectory() as work:
            try:
                results = run_tool(args, path, feeds, work)
                errors = [worst_of(outputs, r, session.run(outputs, f)) for f, r in zip(feeds, results)]
                said = " ".join(f"{e:.1e}" for e in errors)
                bad = not max(errors) <= TOLERANCE
            except RuntimeError as e:
                said, bad = str(e), True
        failed += bad
        print(f"{'not ok' if bad else 'ok'} {name} {label}: {said}", flush=True)
    return failed


def check_macs(args, name, path, entry):
    command = [args.tool, "inspect", "--json", path]
    for spec in sorted({f"{axis}={n}" for axis, n in sizes_of(entry, axes(onnx.load(
            path, load_external_data=False))).items()}):
        command += ["--dim", spec]
    p = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        macs = json.loads(p.stdout)["models"][0]["cost"]["macs"]
    except (ValueError, LookupError, TypeError):
        macs = None
    bad = macs != entry["macs"]
    print(f"{'not ok' if bad else 'ok'} {name} MACs: {macs}" + (f", expected {entry['macs']}" if bad else ""), flush=True)
    return bad


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    ap.add_argument("zoo")
    ap.add_argument("--tool", default=os.path.join(ROOT, "build/onnxtool"))
    ap.add_argument("--only", default="")
    ap.add_argument("--optimize", default="all")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--cpu-mask", default="all")
    ap.add_argument("--seeds", type=int, default=3)
    args = ap.parse_args()
    with open(os.path.join(args.zoo, "zoo.json"), encoding="utf-8") as f:
        zoo = json.load(f)
    failed = 0
    for name in args.only.split(",") if args.only else zoo:
        path = os.path.join(args.zoo, name + ".onnx")
        failed += check_outputs(args, name, path, zoo[name])
        failed += check_macs(args, name, path, zoo[name])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
