#!/usr/bin/env python3
"""Quantize models with ONNX Runtime's tools, and compare onnxtool with ONNX Runtime on what comes out.

    check_quantized.py ZOO [--tool build/onnxtool] [--only NAME[,NAME...]] [--keep DIR]

ZOO is a folder of models with a zoo.json (see check_zoo.py). Each of MODELS is quantized in every way of WAYS, and each
result is also saved by ONNX Runtime at its highest level, which brings its own operators in. Both runtimes get the same
inputs, ONNX Runtime without optimizations. Per output, the root of the mean square difference must be within SHARE of
that of the output: integer arithmetic is exact, but a value next to the middle of two steps may round to either, and the
difference travels. Exit code 1 when something differs or does not run.

Needs numpy, onnx and onnxruntime.
"""
import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime import quantization as oq
from onnxruntime.quantization.shape_inference import quant_pre_process

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODELS = ("mobilenet_v2", "bert_mini", "mlp", "lstm_tagger")
SHARE = 0.05


def inputs_of(entry, seed):
    rng = np.random.default_rng(seed)
    feeds = {}
    for name, spec in entry["inputs"].items():
        low, high = spec["range"]
        if "float" in spec["dtype"]:
            feeds[name] = rng.uniform(low, high, spec["dims"]).astype(spec["dtype"])
        else:
            feeds[name] = rng.integers(low, high, spec["dims"]).astype(spec["dtype"])
    return feeds


class Reader(oq.CalibrationDataReader):
    def __init__(self, entry):
        self.sets = iter([inputs_of(entry, seed) for seed in range(100, 103)])

    def get_next(self):
        return next(self.sets, None)


def static(form, act, weight, per_channel):
    def make(src, dst, entry):
        oq.quantize_static(src, dst, Reader(entry), quant_format=form, activation_type=act, weight_type=weight,
                           per_channel=per_channel)
    return make


def dynamic(weight, per_channel):
    def make(src, dst, entry):
        oq.quantize_dynamic(src, dst, weight_type=weight, per_channel=per_channel)
    return make


def pack_blocks(w, bits, block):
    """Weights [K, N] as MatMulNBits wants them: packed values, scales and packed zero points."""
    k, n = w.shape
    w = np.pad(w.T, ((0, 0), (0, -k % block))).reshape(n, -1, block)
    low, high = np.minimum(w.min(2), 0), np.maximum(w.max(2), 0)
    scale = np.maximum((high - low) / (2**bits - 1), 1e-9).astype("f4")
    zero = np.clip(np.round(-low / scale), 0, 2**bits - 1)
    q = np.clip(np.round(w / scale[..., None]) + zero[..., None], 0, 2**bits - 1)

    def packed(v):
        planes = v.astype("u1")[..., None] >> np.arange(bits, dtype="u1") & 1
        return np.packbits(planes.reshape(*v.shape[:-1], -1), axis=-1, bitorder="little")
    return packed(q), scale, packed(zero)


def few_bits(bits, block):
    """Every MatMul by a constant matrix becomes a MatMulNBits. The tools for it need a package of their own."""
    def make(src, dst, entry):
        model = onnx.load(src)
        inits = {t.name: t for t in model.graph.initializer}
        for i, n in enumerate(model.graph.node):
            if n.op_type != "MatMul" or n.input[1] not in inits or len(inits[n.input[1]].dims) != 2:
                continue
            w = onnx.numpy_helper.to_array(inits[n.input[1]])
            names = [f"{n.input[1]}_{i}_{part}" for part in ("q", "scale", "zero")]
            model.graph.initializer.extend(map(onnx.numpy_helper.from_array, pack_blocks(w, bits, block), names))
            n.CopyFrom(onnx.helper.make_node("MatMulNBits", [n.input[0], *names], list(n.output), n.name, K=w.shape[0],
                                             N=w.shape[1], bits=bits, block_size=block, domain="com.microsoft"))
        model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
        onnx.save(model, dst)
    return make


