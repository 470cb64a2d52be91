#!/usr/bin/env python3
"""Measures onnxtool beside ONNX Runtime's CPU provider: `make bench`.

    bench_peers.py [MODEL|FOLDER...] [--zoo DIR] [--threads 1,2] [--time SECONDS] [--only GLOB] [--spin]
                   [--library FILE] [--tool FILE] [--markdown FILE] [--json FILE]

Without models: those of the zoo (scripts/make_zoo.py writes it when DIR, build/zoo, has none), the light models that
come with the onnx package, and ../shared/models when that is there.

Both engines sit in this process, each with a session of its own, all optimizations on. Inputs are made up by
`onnxtool run --save-inputs`; both get the same bytes. Runs come in blocks, A B A B ...: a block begins with a run
that does not count, the other side is asleep meanwhile. ONNX Runtime's threads do not spin while they wait, unless
--spin is given: then a pause lets them fall asleep between blocks. The ratio is ONNX Runtime's median over onnxtool's:
above 1 onnxtool is faster. Its 95% interval comes from drawing pairs of blocks with a fixed seed. Load time, first run
and peak memory are those of fresh processes; the peer's memory is less what its interpreter takes with the library
imported.

Needs numpy, onnx and onnxruntime. The python that runs it may lack them: then ONNXTOOL_PYTHON names one that has
them, or a virtual environment is made in build/bench-python, with the newest versions that pip finds.
"""
import argparse
import ctypes
import fnmatch
import glob
import importlib.util
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NEEDED = ("numpy", "onnx", "onnxruntime")
BLOCK_SECONDS, MIN_BLOCKS, RESAMPLES = 0.05, 6, 2000
ASLEEP = 2e-3  # seconds after which threads that spun have fallen asleep
ENVIRONMENT = os.path.join(ROOT, "build", "bench-python")


# ---- a python that has the peer


def has_packages(python):
    code = "import " + ", ".join(NEEDED)
    return subprocess.run([python, "-c", code], stderr=subprocess.DEVNULL).returncode == 0


