#!/usr/bin/env python3
"""Run the backend tests of the onnx package through onnxtool, and count by operator; `make conformance` calls it.

    check_backend.py [--runtime onnxtool|ort] [--tool build/onnxtool] [--only GLOB] [--kinds KIND,...]
                     [--cases DIR] [--known FILE] [--optimize LEVEL] [--cpu-mask MASK] [--keep DIR] [-v]

The installed onnx package decides which cases there are: newer ones make the node cases on the fly, older ones carry
them as files. Every case is a folder with model.onnx and test_data_set_N, and a run of `onnxtool run --expect`.

    passed       ran, and all outputs have the type, shape and values that the case wants
    failed       anything else: differs, crashed, took too long, rejected as invalid
    unsupported  the tool said so (exit code 4); never counted as passed
    disputed     does not pass, and the list says why the case contradicts the specification

Cases that do not pass are in tests/node/known_failures.txt, which may only shrink. The exit code is 1 when a case is
not listed and does not pass, is listed and passes, or is listed and does something else than the list says.

--runtime ort runs the same cases through ONNX Runtime, for comparison; what it refuses when it loads a model is counted
apart, and the exit code is 0.

Needs onnx (and its dependencies ml_dtypes, numpy). KEEP gets the cases that do not pass.
"""
import argparse
import collections
import concurrent.futures
import ctypes
import fnmatch
import glob
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")

try:
    import numpy as np
    import onnx
    from onnx import numpy_helper
    from onnx.backend.test.loader import load_model_tests
except ImportError as e:
    sys.exit(f"conformance: {sys.executable} cannot import the onnx package ({e}); "
             "name a Python that has it: make conformance ONNXTOOL_PYTHON=/path/to/python")

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator", "light")
RUNTIMES = {"onnxtool": ("passed", "failed", "unsupported", "disputed"),
            "ort": ("passed", "failed", "refused at load", "disputed")}
# Outputs are random by definition: type and shape are compared, their values are not.
RANDOM = re.compile(r"^test_(bernoulli|random|multinomial|training_dropout(?!.*zero_ratio))")
# Least relative tolerance of bfloat16 outputs, as the package's own runner has it: two units in the last place.
BFLOAT16_RTOL = 2.0**-6
TIMEOUT = 120  # seconds a case


class Case:
    """One backend test: name, kind, subject (what its line of the table is called), tolerances."""

    def __init__(self, name, kind, subject, rtol=1e-3, atol=1e-7, source=None, folder=None):
        self.name, self.kind, self.subject, self.rtol, self.atol = name, kind, subject, rtol, atol
        self.source = source  # the package's test case, when it is to be written to a folder
        self.folder = folder  # where it lies, when it is there already
        self.random = bool(RANDOM.match(name)) and kind == "node"


# ---- cases as folders

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


def write_node_case(case, folder):
    onnx.save(case.model, os.path.join(folder, "model.onnx"))
    graph = case.model.graph
    for n, (ins, outs) in enumerate(case.data_sets):
        data = os.path.join(folder, f"test_data_set_{n}")
        os.mkdir(data)
        for kind, values, infos in (("input", ins, graph.input), ("output", outs, graph.output)):
            for i, value in enumerate(values):
                write_value(os.path.join(data, f"{kind}_{i}.pb"), value, infos[i])


def write_light_case(case, folder):
    """A real architecture with weights made by ConstantOfShape: the input is a ramp, the package has the output."""
    model = os.path.join(os.path.dirname(onnx.__file__), *case.url.split("/")[1:])
    shutil.copy(model, os.path.join(folder, "model.onnx"))
    data = os.path.join(folder, "test_data_set_0")
    os.mkdir(data)
    graph = onnx.load(model).graph
    constants = {t.name for t in graph.initializer}
    for i, x in enumerate(v for v in graph.input if v.name not in constants):
        shape = [d.dim_value or 1 for d in x.type.tensor_type.shape.dim]
        count = np.prod(shape)
        write_value(os.path.join(data, f"input_{i}.pb"), (np.arange(count).reshape(shape) / count).astype("f4"), x)
    for i in range(len(graph.output)):
        shutil.copy(f"{os.path.splitext(model)[0]}_output_{i}.pb", os.path.join(data, f"output_{i}.pb"))


def folder_of(case, work):
    if case.folder:
        return case.folder
    folder = os.path.join(work, case.name)
    os.makedirs(folder)
    (write_light_case if case.kind == "light" else write_node_case)(case.source, folder)
    return folder


def node_subject(model):
    """What a node case is about: its first node, by convention of the package."""
    node = model.graph.node[0]
    return f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type


