#!/usr/bin/env bash
# Models that ONNX Runtime has rewritten and saved compute what their originals do: those of ../shared/models, when
# it is there, and of ONNXTOOL_ZOO. ONNXTOOL_PYTHON names a python that has onnx and onnxruntime.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"

python=${ONNXTOOL_PYTHON:-python3}
folders=()
[ ! -d ../shared/models ] || folders+=(../shared/models)
[ -z "${ONNXTOOL_ZOO:-}" ] || folders+=("$ONNXTOOL_ZOO")
if [ "${#folders[@]}" = 0 ]; then
    echo "skip ort_saved: no ../shared/models, and ONNXTOOL_ZOO is not set"
    exit 0
fi
if ! "$python" -c 'import onnx, onnxruntime' 2>/dev/null; then
    echo "skip ort_saved: $python lacks onnx or onnxruntime (ONNXTOOL_PYTHON)"
    exit 0
fi
"$python" scripts/check_ort_saved.py "${folders[@]}" --tool "$tool" --kinds extended,all,fused