def find_python():
    """The interpreter to go on with; None: this one."""
    given = os.environ.get("ONNXTOOL_PYTHON")
    if given:
        return None if os.path.abspath(given) == sys.executable else given
    if all(importlib.util.find_spec(name) for name in NEEDED):
        return None
    python = os.path.join(ENVIRONMENT, "bin", "python")
    if not (os.path.exists(python) and has_packages(python)):
        print(f"making {ENVIRONMENT}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *NEEDED], check=True)
    return python


# ---- onnxtool, through its public interface


class SessionOptions(ctypes.Structure):
    """struct ot_session_opts of onnxtool.h."""

    _fields_ = [
        ("level", ctypes.c_int),
        ("threads", ctypes.c_int),
        ("cpu_mask", ctypes.c_char_p),
        ("providers", ctypes.c_void_p),
        ("provider_options", ctypes.c_void_p),
        ("strict", ctypes.c_bool),
        ("feed_defaults", ctypes.c_void_p),
        ("keep", ctypes.c_void_p),
        ("skip_pass", ctypes.c_void_p),
        ("profile", ctypes.c_bool),
    ]


OPTIMIZE_ALL = 2


class Library:
    def __init__(self, path):
        self.c = ctypes.CDLL(path)
        for name in ("ot_ctx_new", "ot_error", "ot_version", "ot_machine", "ot_isa", "ot_session_output_name",
                     "ot_session_output", "ot_tensor_data", "ot_tensor_dtype_name"):
            getattr(self.c, name).restype = ctypes.c_void_p
        self.c.ot_session_noutputs.restype = ctypes.c_size_t
        self.c.ot_tensor_bytes.restype = ctypes.c_size_t

    def text(self, name, *args):
        value = getattr(self.c, name)(*args)
        return ctypes.string_at(value).decode() if value else ""


class Ours:
    """A model in an onnxtool session."""

    def __init__(self, library, path, inputs, threads):
        self.c = library.c
        self.library = library
        self.ctx = ctypes.c_void_p(self.c.ot_ctx_new())
        model, self.values, self.session = (ctypes.c_void_p() for _ in range(3))
        self.check(self.c.ot_model_load(self.ctx, path.encode(), None, ctypes.byref(model)))
        rc = self.c.ot_values_read(self.ctx, model, inputs.encode(), False, ctypes.byref(self.values))
        options = SessionOptions(level=OPTIMIZE_ALL, threads=threads)
        if rc:
            self.c.ot_model_free(model)
        self.check(rc)
        self.check(self.c.ot_session_new(self.ctx, model, ctypes.byref(options), ctypes.byref(self.session)))
        run, args = self.c.ot_session_run, (self.ctx, self.session, self.values)
        self.run = lambda: run(*args) and self.check(-1)
        self.run()

    def check(self, rc):
        if rc:
            raise RuntimeError("onnxtool: " + self.library.text("ot_error", self.ctx))

    def outputs(self):
        """Float outputs by name, flat."""
        import numpy as np

        found = {}
        for i in range(self.c.ot_session_noutputs(self.session)):
            t = ctypes.c_void_p(self.c.ot_session_output(self.session, ctypes.c_size_t(i)))
            if self.library.text("ot_tensor_dtype_name", t) != "float":
                continue
            size = self.c.ot_tensor_bytes(t)
            data = ctypes.string_at(self.c.ot_tensor_data(t), size) if size else b""
            found[self.library.text("ot_session_output_name", self.session, ctypes.c_size_t(i))] = np.frombuffer(
                data, np.float32)
        return found

    def close(self):
        self.c.ot_session_free(self.session)
        self.c.ot_values_free(self.values)
        self.c.ot_ctx_free(self.ctx)


# ---- the peer


def peer_session(path, threads, spin):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class Theirs:
    """A model in an ONNX Runtime session, inputs and outputs bound once."""

    def __init__(self, path, inputs, threads, spin):
        self.session = peer_session(path, threads, spin)
        self.binding = self.session.io_binding()
        for i in self.session.get_inputs():
            if i.name in inputs:
                self.binding.bind_cpu_input(i.name, inputs[i.name])
        for o in self.session.get_outputs():
            self.binding.bind_output(o.name, "cpu")
        self.run = lambda: self.session.run_with_iobinding(self.binding)
        self.run()

    def outputs(self):
        values = zip(self.session.get_outputs(), self.binding.get_outputs())
        return {o.name: v.numpy().ravel() for o, v in values if o.type == "tensor(float)"}

    def close(self):
        self.binding = self.session = self.run = None


def status_mib(key):
    """VmRSS or VmHWM of this process."""
    with open("/proc/self/status") as f:
        return next(int(text.split()[1]) for text in f if text.startswith(key + ":")) / 1024


def probe(path, inputs, threads):
    """In a process of its own: load, first run and memory of the peer, as JSON."""
    import numpy as np
    import onnxruntime  # noqa: F401  part of what is taken off

    fed = dict(np.load(inputs))
    before = status_mib("VmRSS")
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")  # the peak of importing is not the model's
    t0 = time.perf_counter()
    session = peer_session(path, threads, True)
    t1 = time.perf_counter()
    session.run(None, {i.name: fed[i.name] for i in session.get_inputs() if i.name in fed})
    t2 = time.perf_counter()
    peak = status_mib("VmHWM") - before
    print(json.dumps({"load_ms": (t1 - t0) * 1e3, "first_ms": (t2 - t1) * 1e3, "peak_mib": peak}))


def probe_theirs(path, inputs, threads):
    done = subprocess.run([sys.executable, os.path.abspath(__file__), "--probe", path, inputs, str(threads)],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def probe_ours(tool, path, inputs, threads):
    done = subprocess.run([tool, "bench", path, "-q", "--json", "--runs", "1", "--warmup", "0", "--threads",
                           str(threads), "--input", inputs], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)["results"][0]
    return {"load_ms": result["load_ms"], "first_ms": result["first_ms"],
            "peak_mib": result["memory"]["peak_resident_bytes"] / 2**20}


# ---- measuring


def block(side, seconds, pause):
    """Times of one block of runs, seconds."""
    time.sleep(pause)
    side.run()
    times, clock = [], time.perf_counter
    end = clock() + seconds
    while not times or clock() < end:
        t0 = clock()
        side.run()
        times.append(clock() - t0)
    return times


def interval(ours, theirs):
    """95% interval of the ratio of the medians, pairs of blocks drawn again and again."""
    import numpy as np

    random = np.random.default_rng(1)
    # A block counts as much as it has runs, by its quantiles: all of a long series of short runs is not needed.
    points = np.linspace(0, 1, 21)
    a = np.array([np.quantile(b, points) for b in ours])
    b = np.array([np.quantile(b, points) for b in theirs])
    ratios = []
    for _ in range(RESAMPLES):
        drawn = random.integers(0, len(a), len(a))
        ratios.append(np.median(b[drawn]) / np.median(a[drawn]))
    return [float(x) for x in np.quantile(ratios, [0.025, 0.975])]


def difference(ours, theirs):
    """Largest difference of an output, as a share of its largest value; NaN: nothing to compare."""
    import numpy as np

    worst = float("nan")
    for name, b in theirs.items():
        a = ours.get(name)
        if a is None or a.size != b.size or not b.size:
            continue
        scale = float(np.max(np.abs(b))) or 1.0
        worst = float(np.fmax(worst, np.max(np.abs(a - b)) / scale))
    return worst


def compare(library, path, inputs, threads, args):
    import numpy as np

    ours = Ours(library, path, inputs, threads)
    try:
        theirs = Theirs(path, dict(np.load(inputs)), threads, args.spin)
        a, b, pause = [], [], ASLEEP if threads > 1 else 0
        block(ours, args.warmup / 2, pause)
        block(theirs, args.warmup / 2, pause)
        end = time.perf_counter() + args.time
        while len(a) < MIN_BLOCKS or time.perf_counter() < end:
            a.append(block(ours, BLOCK_SECONDS, pause))
            b.append(block(theirs, BLOCK_SECONDS, pause))
        apart = difference(ours.outputs(), theirs.outputs())
        theirs.close()
    finally:
        ours.close()
    p50 = [float(np.median(np.concatenate(x))) for x in (a, b)]
    low, high = interval(a, b)
    return {"ours_ms": p50[0] * 1e3, "theirs_ms": p50[1] * 1e3, "ratio": p50[1] / p50[0], "low": low, "high": high,
            "blocks": len(a), "runs": [sum(map(len, x)) for x in (a, b)], "apart": apart}


# ---- models


def make_inputs(tool, path, entry, folder):
    out = os.path.join(folder, "inputs.npz")
    shapes = [a for name, v in (entry or {}).get("inputs", {}).items()
              for a in ("--shape", f"{name}={'x'.join(map(str, v['dims']))}")]
    done = subprocess.run([tool, "run", path, "-q", "--save-inputs", out, *shapes], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or "onnxtool run failed").splitlines()[-1])
    return out


def label(path):
    name = os.path.splitext(os.path.basename(path))[0]
    return os.path.basename(os.path.dirname(path)) if name == "model" else name


def entries_of(folder):
    index = os.path.join(folder, "zoo.json")
    if not os.path.exists(index):
        return {}
    with open(index) as f:
        return json.load(f)


def default_models(zoo):
    import onnx

    if not entries_of(zoo):
        print(f"making {zoo} (1.7 GB)", file=sys.stderr)
        subprocess.run([sys.executable, os.path.join(ROOT, "scripts", "make_zoo.py"), zoo], check=True)
    found = [os.path.join(zoo, name + ".onnx") for name in entries_of(zoo)]
    light = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light", "*.onnx")
    shared = os.path.join(os.path.dirname(ROOT), "shared", "models", "*", "*.onnx")
    return found + sorted(glob.glob(light)) + sorted(glob.glob(shared))


def list_models(args):
    found = []
    for path in args.models:
        found += sorted(glob.glob(os.path.join(path, "*.onnx"))) if os.path.isdir(path) else [path]
    found = found or default_models(args.zoo)
    return [p for p in found if not args.only or fnmatch.fnmatch(label(p), args.only)]


# ---- report


def facts(library, tool):
    import onnxruntime

    machine = json.loads(subprocess.run([tool, "--list", "machine", "--json"], capture_output=True, text=True,
                                        check=True).stdout)["machine"]
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1]) / 2**20
    return {
        "processor": library.text("ot_machine"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory, 1),
        "kernels": library.text("ot_isa"),
        "gflops": [round(machine["gflops_1_thread"], 1), round(machine["gflops_all_threads"], 1)],
        "read_gb_per_s": [round(machine["read_gb_per_s_1_thread"], 1), round(machine["read_gb_per_s_all_threads"], 1)],
        "system": f"{platform.system()} {platform.release()}",
        "load_average": [round(x, 2) for x in os.getloadavg()],
        "onnxtool": library.text("ot_version"),
        "onnxruntime": onnxruntime.__version__,
        "python": platform.python_version(),
    }