def node_cases():
    tests = load_model_tests(kind="node")
    subject = {t.name: node_subject(t.model or onnx.load(os.path.join(t.model_dir, "model.onnx"))) for t in tests}
    for t in tests:
        # A function body that was expanded is about the function.
        base = re.sub(r"_expanded.*$", "", t.name)
        yield Case(t.name, "node", subject.get(base, subject[t.name]), t.rtol, t.atol, t,
                   None if t.model is not None else t.model_dir)


def collect(kinds):
    cases = []
    for kind in kinds:
        if kind == "node":
            cases += node_cases()
            continue
        # The package keeps the light models as links of its "real" ones; links elsewhere are downloads, not ours.
        for t in load_model_tests(kind="real" if kind == "light" else kind):
            if kind != "light" or (t.url or "").startswith("onnx/backend/test/data/light/"):
                cases.append(Case(t.name, kind, f"({kind})", t.rtol, t.atol, t, t.model_dir))
    return cases


def collect_folder(folder):
    return [Case(name, "folder", node_subject(onnx.load(os.path.join(folder, name, "model.onnx"))),
                 folder=os.path.join(folder, name))
            for name in sorted(os.listdir(folder)) if os.path.exists(os.path.join(folder, name, "model.onnx"))]


# ---- onnxtool

def run_tool(case, args, folder):
    model = onnx.load(os.path.join(folder, "model.onnx"), load_external_data=False)
    command = [args.tool, "run", os.path.join(folder, "model.onnx"), "-q", "-O", args.optimize,
               "--threads", str(args.threads), "--cpu-mask", args.cpu_mask, "--timeout", str(TIMEOUT)]
    for data in sorted(glob.glob(os.path.join(folder, "test_data_set_*"))):
        if glob.glob(os.path.join(data, "input_*.pb")):
            command += ["--input", data]
        command += ["--expect", data]
    command += ["--rtol", repr(case.rtol), "--atol", repr(case.atol)]
    for out in model.graph.output:
        if out.type.tensor_type.elem_type == onnx.TensorProto.BFLOAT16:
            command += ["--rtol", f"{out.name}={max(case.rtol, BFLOAT16_RTOL)!r}"]
    if case.random:
        command += ["--max-outliers", "1"]
    try:
        p = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False,
                           stdin=subprocess.DEVNULL, timeout=TIMEOUT + 30)
    except subprocess.TimeoutExpired:
        return "failed", "hangs"
    said = (p.stderr.strip() + " | " + " ".join(p.stdout.split())).strip(" |")
    verdict = {0: "passed", 4: "unsupported"}.get(p.returncode, "failed")
    return verdict, f"exit {p.returncode}: {said}"


# ---- ONNX Runtime

def read_value(path, kind):
    proto = {"sequence_type": onnx.SequenceProto, "optional_type": onnx.OptionalProto,
             "map_type": onnx.MapProto}.get(kind, onnx.TensorProto)()
    with open(path, "rb") as f:
        proto.ParseFromString(f.read())
    to = {"sequence_type": numpy_helper.to_list, "optional_type": numpy_helper.to_optional,
          "map_type": numpy_helper.to_dict}.get(kind, numpy_helper.to_array)
    return to(proto)


def same(got, want, rtol, atol, values=True):
    """None, or in what they differ. The rule of the package's own runner."""
    if isinstance(want, (list, tuple)):
        if not isinstance(got, (list, tuple)) or len(got) != len(want):
            return "not a sequence of that length"
        return next((d for g, w in zip(got, want) if (d := same(g, w, rtol, atol, values))), None)
    if isinstance(want, dict):
        if not isinstance(got, dict) or set(got) != set(want):
            return "keys differ"
        return next((d for k in want if (d := same(got[k], want[k], rtol, atol, values))), None)
    if want is None or got is None:
        return None if got is want else "one is empty"
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        return f"shape {got.shape}, expected {want.shape}"
    if want.dtype.kind in "OSU" or got.dtype.kind in "OSU":
        return None if [str(x) for x in got.flat] == [str(x) for x in want.flat] else "strings differ"
    if got.dtype != want.dtype:
        return f"type {got.dtype}, expected {want.dtype}"
    if not values:
        return None
    if want.dtype.name == "bfloat16":
        rtol = max(rtol, BFLOAT16_RTOL)
    if foreign(want.dtype):
        got, want = got.astype("f4"), want.astype("f4")
    return None if np.allclose(got, want, rtol, atol, equal_nan=True) else "values differ"


