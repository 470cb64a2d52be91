#!/usr/bin/env python3
"""Asks real ONNX Runtimes what the tables of check-opset claim to know.

    check_truth.py envs FOLDER        makes FOLDER/RELEASE, a virtual environment for each release that pip offers to
                                      the pythons of this machine (see scripts/truth/envs.py)
    check_truth.py observe FOLDER     loads small models in each of them and writes testdata/truth/models.tar.gz and
                                      observed.tsv.gz; with --only 1.12.1,1.31.1 just these, printed
    check_truth.py registered FOLDER  writes src/target/facts/registered.tsv: the CPU kernels that the releases from
                                      1.16 on name when asked, and measured.tsv from what was observed
    check_truth.py compare TOOL       asks TOOL check-opset about every model and release, and lists where it is wrong;
                                      with --share N about each Nth model, with --only some releases
    check_truth.py show PATTERN...    lines of observed.tsv.gz that hold all the patterns

Run by hand, when a release came out; takes minutes. Only `compare` runs without the releases: tests use it. `observe` needs a newest onnx and numpy in the python that runs
this; the environments need nothing but onnxruntime and numpy.
"""
import argparse
import concurrent.futures
import datetime
import gzip
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "scripts", "truth"))
import compare  # noqa: E402
import envs  # noqa: E402
import registry  # noqa: E402

OUT = os.path.join(ROOT, "testdata", "truth")
FACTS = os.path.join(ROOT, "src", "target", "facts")
PROBE = os.path.join(ROOT, "scripts", "truth", "probe.py")

# What is known to exist, but pip offers to no python here.
HEAD = """\
# What ONNX Runtime releases did with the models of models.tar.gz, optimizations off, CPU provider, Linux on x86-64.
# date: %s; onnx %s wrote the models; scripts/check_truth.py observe
# releases: %s
# untested: %s
# outcomes: inclusive runs of the releases above. OP,OP: loaded, the session holds these; none: folded away; loaded:
# loaded, this release cannot say more; ran OP,OP: the profile; ir opset unknown-op deprecated type no-type inference
# no-kernel other: refused, by kind of the message; kernel-init: a kernel was found and refused the attributes; crash:
# the process ended; not-run: loaded, but the run failed. released0/NAME: with ALLOW_RELEASED_ONNX_OPSET_ONLY=0.
model\toutcomes
"""


def ask(folder, release, models, feeds, results, *extra):
    """Runs the probe; [(name, code)]."""
    python = os.path.join(folder, release, "bin", "python")
    did = subprocess.run([python, PROBE, models, results, "--feeds", feeds, *extra], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, check=False)
    if did.returncode:
        raise SystemExit("%s: the probe ended with %d" % (release, did.returncode))
    with open(results, encoding="utf-8", errors="replace") as f:
        return [line.rstrip("\n").split("\t")[1:3] for line in f]


def observe_one(folder, release, models, feeds, work):
    rows = ask(folder, release, models, feeds, os.path.join(work, release))
    rows += [["released0/" + n, c] for n, c in
             ask(folder, release, models, feeds, os.path.join(work, release + ".0"), "--released", "0", "--only", "opset/")]
    return dict(rows)


def runs(releases, codes):
    """Inclusive runs of equal codes."""
    out = []
    for release, code in zip(releases, codes):
        if out and out[-1][2] == code:
            out[-1][1] = release
        else:
            out.append([release, release, code])
    return ";".join("%s %s" % (a if a == b else a + "-" + b, code) for a, b, code in out)


def untested(releases):
    """Releases of releases.tsv that were out of reach."""
    with open(os.path.join(FACTS, "releases.tsv"), encoding="utf-8") as f:
        known = [line.split("\t")[1] for line in f if line.startswith("ort\t")]
    return [v for v in known if v not in releases]


def observe(folder, only):
    import models as maker
    import onnx
    with tempfile.TemporaryDirectory() as work:
        models = os.path.join(OUT, "models.tar.gz") if not only else os.path.join(work, "models.tar.gz")
        os.makedirs(OUT, exist_ok=True)
        feeds = os.path.join(work, "feeds.tar.gz")
        newest = os.path.join(folder, envs.present(folder)[-1], "bin", "python")
        schemas = os.path.join(work, "schemas.json")
        subprocess.run([newest, PROBE, "--schemas", schemas], check=True)
        print(maker.write(models, feeds, schemas), "models")
        releases = [r for r in envs.present(folder) if not only or r in only]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            jobs = {r: pool.submit(observe_one, folder, r, models, feeds, work) for r in releases}
            found = {r: job.result() for r, job in jobs.items()}
    names = list(dict.fromkeys(n for r in releases for n in found[r]))
    text = HEAD % (datetime.date.today(), onnx.__version__, " ".join(releases),
                   " ".join(v + " (pip has no wheel)" for v in untested(releases)))
    text += "".join("%s\t%s\n" % (n, runs(releases, [found[r][n] for r in releases])) for n in names)
    if only:
        sys.stdout.write(text)
        return
    with open(os.path.join(OUT, "observed.tsv.gz"), "wb") as raw, gzip.GzipFile("", "wb", 9, raw, 0) as f:
        f.write(text.encode())
    print("%d observations of %d releases" % (len(names) * len(releases), len(releases)))


def observed():
    """(releases, {name: [(first, last, code)]})"""
    with gzip.open(os.path.join(OUT, "observed.tsv.gz"), "rt", encoding="utf-8") as f:
        lines = f.read().splitlines()
    releases = next(ln for ln in lines if ln.startswith("# releases: "))[len("# releases: "):].split()
    rows = [ln.split("\t") for ln in lines if not ln.startswith("#")][1:]
    return releases, {n: [part.split(" ", 1) for part in text.split(";")] for n, text in rows}


def compared(tool, share, only):
    """Prints where the tool is wrong; the exit status."""
    releases, table = observed()
    counts, differ = compare.compare(os.path.abspath(tool), os.path.join(OUT, "models.tar.gz"), releases, table,
                                     lambda i, name: i % share == 0 or not name.startswith("op/"), only)
    for (want, got), n in sorted(counts.items()):
        print("%8d  %-18s predicted %s" % (n, want, got))
    for name, want, got, found in differ:
        print("%s: %s, predicted %s: %s" % (name, want, got, " ".join(found)))
    told = sum(n for (want, got), n in counts.items() if got != "unknown" and want != "may be")
    print("%d answers, %d of them wrong; %d left open" % (told, sum(len(d[3]) for d in differ),
                                                          sum(n for (_, got), n in counts.items() if got == "unknown")))
    return 1 if differ or not told else 0


def show(patterns):
    with gzip.open(os.path.join(OUT, "observed.tsv.gz"), "rt", encoding="utf-8") as f:
        for line in f:
            if all(p in line for p in patterns):
                print(line.rstrip())


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=("envs", "observe", "registered", "compare", "show"))
    ap.add_argument("words", nargs="*")
    ap.add_argument("--only", help="releases, with commas")
    ap.add_argument("--share", type=int, default=1, help="take each Nth of the models with one operator")
    args = ap.parse_args()
    if args.what == "show":
        show(args.words)
        return
    only = args.only.split(",") if args.only else None
    if len(args.words) != 1:
        ap.error("a folder of environments, or the tool")
    if args.what == "compare":
        sys.exit(compared(args.words[0], args.share, only))
    if args.what == "envs":
        print(envs.make(args.words[0], 2), "releases offered")
    elif args.what == "observe":
        observe(args.words[0], only)
    else:
        print(registry.write(args.words[0], *observed(), str(datetime.date.today())), "kernel rows")


if __name__ == "__main__":
    main()
