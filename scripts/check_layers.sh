#!/usr/bin/env bash
# The layers point one way: a folder under src/ includes itself and the folders listed before it here, no other.
# The exceptions are stated with their reason below. Prints one line a violation; exit 1 if there is one.
set -u
cd "$(dirname "$0")/.." || exit 1

# opset and quant are to come: their places are kept.
order="base ir shape io kern ops infer analyze check prov exec rewrite session compare target opset quant"

mapfile -t files < <(find src cmd \( -name '*.[ch]' -o -path 'src/*.def' \) 2>/dev/null | LC_ALL=C sort)

exec awk -v order="$order" '
function bad(text) {
    printf "%s:%d: %s\n", FILENAME, FNR, text
    violations++
}

# Folder of a path below src/, "api" for the public face at its top, "cmd" for the command line.
function layer_of(path, parts, n) {
    n = split(path, parts, "/")
    if (parts[1] == "cmd")
        return "cmd"
    return n == 2 ? "api" : parts[2]
}

# A file directly in src/ that the public face consists of; nothing below may include it.
function check_top(name) {
    if (layer != "api" && layer != "cmd")
        bad("includes " name ": the public face stands above src/" layer)
    else if (layer == "cmd" && name != "onnxtool.h")
        bad("includes " name ": cmd/ sees onnxtool.h only")
}

function check_include(name, target) {
    if (name ~ /\.pb-c\.h$/) {
        if (layer != "io")
            bad("includes " name ": only src/io knows the generated format")
        return
    }
    if (name ~ /(^|\/)\.\.?\//) {
        bad("includes " name ": write the path from src/")
        return
    }
    target = name
    if (!sub(/\/.*/, "", target)) {
        if (((dir "/" name) in known))
            return # of its own folder
        if (("src/" name) in known || name == "onnxtool.h")
            check_top(name)
        return
    }
    # A folder of src/, or a subfolder of the own one ("cpu/cpu_prov.h").
    if (!(target in rank)) {
        if ((("src/" name) in known) && target != layer)
            bad("includes " name ": src/" target " has no place in the order of layers")
        return
    }
    if (layer == "cmd") {
        bad("includes " name ": cmd/ sees onnxtool.h only")
    } else if (layer == "kern" && target != "kern" && target != "base") {
        bad("includes " name ": kernels know flat memory only (src/base, src/kern)")
    } else if (layer != "api" && rank[target] > rank[layer]) {
        bad("includes " name ": src/" layer " stands below src/" target)
    }
}

BEGIN {
    n = split(order, names, " ")
    for (i = 1; i <= n; i++)
        rank[names[i]] = i
    for (i = 1; i < ARGC; i++) {
        known[ARGV[i]] = 1
        base = ARGV[i]
        sub(/.*\//, "", base)
        if (base in home) {
            printf "%s: the same file name as %s\n", ARGV[i], home[base]
            violations++
        }
        home[base] = ARGV[i]
    }
}

FNR == 1 {
    layer = layer_of(FILENAME)
    dir = FILENAME
    sub(/\/[^\/]*$/, "", dir)
    if (layer != "api" && layer != "cmd" && !(layer in rank))
        bad("src/" layer " has no place in the order of layers; give it one in scripts/check_layers.sh")
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
    name = $0
    sub(/^[^"]*"/, "", name)
    sub(/".*/, "", name)
    check_include(name)
}

END { exit violations > 0 }
' "${files[@]}"
