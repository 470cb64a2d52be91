"""Writes src/target/facts/registered.tsv and measured.tsv from what releases say and do.

Releases from 1.16 on name the CPU kernels they have registered, one row for each set of types, so rows are exact where the
documents show the union of what each type may be. Older ones only show which one-node models load: an operator's version
gets the rows of the nearest later release that agree with all of its loads, or else the types that loaded. Where no load
tells, a release that the documents cover keeps what they say, and an older one gets a row that says that types are not
known. The documents are also believed about com.microsoft, whose signatures have changed more than the models show.

Rows of provider "body" say which types of an operator version, for which the CPU has no kernel, were run by the function
body: that a schema has one does not mean that a release's ONNX had it, nor that the operators in it have kernels.
"""
import collections
import json
import os
import subprocess
import sys
import tempfile

import envs

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
import make_facts  # noqa: E402

PROBE = os.path.join(ROOT, "scripts", "truth", "probe.py")
DOMAINS = ("ai.onnx", "ai.onnx.ml", "com.microsoft")
OPEN = 2 ** 31 - 1
ASKED = (1, 16)  # the first minor release that names its kernels
DOCUMENTED = (1, 9)  # the first that the documents cover
FIRST = (1, 0)  # the first that shows which operators a session holds
UNDECIDED = ("type", "inference", "other", "kernel-init", "none", "loaded", "deprecated")


def minor_of(release):
    return ".".join(release.split(".")[:2])


def full(text):
    return text if "(" in text else "tensor(%s)" % text


# --- sets of rows: a row is {constraint: frozenset of types}

def merged(rows):
    """The same products with fewer rows: two rows that differ in one constraint are one."""
    rows = [dict(r) for r in {frozenset(r.items()): r for r in rows}.values()]
    rows.sort(key=lambda r: sorted((n, sorted(t)) for n, t in r.items()))
    again = True
    while again:
        again = False
        for i, a in enumerate(rows):
            for j in range(i + 1, len(rows)):
                b = rows[j]
                differ = [n for n in a if a[n] != b.get(n)] if set(a) == set(b) else None
                if differ is not None and len(differ) <= 1:
                    for n in differ:
                        a[n] = a[n] | b[n]
                    del rows[j]
                    again = True
                    break
            if again:
                break
    return rows


def fits(row, types):
    return all(types[n] in kinds for n, kinds in row.items() if n in types)


def text_of(row):
    return " ".join("%s=%s" % (n, "*" if t is None else make_facts.type_set(sorted(t))) for n, t in sorted(row.items()))


def range_text(first, last):
    return "%d+" % first if last == OPEN else "%d" % first if first == last else "%d-%d" % (first, last)


# --- what releases say

def named(folder, release):
    """{(domain, op): {(first, last): [row]}} as the release names its CPU kernels."""
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "kernels.json")
        python = os.path.join(folder, release, "bin", "python")
        subprocess.run([python, PROBE, "--kernels", path], check=True, stderr=subprocess.DEVNULL)
        with open(path, encoding="utf-8") as f:
            rows = json.load(f)
    out = collections.defaultdict(lambda: collections.defaultdict(list))
    for provider, domain, op, first, last, types in rows:
        domain = domain or "ai.onnx"
        if provider == "CPUExecutionProvider" and domain in DOMAINS and not op.startswith("Memcpy"):
            out[domain, op][first, last].append({n: frozenset(x.replace(" ", "") for x in t) for n, t in types.items()})
    return {k: {r: merged(rows) for r, rows in v.items()} for k, v in out.items()}


# --- what releases do

def loads(releases, limits, observed):
    """{release: {(domain, op, version): [(types, True, False or None)]}}: whether the CPU has a kernel, where a load
    tells; versions beyond the release's operator sets are left out, as no model should say them there."""
    out = {r: collections.defaultdict(list) for r in releases}
    for name, parts in observed.items():
        if not name.startswith("op/"):
            continue
        _, domain, op, version, text = name.split("/", 4)
        types = {n: full(t) for n, t in (p.split("=", 1) for p in make_facts.split_types(text))}
        for span, code in parts:
            first, _, last = span.partition("-")
            # Attributes are looked at after the kernel was found.
            yes = code == "kernel-init" or code.replace("com.microsoft.", "") == op
            for r in releases[releases.index(first):releases.index(last or first) + 1]:
                if int(version) <= limits[r].get(domain, 1):
                    out[r][domain, op, int(version)].append((types, None if code in UNDECIDED and not yes else yes))
    return out


