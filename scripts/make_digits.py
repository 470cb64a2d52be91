#!/usr/bin/env python3
"""Makes testdata/digits: a small CNN trained on handwritten digits, its test and calibration data, and what the
training code itself answers. Needs numpy, scikit-learn (for the data set) and onnx; takes under a minute.

The network is trained here in plain numpy, so that the expected answers come from code which shares nothing with
any ONNX runtime. Seeds are fixed; another BLAS may still move the last bits of the weights, so the files are made
together and checked in together.
"""
import json
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

OUT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "testdata", "digits")
SEED, TEST, CALIB, EPOCHS, BATCH = 7, 600, 128, 40, 32
LABELS = "zero one two three four five six seven eight nine".split()
EPS = np.float32(1e-5)

README = """# digits

A classifier of handwritten digits, trained, exported and measured by `scripts/make_digits.py`.

| file | what |
|---|---|
| `digits.onnx` | the model: Conv, BatchNormalization, Relu, MaxPool, Conv, Relu, Flatten, Gemm; input `image` float32 [batch, 1, 8, 8], output `logits` [batch, 10] |
| `test_images.npy`, `test_labels.npy` | {test} images that were held out from training, and their digits |
| `calib_images.npy` | {calib} images of the training set, for calibration |
| `labels.txt` | the class names, in the order of the logits |
| `expected_logits.npy`, `expected_classes.npy`, `expected.json` | what the training code answers for the test images: {correct} of {test} right ({accuracy:.2%}) |
| `seven.npy` | one test image, a seven |

Pixels are the data set's 0..16 divided by 16.

The images are the *Optical Recognition of Handwritten Digits* data set (E. Alpaydin and C. Kaynak, UCI Machine Learning
Repository, 1998, https://doi.org/10.24432/C50P49), licensed under CC BY 4.0
(https://creativecommons.org/licenses/by/4.0/), as shipped in scikit-learn (`load_digits`). Changes: scaled, split.
"""


def patches(x):
    """[n,c,h,w] -> [n*h*w, c*9]: the 3x3 neighbourhoods, zeros outside."""
    n, c, h, w = x.shape
    p = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    win = np.lib.stride_tricks.sliding_window_view(p, (3, 3), axis=(2, 3))
    return win.transpose(0, 2, 3, 1, 4, 5).reshape(n * h * w, c * 9)


def conv(x, weight, bias):
    n, _, h, w = x.shape
    y = patches(x) @ weight.reshape(len(weight), -1).T + bias
    return y.reshape(n, h, w, -1).transpose(0, 3, 1, 2)


def conv_backward(x, weight, dy):
    n, c, h, w = x.shape
    d = dy.transpose(0, 2, 3, 1).reshape(n * h * w, -1)
    dweight = (d.T @ patches(x)).reshape(weight.shape)
    dp = (d @ weight.reshape(len(weight), -1)).reshape(n, h, w, c, 3, 3)
    dx = np.zeros((n, c, h + 2, w + 2), np.float32)
    for i in range(3):
        for j in range(3):
            dx[:, :, i:i + h, j:j + w] += dp[..., i, j].transpose(0, 3, 1, 2)
    return dx[:, :, 1:-1, 1:-1], dweight, d.sum(0)


def channels(v):
    return v[None, :, None, None]


def pool(x):
    """2x2 maximum, and which of the four it was."""
    n, c, h, w = x.shape
    cells = x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h // 2, w // 2, 4)
    at = cells.argmax(-1)
    return np.take_along_axis(cells, at[..., None], -1)[..., 0], at


def pool_backward(dy, at):
    n, c, h, w = dy.shape
    cells = np.zeros((n, c, h, w, 4), np.float32)
    np.put_along_axis(cells, at[..., None], dy[..., None], -1)
    return cells.reshape(n, c, h, w, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h * 2, w * 2)


