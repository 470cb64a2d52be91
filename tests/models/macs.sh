#!/usr/bin/env bash
# Multiply-accumulates of every architecture equal those that its generator counted, to the unit. ONNXTOOL_ZOO names
# the folder with the models and zoo.json; scripts/make_zoo.py makes one.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"

if [ ! -f "${ONNXTOOL_ZOO:-}/zoo.json" ]; then
    echo "skip macs: ONNXTOOL_ZOO is not set"
    exit 0
fi

# Per model: name, MACs, and a --shape for every input.
python3 - "$ONNXTOOL_ZOO/zoo.json" >"$tmp/zoo" <<'END'
import json, sys
for name, m in json.load(open(sys.argv[1])).items():
    shapes = [f"--shape {i}={'x'.join(map(str, v['dims']))}" for i, v in m["inputs"].items()]
    print(name, m["macs"], *shapes)
END

while read -r name macs shapes; do
    # shellcheck disable=SC2086 # one word an option
    tool inspect --json $shapes "$ONNXTOOL_ZOO/$name.onnx"
    gives "inspect $name" exit=0 silent json
    equal "MACs of $name" "$(json_at 'd["models"][0]["cost"]["macs"]')" "$macs"
    equal "$name: no node without a cost" "$(json_at 'd["models"][0]["cost"]["nodes_unknown"]')" 0
done <"$tmp/zoo"