HEADS = ["model", "threads", "onnxtool ms", "ONNX Runtime ms", "ratio", "95% interval", "load + first ms",
         "peer's", "peak MiB", "peer's", "apart"]


def cells(row):
    if "error" in row:
        return [row["model"], str(row["threads"]), row["error"].replace("|", "/")[:160]] + [""] * 8
    ours, theirs = row["ours"], row["theirs"]
    return [row["model"], str(row["threads"]), f"{row['ours_ms']:.3f}", f"{row['theirs_ms']:.3f}",
            f"{row['ratio']:.2f}", f"{row['low']:.2f} to {row['high']:.2f}",
            f"{ours['load_ms'] + ours['first_ms']:.1f}", f"{theirs['load_ms'] + theirs['first_ms']:.1f}",
            f"{ours['peak_mib']:.0f}", f"{theirs['peak_mib']:.0f}", f"{row['apart']:.1g}"]


def line(items):
    return "| " + " | ".join(items) + " |"


def summary(rows, threads):
    ratios = [r["ratio"] for r in rows if r["threads"] == threads and "ratio" in r]
    if not ratios:
        return f"{threads} threads: nothing was measured"
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    failed = sum(r["threads"] == threads and "error" in r for r in rows)
    return (f"{threads} thread{'s' * (threads > 1)}: geometric mean {mean:.3f} over {len(ratios)} models, lowest "
            f"{min(ratios):.3f}{f', {failed} failed' if failed else ''}")


