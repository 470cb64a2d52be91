"""Virtual environments, one for each ONNX Runtime release that pip offers to the pythons of this machine.

An environment is FOLDER/RELEASE with that onnxruntime, a numpy that fits and nothing else; wheels only. A release that
cannot be installed or imported is written to FOLDER/left_out.tsv with its reason, and not tried again.
"""
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys

PYTHONS = ("~/.pyenv/versions/3.*/bin/python", "/usr/bin/python3", "/usr/local/bin/python3")
# Newest numpy whose binary interface suits the releases of a python; the default is the last 1.x.
NUMPY = {(3, 6): "1.19.5", (3, 7): "1.21.6", (3, 8): "1.24.4", (3, 9): "1.26.4", (3, 10): "1.26.4", (3, 11): "1.26.4",
         (3, 12): "1.26.4", (3, 13): "2.2.6"}


def release_key(text):
    return tuple(int(n) for n in text.split("."))


def pythons(patterns=PYTHONS):
    """[((major, minor), path)], one for each minor, newest last."""
    found = {}
    for pattern in patterns:
        for path in sorted(glob.glob(os.path.expanduser(pattern))):
            text = subprocess.run([path, "-c", "import sys; print(*sys.version_info[:2])"], stdout=subprocess.PIPE,
                                  universal_newlines=True, check=False).stdout.split()
            if len(text) == 2 and text[0] == "3":
                found.setdefault((int(text[0]), int(text[1])), path)
    return sorted(found.items())


def offered(python):
    """Releases that the pip of `python` offers as wheels for this machine."""
    out = subprocess.run([python, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "onnxruntime==999"],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, check=False).stdout
    listed = re.search(r"from versions: ([^)]*)\)", out)
    names = listed.group(1).split(", ") if listed else []
    return [n for n in names if re.fullmatch(r"[0-9.]+", n)]


def choose(found):
    """{release: [(minor, python)]}: the pythons for which it is offered, those in the middle of its time first."""
    table = {}
    for minor, python in found:
        for release in offered(python):
            table.setdefault(release, []).append((minor, python))
    for release, rows in table.items():
        rows.sort(key=lambda row: (row[0] not in ((3, 8), (3, 11)), row[0]))
    return dict(sorted(table.items(), key=lambda row: release_key(row[0])))


def make_one(folder, release, minor, python):
    """None, or why the environment could not be made."""
    home = os.path.join(folder, release)
    site = os.path.join(home, "lib", "python%d.%d" % minor, "site-packages")
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([python, "-m", "venv", "--without-pip", home], check=True)
    # numpy 2 came between 1.18 and 1.19; with python 3.13 there is no other.
    did = subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--only-binary", ":all:", "--no-compile",
                          "--target", site, "onnxruntime==" + release, "numpy==" + NUMPY.get(minor, "1.26.4")],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, check=False)
    if did.returncode:
        return "pip: " + did.stdout.strip().splitlines()[-1]
    did = subprocess.run([os.path.join(home, "bin", "python"), "-c", "import onnxruntime; print(onnxruntime.__version__)"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, check=False)
    if did.returncode:
        return "import: " + (did.stderr.strip().splitlines() or ["exit %d" % did.returncode])[-1]
    return None


def make_any(folder, release, rows):
    """Tries one python after the other. None, or the reasons."""
    reasons = []
    for minor, python in rows:
        reason = make_one(folder, release, minor, python)
        if reason is None:
            return None
        reasons.append("python %d.%d: %s" % (minor[0], minor[1], reason))
        if len(reasons) == 3:
            break
    shutil.rmtree(os.path.join(folder, release), ignore_errors=True)
    return "; ".join(reasons)


def left_out(folder):
    """{release: reason}"""
    path = os.path.join(folder, "left_out.tsv")
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as f:
        return dict(line.rstrip("\n").split("\t", 1) for line in f if "\t" in line)


def present(folder):
    """Releases that have an environment, oldest first."""
    names = [os.path.basename(os.path.dirname(os.path.dirname(p))) for p in glob.glob(os.path.join(folder, "*/bin/python"))]
    return sorted((n for n in names if re.fullmatch(r"[0-9.]+", n)), key=release_key)


def make(folder, jobs):
    """Makes what is missing."""
    os.makedirs(folder, exist_ok=True)
    table = choose(pythons())
    missing = [r for r in table if r not in present(folder) and r not in left_out(folder)]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        made = {r: pool.submit(make_any, folder, r, table[r]) for r in missing}
        for release, job in made.items():
            reason = job.result()
            print("%s\t%s" % (release, reason or "made"), flush=True)
            if reason:
                with open(os.path.join(folder, "left_out.tsv"), "a", encoding="utf-8") as f:
                    f.write("%s\t%s\n" % (release, reason))
    return len(table)


if __name__ == "__main__":
    print(make(sys.argv[1], 2), "offered")