U8, I8, I16 = oq.QuantType.QUInt8, oq.QuantType.QInt8, oq.QuantType.QInt16
WAYS = {
    "qdq_u8": static(oq.QuantFormat.QDQ, U8, U8, False),
    "qdq_i8_channels": static(oq.QuantFormat.QDQ, I8, I8, True),
    "qdq_i16": static(oq.QuantFormat.QDQ, I16, I8, False),
    "qoperator_u8": static(oq.QuantFormat.QOperator, U8, U8, False),
    "qoperator_i8_channels": static(oq.QuantFormat.QOperator, I8, I8, True),
    "qoperator_u8_i8": static(oq.QuantFormat.QOperator, U8, I8, False),
    "dynamic_u8": dynamic(U8, False),
    "dynamic_i8_channels": dynamic(I8, True),
    "nbits4": few_bits(4, 32),
    "nbits8": few_bits(8, 64),
}


def session(path, level, save=None):
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 4
    if save:
        options.optimized_model_filepath = save
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def operators(path):
    model = onnx.load(path, load_external_data=False)
    return sorted({n.op_type for n in model.graph.node if n.domain.startswith("com.microsoft")})


def off_by(tool, path, feeds, expect, work):
    """(largest share, None), or (None, why)."""
    given, got = os.path.join(work, "in.npz"), os.path.join(work, "got.npz")
    np.savez(given, **feeds)
    run = subprocess.run([tool, "run", path, "--input", given, "--save", got, "-q"], capture_output=True, text=True)
    if run.returncode:
        return None, (run.stderr or run.stdout).strip().splitlines()[-1]
    worst = 0.0
    with np.load(got) as values:
        for name, want in expect.items():
            if values[name].shape != want.shape:
                return None, f"{name}: shape {values[name].shape}, expected {want.shape}"
            rms = np.sqrt(np.mean(np.square(want.astype("f8")))) or 1.0
            worst = max(worst, np.sqrt(np.mean(np.square(values[name].astype("f8") - want))) / rms)
    return worst, None


def check(args, name, entry, work):
    bad, clean = 0, os.path.join(work, name + ".onnx")
    quant_pre_process(os.path.join(args.zoo, name + ".onnx"), clean, skip_symbolic_shape=True)
    feeds = inputs_of(entry, 1)
    for way, make in WAYS.items():
        path = os.path.join(work, f"{name}.{way}.onnx")
        try:
            make(clean, path, entry)
            base = session(path, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
            session(path, ort.GraphOptimizationLevel.ORT_ENABLE_ALL, path.replace(".onnx", ".saved.onnx"))
        except Exception as e:  # of the tools: no fault of ours
            print(f"{name} {way}: not made: {str(e).splitlines()[0][:120]}")
            continue
        expect = dict(zip([o.name for o in base.get_outputs()], base.run(None, feeds)))
        for form in (path, path.replace(".onnx", ".saved.onnx")):
            share, why = off_by(args.tool, form, feeds, expect, work)
            label = f"{name} {way}{' saved' if 'saved' in form else ''}"
            wrong = why or (f"differs by {share:.3g} of the output" if share > SHARE else None)
            bad += wrong is not None
            print(f"{label}: {wrong or f'agrees, {share:.2g} off'}; {' '.join(operators(form)) or 'standard operators'}")
    return bad


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("zoo")
    p.add_argument("--tool", default=os.path.join(ROOT, "build", "onnxtool"))
    p.add_argument("--only", default=",".join(MODELS))
    p.add_argument("--keep", help="folder that gets the models")
    args = p.parse_args()
    logging.disable(logging.WARNING)
    with open(os.path.join(args.zoo, "zoo.json"), encoding="utf-8") as f:
        zoo = json.load(f)
    with tempfile.TemporaryDirectory() as temp:
        work = args.keep or temp
        os.makedirs(work, exist_ok=True)
        bad = sum(check(args, name, zoo[name], work) for name in args.only.split(","))
    print(f"{bad} of them differ" if bad else "all agree")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
