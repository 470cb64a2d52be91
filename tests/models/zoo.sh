#!/usr/bin/env bash
# Realistic architectures against ONNX Runtime: ONNXTOOL_ZOO names their folder, ONNXTOOL_PYTHON a python that has
# onnx and onnxruntime.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"

if [ -z "${ONNXTOOL_ZOO:-}" ]; then
    echo "skip zoo: ONNXTOOL_ZOO is not set"
    exit 0
fi
if ! "${ONNXTOOL_PYTHON:-python3}" -c 'import onnx, onnxruntime' 2>/dev/null; then
    echo "not ok zoo: ${ONNXTOOL_PYTHON:-python3} lacks onnx or onnxruntime (ONNXTOOL_PYTHON)"
    exit 1
fi
"${ONNXTOOL_PYTHON:-python3}" scripts/check_zoo.py "$ONNXTOOL_ZOO" --tool "$tool"
