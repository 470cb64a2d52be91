"""Runs inside the environment of one release, whatever its python (3.6 on): loads each model of an archive.

    probe.py ARCHIVE RESULTS [--feeds ARCHIVE] [--only PREFIX] [--released 0]
    probe.py --schemas FILE        operators as the release declares them, JSON (from 1.16 on)
    probe.py --kernels FILE        kernels as the release registers them, JSON (from 1.16 on)

Writes `index TAB name TAB code TAB message` to RESULTS, one line a model. The models are loaded in a child process; when
one takes it down the next child goes on behind it. Codes:
    ran OP,...   ran; the operators of the profile, with their provider where it is not the CPU's (models run/*)
    not-run      loaded, but the run failed
    OP,OP,...    loaded; the operators that the session holds (com.microsoft ones with their domain)
    ir opset unknown-op deprecated type no-type inference no-kernel        refused, by the kind of the message
    crash        the process ended
    kernel-init  a kernel was found, but does not like the attributes or shapes
    other        refused with another message
"""
import json
import os
import re
import resource
import shutil
import sys
import tarfile
import tempfile

KINDS = [
    ("ir", r"model IR version|ir_version|Your model ir|IR version|Unknown model file format version"),
    ("deprecated", r"is deprecated in|has been deprecated|deprecated in domain_version|was deprecated"),
    ("opset", r"under development and support for this|official released onnx|maximum opset|"
              r"only \*guarantees\*|opset version \d+ is not supported|Unrecognized opset|Missing opset|"
              r"opset import|no opset"),
    ("unknown-op", r"is not a registered function/op|No Op registered for|No opset import for domain|"
                   r"No Schema registered for|unrecognized operator|No op registered|is not a registered"),
    ("no-kernel", r"Could not find an implementation|NOT_IMPLEMENTED|[Kk]ernel not found|"
                  r"Failed to find kernel|No suitable kernel|Couldn't find implementation"),
    ("type", r"Type Error|TypeError|\(type\)|Type '.*' of|type parameter|is invalid\.?$"),
    ("no-type", r"MLDataType for|not currently registered or supported|Tensor type.*not supported"),
    ("inference", r"Inference|inference"),
]


def kind_of(message):
    for kind, pattern in KINDS:
        if re.search(pattern, message):
            return kind
    if "xception during initialization" in message or "/providers/cpu/" in message or "/contrib_ops/cpu/" in message:
        return "kernel-init"
    return "other"


# --- the few fields of a saved model that matter: model.graph = 7, graph.node = 1, node.op_type = 4, node.domain = 7

def fields(data):
    """Yields (number, value) of one message; payloads as bytes."""
    at, end = 0, len(data)

    def varint(at):
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value, at
    while at < end:
        key, at = varint(at)
        if key & 7 == 0:
            value, at = varint(at)
        elif key & 7 == 2:
            size, at = varint(at)
            value, at = data[at:at + size], at + size
        else:
            size = 8 if key & 7 == 1 else 4
            value, at = data[at:at + size], at + size
        yield key >> 3, value


def operators(path):
    """Operators of the main graph of a saved model, in order."""
    with open(path, "rb") as f:
        data = f.read()
    names = []
    for number, graph in fields(data):
        if number != 7:
            continue
        for number2, node in fields(graph):
            if number2 == 1:
                parts = dict(fields(node))
                domain = parts.get(7, b"").decode()
                name = parts.get(4, b"").decode()
                names.append(name if domain in ("", "ai.onnx", "ai.onnx.ml") else domain + "." + name)
    return names


def options(ort, saved):
    """(SessionOptions, saves): everything off; `saves` when this release can write the graph it runs."""
    so = ort.SessionOptions()
    for name in ("intra_op_num_threads", "inter_op_num_threads"):
        if hasattr(so, name):
            setattr(so, name, 1)
    if hasattr(so, "session_thread_pool_size"):
        so.session_thread_pool_size = 1
    if hasattr(so, "log_severity_level"):
        so.log_severity_level = 4
    if hasattr(ort, "GraphOptimizationLevel"):
        so.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    elif hasattr(so, "set_graph_optimization_level"):
        so.set_graph_optimization_level(0)
    if hasattr(so, "optimized_model_filepath"):
        so.optimized_model_filepath = saved
        return so, True
    return so, False


def session(ort, path, so):
    if "providers" in (ort.InferenceSession.__init__.__doc__ or "") or hasattr(ort, "get_available_providers"):
        try:
            return ort.InferenceSession(path, so, providers=["CPUExecutionProvider"])
        except TypeError:
            pass
    return ort.InferenceSession(path, so)