def init(rng):
    def he(*shape):
        return (rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)

    params = {"conv1.weight": he(16, 1, 3, 3), "conv1.bias": np.zeros(16, np.float32),
              "bn.scale": np.ones(16, np.float32), "bn.bias": np.zeros(16, np.float32),
              "conv2.weight": he(32, 16, 3, 3), "conv2.bias": np.zeros(32, np.float32),
              "fc.weight": he(10, 512), "fc.bias": np.zeros(10, np.float32)}
    running = {"bn.mean": np.zeros(16, np.float32), "bn.var": np.ones(16, np.float32)}
    return params, running


def forward(p, running, x):
    """Inference, float32 throughout."""
    y = conv(x, p["conv1.weight"], p["conv1.bias"])
    y = (y - channels(running["bn.mean"])) / channels(np.sqrt(running["bn.var"] + EPS))
    y = np.maximum(y * channels(p["bn.scale"]) + channels(p["bn.bias"]), 0)
    y = np.maximum(conv(pool(y)[0], p["conv2.weight"], p["conv2.bias"]), 0)
    return y.reshape(len(y), -1) @ p["fc.weight"].T + p["fc.bias"]


def train_step(p, running, x, labels):
    """Gradients of the mean cross entropy; updates the running statistics."""
    g = {}
    y1 = conv(x, p["conv1.weight"], p["conv1.bias"])
    mean, var = y1.mean((0, 2, 3)), y1.var((0, 2, 3))
    for name, now in (("bn.mean", mean), ("bn.var", var)):
        running[name] += np.float32(0.1) * (now - running[name])
    std = channels(np.sqrt(var + EPS))
    norm = (y1 - channels(mean)) / std
    act1 = np.maximum(norm * channels(p["bn.scale"]) + channels(p["bn.bias"]), 0)
    pooled, at = pool(act1)
    act2 = np.maximum(conv(pooled, p["conv2.weight"], p["conv2.bias"]), 0)
    flat = act2.reshape(len(x), -1)
    logits = flat @ p["fc.weight"].T + p["fc.bias"]

    e = np.exp(logits - logits.max(1, keepdims=True))
    d = e / e.sum(1, keepdims=True)
    d[np.arange(len(x)), labels] -= 1
    d /= np.float32(len(x))
    g["fc.weight"], g["fc.bias"] = d.T @ flat, d.sum(0)
    d = (d @ p["fc.weight"]).reshape(act2.shape) * (act2 > 0)
    d, g["conv2.weight"], g["conv2.bias"] = conv_backward(pooled, p["conv2.weight"], d)
    d = pool_backward(d, at) * (act1 > 0)
    g["bn.scale"], g["bn.bias"] = (d * norm).sum((0, 2, 3)), d.sum((0, 2, 3))
    d = d * channels(p["bn.scale"])
    d = (d - channels(d.mean((0, 2, 3))) - norm * channels((d * norm).mean((0, 2, 3)))) / std
    _, g["conv1.weight"], g["conv1.bias"] = conv_backward(x, p["conv1.weight"], d)
    return g


def shifted(rng, x):
    """Each image moved by up to one pixel, so that 1,200 of them teach more."""
    out = np.empty_like(x)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for i, (dy, dx) in enumerate(rng.integers(0, 3, (len(x), 2))):
        out[i] = padded[i, :, dy:dy + 8, dx:dx + 8]
    return out


def train(x, labels):
    """Adam with a falling rate."""
    rng = np.random.default_rng(SEED)
    p, running = init(rng)
    first, second = ({k: np.zeros_like(v) for k, v in p.items()} for _ in range(2))
    step = 0
    for epoch in range(EPOCHS):
        rate = 3e-3 * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = rng.permutation(len(x))
        for at in range(0, len(x), BATCH):
            pick = order[at:at + BATCH]
            g = train_step(p, running, shifted(rng, x[pick]), labels[pick])
            step += 1
            for k in p:
                first[k] = np.float32(0.9) * first[k] + np.float32(0.1) * g[k]
                second[k] = np.float32(0.999) * second[k] + np.float32(0.001) * g[k] ** 2
                move = (first[k] / (1 - 0.9 ** step)) / (np.sqrt(second[k] / (1 - 0.999 ** step)) + 1e-8)
                p[k] = (p[k] - rate * (move + 1e-3 * p[k])).astype(np.float32)
    return p, running