def measure_model(library, path, threads, args, entry):
    row = {"model": label(path), "threads": threads}
    with tempfile.TemporaryDirectory() as folder:
        try:
            inputs = make_inputs(args.tool, path, entry, folder)
            row["ours"] = probe_ours(args.tool, path, inputs, threads)
            row["theirs"] = probe_theirs(path, inputs, threads)
            row.update(compare(library, path, inputs, threads, args))
        except subprocess.CalledProcessError as e:
            row["error"] = ((e.stderr or "").strip() or str(e)).splitlines()[-1]
        except Exception as e:  # one model must not end the table
            row["error"] = str(e).splitlines()[0]
    return row


def write_text(path, lines):
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")


def run(args):
    library = Library(args.library)
    machine = facts(library, args.tool)
    text = [f"- {key.replace('_', ' ')}: {', '.join(map(str, v)) if isinstance(v, list) else v}"
            for key, v in machine.items()]
    text += [f"- ONNX Runtime's threads spin: {'yes' if args.spin else 'no'}", "", line(HEADS),
             "|---|" + "---:|" * (len(HEADS) - 1)]
    print("\n".join(text), flush=True)
    rows = []
    for path in list_models(args):
        entry = entries_of(os.path.dirname(path)).get(label(path))
        for threads in args.threads:
            rows.append(measure_model(library, path, threads, args, entry))
            text.append(line(cells(rows[-1])))
            print(text[-1], flush=True)
    text += [""] + [summary(rows, threads) for threads in args.threads]
    print("\n".join(text[-1 - len(args.threads):]))
    if args.markdown:
        write_text(args.markdown, text)
    if args.json:
        write_text(args.json, [json.dumps({"machine": machine, "spin": args.spin, "rows": rows}, indent=1)])
    return 0 if rows and not any("error" in r for r in rows) else 1


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", metavar="MODEL", nargs="*")
    parser.add_argument("--zoo", default=os.environ.get("ONNXTOOL_ZOO", os.path.join(ROOT, "build", "zoo")))
    parser.add_argument("--threads", default=[1, 2], type=lambda s: [int(n) for n in s.split(",")])
    parser.add_argument("--time", default=3.0, type=float, help="seconds a model and number of threads (3)")
    parser.add_argument("--warmup", default=0.5, type=float, help="seconds before (0.5)")
    parser.add_argument("--only", metavar="GLOB", help="models by name")
    parser.add_argument("--spin", action="store_true", help="let the peer's threads spin, as is its default")
    parser.add_argument("--library", default=os.path.join(ROOT, "build", "libonnxtool.so"))
    parser.add_argument("--tool", default=os.path.join(ROOT, "build", "onnxtool"))
    parser.add_argument("--markdown", metavar="FILE")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


def main():
    if len(sys.argv) == 5 and sys.argv[1] == "--probe":
        probe(sys.argv[2], sys.argv[3], int(sys.argv[4]))
        return 0
    args = parse()
    python = find_python()
    if python:
        os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:]])
    return run(args)


if __name__ == "__main__":
    sys.exit(main())
