#!/usr/bin/env python3
"""Run models that ONNX Runtime has rewritten, and compare them with their originals.

    check_ort_saved.py MODEL... [--tool build/onnxtool] [--kinds KIND,...] [--keep FOLDER] [--optimize LEVEL]
                       [--threads N] [-v]

Each MODEL (a file, or a folder: every .onnx below it) is saved by ONNX Runtime at each of its optimization levels
(none, basic, extended, layout, all), and where the file's name tells that it is a transformer also by
onnxruntime.transformers (fused, fused16: the same in float16). onnxtool makes up inputs for the original, runs it, and
runs what was saved on the same inputs. Printed: a line a model and kind with max |a-b| / max |b| over the outputs and the
operators that are not of the standard; then totals. Exit code 1 when something did not run or differs by more than
1e-4 (float16: 2e-2).

Needs numpy, onnx and onnxruntime.
"""
import argparse
import collections
import contextlib
import io
import logging
import multiprocessing
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LEVELS = {"none": "ORT_DISABLE_ALL", "basic": "ORT_ENABLE_BASIC", "extended": "ORT_ENABLE_EXTENDED",
          "layout": "ORT_ENABLE_LAYOUT", "all": "ORT_ENABLE_ALL"}
FUSED = ("fused", "fused16")
TRANSFORMERS = {"bert": "bert", "gpt2": "gpt2", "vit": "vit"}  # in a file's name: model type
HEADS = {"bert_mini": (4, 256), "bert_mini_decomposed": (4, 256)}


def save_level(path, out, level):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, LEVELS[level])
    options.optimized_model_filepath = out
    ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def save_fused(path, out, kind):
    from onnxruntime.transformers import optimizer

    logging.disable(logging.CRITICAL)
    name = os.path.basename(path)
    family = next(t for t in TRANSFORMERS if t in name)
    heads, hidden = HEADS.get(name[:-5], (0, 0))  # 0: found out from the model
    with contextlib.redirect_stdout(io.StringIO()):
        m = optimizer.optimize_model(path, TRANSFORMERS[family], num_heads=heads, hidden_size=hidden, opt_level=0)
        if kind == "fused16":
            m.convert_float_to_float16(keep_io_types=True)
    m.save_model_to_file(out)


def save(path, out, kind):
    (save_fused if kind in FUSED else save_level)(path, out, kind)


def own_operators(path):
    """{operator outside the standard: count}"""
    model = onnx.load(path, load_external_data=False)
    count = collections.Counter()

    def walk(graph):
        for n in graph.node:
            if n.domain not in ("", "ai.onnx", "ai.onnx.ml") or not onnx.defs.has(n.op_type, n.domain):
                count[f"{n.domain.removeprefix('com.microsoft')}.{n.op_type}".lstrip(".")] += 1
            for a in n.attribute:
                for g in [a.g, *a.graphs]:
                    walk(g)
    walk(model.graph)
    return count


def run_tool(args, model, *more):
    command = [args.tool, "run", model, "-q", "-O", args.optimize, "--threads", str(args.threads), *more]
    p = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if p.returncode:
        raise RuntimeError(f"exit {p.returncode}: {p.stderr.strip()[:600 if args.v else 160]}")


def difference(got, want):
    worst = 0.0
    for name in want:
        if name not in got or got[name].shape != want[name].shape:
            return float("inf")
        a, b = got[name], want[name]
        if a.dtype.kind not in "fiub":
            worst = max(worst, 0.0 if (a == b).all() else float("inf"))
            continue
        a, b = a.astype("f8"), b.astype("f8")
        if a.size and not np.isfinite(a).all():
            return float("inf")
        error, scale = (np.abs(a - b).max(), np.abs(b).max()) if a.size else (0, 0)
        worst = max(worst, error / scale if scale else error)
    return worst


def check(args, path, kind, work):
    """(verdict, error or why, operators)"""
    saved = os.path.join(args.keep or work, f"{label_of(path)}.{kind}.onnx")
    with multiprocessing.get_context("fork").Pool(1) as pool:
        try:
            pool.apply(save, (path, saved, kind))
        except Exception as e:
            return "not saved", str(e).split("\n")[0][:160], {}
    ops = own_operators(saved)
    try:
        run_tool(args, saved, "--input", os.path.join(work, "in.npz"), "--save", os.path.join(work, "got.npz"))
    except RuntimeError as e:
        return "not run", str(e), ops
    finally:
        if not args.keep:
            os.unlink(saved)
    error = difference(np.load(os.path.join(work, "got.npz")), np.load(os.path.join(work, "want.npz")))
    return ("ok" if error <= (2e-2 if kind == "fused16" else 1e-4) else "differs"), f"{error:.1e}", ops


def label_of(path):
    name = os.path.basename(path)[:-5]
    return os.path.basename(os.path.dirname(path)) if name == "model" else name


def models(paths):
    for p in paths:
        if os.path.isdir(p):
            yield from sorted(os.path.join(d, f) for d, _, fs in os.walk(p) for f in fs if f.endswith(".onnx"))
        else:
            yield p


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    ap.add_argument("models", nargs="+")
    ap.add_argument("--tool", default=os.path.join(ROOT, "build/onnxtool"))
    ap.add_argument("--kinds", default=",".join([*LEVELS, *FUSED]))
    ap.add_argument("--keep", help="keep what was saved here")
    ap.add_argument("--optimize", default="all")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("-v", action="store_true", help="whole error messages")
    args = ap.parse_args()
    totals = collections.defaultdict(collections.Counter)
    for path in models(args.models):
        with tempfile.TemporaryDirectory() as work:
            run_tool(args, path, "--save-inputs", os.path.join(work, "in.npz"), "--save", os.path.join(work, "want.npz"))
            for kind in args.kinds.split(","):
                if kind in FUSED and not any(t in os.path.basename(path) for t in TRANSFORMERS):
                    continue
                verdict, said, ops = check(args, path, kind, work)
                totals[kind][verdict] += 1
                named = ", ".join(f"{k} {n}" for k, n in sorted(ops.items()))
                print(f"{verdict:9} {label_of(path):24} {kind:9} {said}  {named}", flush=True)
    print()
    for kind, count in totals.items():
        print(f"{kind:9} " + ", ".join(f"{n} {v}" for v, n in sorted(count.items())))
    return 1 if any(v != "ok" for c in totals.values() for v in c) else 0


if __name__ == "__main__":
    sys.exit(main())