def export(p, running):
    nodes = [
        helper.make_node("Conv", ["image", "conv1.weight", "conv1.bias"], ["conv1"], "conv1",
                         kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["conv1", "bn.scale", "bn.bias", "bn.mean", "bn.var"], ["bn"], "bn",
                         epsilon=float(EPS)),
        helper.make_node("Relu", ["bn"], ["relu1"], "relu1"),
        helper.make_node("MaxPool", ["relu1"], ["pool"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["pool", "conv2.weight", "conv2.bias"], ["conv2"], "conv2",
                         kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv2"], ["relu2"], "relu2"),
        helper.make_node("Flatten", ["relu2"], ["flat"], "flat", axis=1),
        helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["logits"], "fc", transB=1),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8],
                                          "Grey levels from 0 (paper) to 1 (ink).")
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10], "One score a digit.")
    weights = [numpy_helper.from_array(v, k) for k, v in sorted({**p, **running}.items())]
    graph = helper.make_graph(nodes, "digits", [image], [logits], weights,
                              doc_string="Tells handwritten digits apart.")
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)],
                              producer_name="make_digits", producer_version="1", domain="onnxtool.testdata",
                              model_version=1, doc_string="A small CNN for 8x8 images of handwritten digits.")
    helper.set_model_props(model, {"classes": ",".join(LABELS), "task": "image classification",
                                   "data set": "Optical Recognition of Handwritten Digits (UCI), CC BY 4.0"})
    onnx.checker.check_model(model, full_check=True)
    return model


def save(name, array):
    np.save(os.path.join(OUT, name), array)


def main():
    os.makedirs(OUT, exist_ok=True)
    data = load_digits()
    images = (data.images / 16).astype(np.float32)[:, None]
    labels = data.target.astype(np.int64)
    order = np.random.default_rng(SEED).permutation(len(images))
    test, rest = order[:TEST], order[TEST:]
    p, running = train(images[rest], labels[rest])

    logits = forward(p, running, images[test])
    classes = logits.argmax(1)
    correct = int((classes == labels[test]).sum())
    accuracy = correct / TEST
    print(f"{correct} of {TEST} test images right: {accuracy:.2%}")
    if accuracy <= 0.97:
        return "make_digits: the network learned too little; nothing was written"

    sevens = np.flatnonzero((labels[test] == 7) & (classes == 7))
    sure = np.sort(logits[sevens], axis=1)
    seven = test[sevens[(sure[:, -1] - sure[:, -2]).argmax()]]
    onnx.save(export(p, running), os.path.join(OUT, "digits.onnx"))
    save("test_images.npy", images[test])
    save("test_labels.npy", labels[test])
    save("calib_images.npy", images[rest[:CALIB]])
    save("expected_logits.npy", logits.astype(np.float32))
    save("expected_classes.npy", classes.astype(np.int64))
    save("seven.npy", images[seven:seven + 1])
    with open(os.path.join(OUT, "labels.txt"), "w", encoding="utf-8") as f:
        f.write("\n".join(LABELS) + "\n")
    with open(os.path.join(OUT, "expected.json"), "w", encoding="utf-8") as f:
        json.dump({"samples": TEST, "correct": correct, "accuracy": round(accuracy, 6)}, f)
        f.write("\n")
    with open(os.path.join(OUT, "README.md"), "w", encoding="utf-8") as f:
        f.write(README.format(test=TEST, calib=CALIB, correct=correct, accuracy=accuracy))
    return 0


if __name__ == "__main__":
    sys.exit(main())