def load(ort, path, saved):
    """(code, message)"""
    if os.path.exists(saved):
        os.remove(saved)
    so, saves = options(ort, saved)
    try:
        session(ort, path, so)
    except Exception as error:  # each release has exceptions of its own
        message = " ".join(str(error).split())
        return kind_of(message), message
    if saves and os.path.exists(saved):
        return ",".join(operators(saved)) or "none", ""
    return "loaded", ""


# --- profiles

def profiled(path):
    """Operators of a profile, in the order in which they ran."""
    with open(path) as f:
        events = json.load(f)
    found = []
    for e in events:
        args = e.get("args") or {}
        if e.get("cat") == "Node" and e.get("name", "").endswith("_kernel_time") and "op_name" in args:
            where = args.get("provider", "CPUExecutionProvider")
            found.append(args["op_name"] + ("" if where == "CPUExecutionProvider" else "@" + where))
    return found


def run(ort, path, feeds):
    """(code, message)"""
    so = options(ort, path + ".saved")[0]
    if hasattr(so, "optimized_model_filepath"):
        so.optimized_model_filepath = ""
    so.enable_profiling = True
    try:
        s = session(ort, path, so)
    except Exception as error:
        message = " ".join(str(error).split())
        return kind_of(message), message
    try:
        s.run(None, {i.name: a for i, a in zip(s.get_inputs(), feeds)})
        return "ran " + ",".join(profiled(s.end_profiling())), ""
    except Exception as error:
        return "not-run", " ".join(str(error).split())


# --- all of an archive

def contents(path):
    """{name: bytes}, in the order of the archive."""
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}


def feeds_of(values, name):
    import io

    import numpy
    found = []
    while "%s.%d" % (name, len(found)) in values:
        found.append(numpy.load(io.BytesIO(values["%s.%d" % (name, len(found))]), allow_pickle=True))
    return found


def work(ort, models, values, names, results, start):
    """Loads names[start:]; runs in a process of its own, which some models take down. The current folder is scratch."""
    with open(results, "a") as out:
        for i in range(start, len(names)):
            with open("m.onnx", "wb") as f:
                f.write(models[names[i]])
            out.write("%d\t%s" % (i, names[i]))
            out.flush()
            if names[i].startswith("run/"):
                code, message = run(ort, "m.onnx", feeds_of(values, names[i]))
                for left in os.listdir("."):
                    os.remove(left)
            else:
                code, message = load(ort, "m.onnx", "saved.onnx")
            out.write("\t%s\t%s\n" % (code, message[:300].encode("ascii", "replace").decode()))


def lines_of(path):
    with open(path) as f:
        return f.read().split("\n")


# --- what a release says of itself

def schemas(path):
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    def formals(items):
        return [[f.typeStr, "Optional" in str(f.option)] for f in items]
    rows = [[s.domain, s.name, s.since_version, formals(s.inputs), formals(s.outputs),
             sorted([n, str(a.type).rsplit(".", 1)[-1], a.required] for n, a in s.attributes.items()),
             [[c.type_param_str, list(c.allowed_type_strs)] for c in s.type_constraints], s.deprecated]
            for s in state.get_all_operator_schema()]
    with open(path, "w") as f:
        json.dump(rows, f)


def kernels(path):
    """[provider, domain, op, first version, last version, {constraint: [type]}]; an open range ends at 2^31 - 1."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state
    rows = [[k.provider, k.domain, k.op_name, k.version_range[0], k.version_range[1],
             {n: sorted(t) for n, t in k.type_constraints.items()}] for k in state.get_all_opkernel_def()]
    with open(path, "w") as f:
        json.dump(rows, f)


def main(args):
    if args[0] in ("--schemas", "--kernels"):
        (schemas if args[0] == "--schemas" else kernels)(args[1])
        return
    archive, results = os.path.abspath(args[0]), os.path.abspath(args[1])
    words = dict(zip(args[2::2], args[3::2]))
    os.environ["ALLOW_RELEASED_ONNX_OPSET_ONLY"] = words.get("--released", "1")
    models = contents(archive)
    values = contents(os.path.abspath(words["--feeds"])) if "--feeds" in words else {}
    names = [n for n in models if n.startswith(words.get("--only", ""))]
    folder = tempfile.mkdtemp(prefix="truth", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import onnxruntime as ort  # after the variable is set
    open(results, "w").close()
    start = 0
    while start < len(names):
        pid = os.fork()
        if pid == 0:
            try:
                work(ort, models, values, names, results, start)
            finally:
                os._exit(0)
        status = os.waitpid(pid, 0)[1]
        lines = lines_of(results)
        if status == 0 and not lines[-1]:
            break
        with open(results, "a") as out:
            out.write("\tcrash\tstatus %d\n" % status)
        start = len(lines)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