def foreign(dtype):
    """A type that numpy does not have itself; some of them claim to be of numpy's kind of floats."""
    return dtype.isbuiltin == 2


def ort_feed(ort, value):
    """What the session's Python interface takes: types that numpy lacks go in as bits."""
    if isinstance(value, np.ndarray) and foreign(value.dtype):
        proto = numpy_helper.from_array(value)
        bits = np.zeros(value.size * value.dtype.itemsize, "u1")
        # Types below a byte are packed and fill only the front of what the interface thinks that it gets.
        bits[:len(proto.raw_data)] = np.frombuffer(proto.raw_data, "u1")
        bits = bits.view(f"u{value.dtype.itemsize}").reshape(value.shape)
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, proto.data_type)
    return np.asarray(value) if isinstance(value, np.generic) else value


def ort_fetch(value):
    """The inverse, from the bytes of a tensor."""
    if not value.is_tensor():
        return value.to_numpy() if hasattr(value, "to_numpy") else value.numpy()
    kind = value.element_type()
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind))
    if not foreign(dtype):
        return value.numpy()
    shape = value.shape()
    size = value.tensor_size_in_bytes()
    raw = ctypes.string_at(value.data_ptr(), size) if size else b""
    tensor = onnx.TensorProto(data_type=kind, dims=shape, raw_data=raw)
    return numpy_helper.to_array(tensor)


def ort_results(ort, session, feeds, exotic):
    if not exotic:
        return session.run(None, feeds)
    feeds = {k: v if isinstance(v, ort.OrtValue) else ort.OrtValue.ortvalue_from_numpy(v) for k, v in feeds.items()}
    return [ort_fetch(v) for v in session.run_with_ort_values(None, feeds)]


def ort_case(folder, rtol, atol, values):
    import onnxruntime as ort  # pylint: disable=import-outside-toplevel
    ort.set_default_logger_severity(4)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    path = os.path.join(folder, "model.onnx")
    try:
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as e:  # pylint: disable=broad-exception-caught
        return "refused at load", str(e)
    graph = onnx.load(path, load_external_data=False).graph
    constants = {t.name for t in graph.initializer}
    infos = [v for v in graph.input if v.name not in constants] or list(graph.input)
    exotic = any(re.search("float[48]|bfloat16|int[24]\\)", v.type) for v in session.get_inputs() + session.get_outputs())
    for data in sorted(glob.glob(os.path.join(folder, "test_data_set_*"))):
        def load(kind, infos, data=data):
            return [read_value(p, info.type.WhichOneof("value")) for i, info in enumerate(infos)
                    if os.path.exists(p := os.path.join(data, f"{kind}_{i}.pb"))]
        try:
            feeds = {v.name: ort_feed(ort, x) for v, x in zip(infos, load("input", infos))}
            got = ort_results(ort, session, feeds, exotic)
        except Exception as e:  # pylint: disable=broad-exception-caught
            return "failed", str(e)
        if why := same(list(got), load("output", graph.output), rtol, atol, values):
            return "failed", why
    return "passed", ""


def ort_loop(pipe):
    os.environ["ALLOW_RELEASED_ONNX_OPSET_ONLY"] = "0"
    while True:
        pipe.send(ort_case(*pipe.recv()))


class Ort:
    """ONNX Runtime in a process of its own, made anew when a case kills it."""

    def __init__(self):
        self.child = None

    def run(self, case, args, folder):
        del args
        if not self.child:
            self.pipe, theirs = multiprocessing.Pipe()
            self.child = multiprocessing.Process(target=ort_loop, args=(theirs,), daemon=True)
            self.child.start()
            theirs.close()
        self.pipe.send((folder, case.rtol, case.atol, not case.random))
        try:
            if self.pipe.poll(TIMEOUT):
                return self.pipe.recv()
            why = "hangs"
        except EOFError:
            why = "crashed"
        self.child.kill()
        self.child.join()
        self.child = None
        return "failed", why


# ---- what is known

def read_known(path):
    """{case: (verdict, reason)}"""
    known = {}
    if not path:
        return known
    with open(path, encoding="utf-8") as f:
        for n, line in enumerate(f, 1):
            fields = line.split(None, 2)
            if not fields or fields[0].startswith("#"):
                continue
            if len(fields) != 3 or fields[1] not in ("failed", "unsupported", "disputed") or fields[0] in known:
                sys.exit(f"{path}:{n}: expected: NAME failed|unsupported|disputed REASON, each name once")
            known[fields[0]] = (fields[1], fields[2].strip())
    return known