def agrees(rows, seen):
    return all(yes is None or any(fits(row, types) for row in rows) == yes for types, yes in seen)


def shown(seen, candidates, documented):
    """Rows for one version of an operator, from its loads; None: ask the documents."""
    found = {yes for _, yes in seen}
    if True not in found and seen[0][1] is False:  # the first has the most common types
        return []
    if True not in found:
        return None if documented else [{n: None for n in seen[0][0]}]
    for rows in candidates:
        if rows and agrees(rows, seen):
            return rows
    return merged([{n: frozenset([t]) for n, t in types.items()} for types, yes in seen if yes])


# --- the tables

def all_orders(releases):
    """The releases' minors, and {minor: [its releases]}."""
    minors = collections.OrderedDict()
    for r in releases:
        minors.setdefault(minor_of(r), []).append(r)
    return minors


def span_text(found, releases):
    """Inclusive runs; a run's end is a minor release where it has all of that."""
    minors = all_orders(releases)
    runs = []
    for i, r in enumerate(releases):
        if r in found and runs and runs[-1][1] == i - 1:
            runs[-1][1] = i
        elif r in found:
            runs.append([i, i])
    out = []
    for a, b in runs:
        first, last = releases[a], releases[b]
        if first == minors[minor_of(first)][0] and not (minor_of(first) == minor_of(last)
                                                        and last != minors[minor_of(last)][-1]):
            first = minor_of(first)
        if last == minors[minor_of(last)][-1]:
            last = minor_of(last)
        out.append(first if first == last else first + "-" + last)
    return ",".join(out)


def unnamed(named_rows, seen_of):
    """Rows for versions that load though no range has them: the release's ONNX takes them for the version before."""
    out = {}
    for (domain, op, version), seen in seen_of.items():
        ranges = named_rows.get((domain, op), {})
        if any(first <= version <= (first if last == OPEN else last) for first, last in ranges):
            continue
        before = max((r for r in ranges if r[0] < version), default=None)
        if before and any(yes for _, yes in seen) and agrees(ranges[before], seen):
            out[domain, op, str(version)] = ranges[before]
    return out


def rows_of(minor, release, said, did):
    """{(domain, op, versions): [row]} of one minor release."""
    out = {}
    if release in said:
        for (domain, op), ranges in said[release].items():
            for (first, last), rows in ranges.items():
                out[domain, op, range_text(first, last)] = rows
        return {**out, **unnamed(said[release], did[release])}
    documented = tuple(int(n) for n in minor.split(".")) >= DOCUMENTED
    silent = set()
    for (domain, op, version), seen in did[release].items():
        if (documented and domain == "com.microsoft") or op.startswith("Memcpy"):
            continue
        candidates = [rows for r in said for (first, last), rows in said[r].get((domain, op), {}).items()
                      if first <= version and (version == first if last == OPEN else version <= last)]
        rows = shown(seen, candidates, documented)
        if rows is None:
            silent.add((domain, op))
        elif rows:
            out[domain, op, str(version)] = rows
    return {k: rows for k, rows in out.items() if k[:2] not in silent}


def bodies(seen):
    """Rows of the types that a body served; seen: [(types, code)] of one operator version in one release."""
    yes = [types for types, code in seen if code == "body"]
    no = [types for types, code in seen if code == "no"]
    if not yes:
        return []
    union = {n: frozenset(t[n] for t in yes) for n in yes[0]}
    if not any(fits(union, types) for types in no):
        return [union]
    return merged([{n: frozenset([t]) for n, t in types.items()} for types in yes])


def kind_of(op, code):
    """"kernel", "body" or "no"."""
    names = code.replace("com.microsoft.", "").split(",")
    if names == [op] or code in ("kernel-init", "none", "loaded"):
        return "kernel"
    if code == code.lower() or (op in names and set(names) <= {op, "Cast"}):
        return "no"
    return "body"


def all_bodies(releases, limits, observed):
    """{(domain, op, version, types text): {release}}"""
    seen = collections.defaultdict(list)
    for name, parts in observed.items():
        if not name.startswith("op/"):
            continue
        _, domain, op, version, text = name.split("/", 4)
        types = {n: full(t) for n, t in (p.split("=", 1) for p in make_facts.split_types(text))}
        for span, code in parts:
            first, _, last = span.partition("-")
            for r in releases[releases.index(first):releases.index(last or first) + 1]:
                if int(version) <= limits[r].get(domain, 1):
                    seen[domain, op, version, r].append((types, kind_of(op, code)))
    out = collections.defaultdict(set)
    for (domain, op, version, r), rows in seen.items():
        for row in bodies(rows) if op not in ("If", "Loop", "Scan", "SequenceMap") else ():
            out[domain, op, version, text_of(row)].add(r)
    return out


HEAD = """\
# CPU kernels of ONNX Runtime as the releases themselves show them; make_facts.py puts them in place of what the documents
# say. From 1.16 on: as each release names them. Before: an operator version whose one-node models load (testdata/truth),
# with the types of the next release that agrees with all loads. Provider body: the types that ran by function body, where
# the CPU has no kernel. Columns as in kernels.tsv. Written by scripts/check_truth.py registered.
# releases: %s
# date: %s
domain\top\tprovider\tversions\ttypes\treleases
"""


def limits_of(releases):
    """{release: {domain: newest operator set}}, of releases.tsv and where that is silent of measured.tsv."""
    out = {r: {} for r in releases}
    for name in ("releases.tsv", "measured.tsv"):
        for row in make_facts.load(name)[1]:
            if row["runtime"] == "ort" and row["version"] in out and row["opset"]:
                out[row["version"]] = {"ai.onnx": int(row["opset"]), "ai.onnx.ml": int(row["ml"])}
    return out


def write_registered(folder, releases, observed, today):
    used = [r for r in releases if tuple(int(n) for n in r.split("."))[:2] >= FIRST]
    said = {r: named(folder, r) for r in used if tuple(int(n) for n in r.split("."))[:2] >= ASKED}
    limits = limits_of(releases)
    did = loads(releases, limits, observed)
    table = collections.defaultdict(set)
    for release in used:
        for (domain, op, versions), rows in rows_of(minor_of(release), release, said, did).items():
            for row in rows:
                table[domain, op, "cpu", versions, text_of(row)].add(release)
    for (domain, op, version, types), found in all_bodies(releases, limits, observed).items():
        table[domain, op, "body", version, types] |= found & set(used)
    with open(os.path.join(make_facts.OUT, "registered.tsv"), "w", encoding="utf-8") as f:
        f.write(HEAD % (" ".join(all_orders(used)), today))
        for key in sorted((k for k in table if table[k]), key=lambda k: (k[0] if k[0] != "ai.onnx" else "", k[1], k[2],
                                                                         make_facts.vkey(k[3]), k)):
            domain, op, provider, versions, types = key
            f.write("\t".join(("" if domain == "ai.onnx" else domain, op, provider, versions, types,
                               span_text(table[key], used))) + "\n")
    return len(table)


def write_measured(releases, observed, today):
    """The newest number of each kind that a release loads, and whether one more is refused."""
    path = os.path.join(make_facts.OUT, "measured.tsv")
    with open(path, encoding="utf-8") as f:
        head = [ln for ln in f.read().splitlines() if ln.startswith("#") and not ln.startswith("# date")]
    found = {r: {} for r in releases}
    for kind in ("opset", "ml", "ir"):
        for name, parts in observed.items():
            if name.split("/")[0] != kind:
                continue
            number = int(name.split("/")[1])
            for span, code in parts:
                first, _, last = span.partition("-")
                for r in releases[releases.index(first):releases.index(last or first) + 1]:
                    if code in ("Abs", "Binarizer", "loaded"):
                        found[r][kind] = max(number, found[r].get(kind, 0))
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(head + ["# date: " + today, "runtime\tversion\topset\tml\tir\tstrict\tstatus\tremark"]) + "\n")
        for r in releases:
            strict = found[r]["opset"] < 30
            cells = [str(found[r][k]) for k in ("opset", "ml", "ir")] if strict else ["", "", ""]
            f.write("\t".join(["ort", r] + cells + ["y" if strict else "n", "measured",
                                                    "" if strict else "loads whatever opset and IR version a model says"])
                    + "\n")
        for r, why in unreachable(releases):
            f.write("\t".join(["ort", r, "", "", "", "", "unreachable", why]) + "\n")


def unreachable(releases):
    with open(os.path.join(make_facts.OUT, "releases.tsv"), encoding="utf-8") as f:
        rows = [line.split("\t")[1] for line in f if line.startswith("ort\t")]
    return [(r, "pip has no wheel of it") for r in rows if r not in releases]


def write(folder, releases, observed, today):
    """Returns how many rows registered.tsv has."""
    assert envs.present(folder) == releases, "observe first: other releases are there now"
    write_measured(releases, observed, today)
    return write_registered(folder, releases, observed, today)