def broken_promises(results, known, every):
    """What makes the run fail: (case, why). EVERY: all cases ran, so that names nobody has are worth a word."""
    for case, verdict, said in results:
        listed = known.get(case.name, (None,))[0]
        if verdict == "passed" and listed:
            yield case.name, "passes, but is in the list of known failures: remove it there"
        elif verdict != "passed" and verdict != listed:
            yield case.name, f"{verdict}{f', listed as {listed}' if listed else ''}: {said[:400]}"
    if every:
        for name in sorted(set(known) - {c.name for c, _, _ in results}):
            print(f"note: {name} is in the list of known failures, and onnx {onnx.__version__} has no such case")


# ---- the run

def run_cases(cases, args, known, work):
    ort = Ort()
    runner = ort.run if args.runtime == "ort" else run_tool

    def one(case):
        folder = folder_of(case, work)
        if glob.glob(os.path.join(folder, "test_data_set_*")):
            verdict, said = runner(case, args, folder)
        else:
            verdict, said = "failed", "the case has no values to compare with"
        if verdict == "failed" and known.get(case.name, (None,))[0] == "disputed":
            verdict = "disputed"
        if verdict != "passed" and args.keep:
            shutil.copytree(folder, os.path.join(args.keep, case.name), dirs_exist_ok=True)
        if not case.folder:
            shutil.rmtree(folder)
        return case, verdict, said

    jobs = 1 if args.runtime == "ort" else args.jobs
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, cases))


def print_table(results, columns):
    by_subject, by_kind, total = (collections.defaultdict(collections.Counter) for _ in range(3))
    for case, verdict, _ in results:
        by_subject[case.subject][verdict] += 1
        by_kind[case.kind][verdict] += 1
        total["all"][verdict] += 1

    def lines(title, rows):
        print(f"{title:34}" + "".join(f"{c:>{len(c) + 4}}" for c in columns) + f"{'cases':>9}")
        for name, n in rows:
            print(f"{name:34}" + "".join(f"{n[c]:{len(c) + 4}}" for c in columns) + f"{sum(n.values()):9}")

    lines("operator", sorted(r for r in by_subject.items() if not r[0].startswith("(")))
    print()
    lines("kind", list(by_kind.items()) + list(total.items()))


def parse_args():
    ap = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    ap.add_argument("--runtime", choices=list(RUNTIMES), default="onnxtool")
    ap.add_argument("--tool", default=os.path.join(ROOT, "build/onnxtool"))
    ap.add_argument("--only", default="*", help="GLOB of case names or of operators")
    ap.add_argument("--kinds", default=",".join(KINDS), help="which of " + ", ".join(KINDS))
    ap.add_argument("--cases", help="run the cases in the folders of this folder, not those of the package")
    ap.add_argument("--known", default=os.path.join(ROOT, "tests/node/known_failures.txt"),
                    help="the list of known failures; empty for none")
    ap.add_argument("--optimize", default="all")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--cpu-mask", default="all")
    ap.add_argument("--keep", help="folder for cases that do not pass")
    ap.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    ap.add_argument("-v", "--verbose", action="store_true", help="show every case that does not pass")
    args = ap.parse_args()
    if odd := set(args.kinds.split(",")) - set(KINDS):
        ap.error(f"no such kind: {', '.join(odd)}")
    return args


def main():
    args = parse_args()
    if args.runtime == "ort":
        try:
            import onnxruntime  # pylint: disable=import-outside-toplevel
            print(f"onnx {onnx.__version__}, ONNX Runtime {onnxruntime.__version__}")
        except ImportError as e:
            sys.exit(f"conformance: {sys.executable} cannot import onnxruntime ({e})")
    else:
        print(f"onnx {onnx.__version__}, {args.tool}")
    known = read_known(args.known)
    cases = collect_folder(args.cases) if args.cases else collect(args.kinds.split(","))
    chosen = [c for c in cases if fnmatch.fnmatch(c.name, args.only) or fnmatch.fnmatch(c.subject, args.only)]
    if not chosen:
        sys.exit(f"conformance: no case is called {args.only}")
    with tempfile.TemporaryDirectory() as work:
        results = run_cases(chosen, args, known, work)
    print_table(results, RUNTIMES[args.runtime])
    if args.verbose:
        for case, verdict, said in results:
            if verdict != "passed":
                print(f"{verdict} {case.name}: {said[:400]}")
    if args.runtime == "ort":
        return 0
    every = args.only == "*" and args.kinds == ",".join(KINDS) and not args.cases
    broken = list(broken_promises(results, known, every))
    for name, why in broken:
        print(f"FAIL {name}: {why}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
