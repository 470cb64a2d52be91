#!/usr/bin/env bash
# What `run` takes as inputs, and what it says of the ones it does not take.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"

two=$models/two_inputs.onnx

# npy DESCR SHAPE STRUCT VALUES...: writes a .npy of version 1.0, elements packed as STRUCT says
npy() {
    python3 - "$@" <<'P'
import struct, sys
path, descr, shape, kind, values = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:]
head = ("{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (descr, shape)).encode()
head += b" " * (-(len(head) + 11) % 64) + b"\n"
number = float if kind[-1] in "efd" else int
with open(path, "wb") as f:
    f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)
    f.write(struct.pack(kind[0] + str(len(values)) + kind[-1], *map(number, values)))
P
}
npy "$tmp/six.npy" '<f4' '(2, 3)' '<f' 1 2 3 4 5 6
npy "$tmp/big.npy" '>f4' '(2, 3)' '>f' 1 2 3 4 5 6
npy "$tmp/one.npy" '<f4' '(1, 3)' '<f' 7 8 9
npy "$tmp/flat.npy" '<f4' '(6,)' '<f' 1 2 3 4 5 6
npy "$tmp/double.npy" '<f8' '(2, 3)' '<d' 1 2 3 4 5 6
npy "$tmp/wide.npy" '<f4' '(2, 4)' '<f' 1 2 3 4 5 6 7 8
npy "$tmp/none.npy" '<f4' '(0, 3)' '<f'

# ---- names and files ----

tool run $two --input "left:0=$tmp/six.npy" --input "right=x/y=$tmp/big.npy"
gives "names with colon, equal sign and slash; both byte orders" exit=0 silent 'out=sum +float\[2,3\]' 'out= 2  4  6  8  10  12'
tool run $two --input $models/two_inputs.in.npz --expect $models/two_inputs.out.npz
gives "an .npz for all inputs" exit=0 silent 'out=sum +matches' 'out=bigger +matches'
mkdir "$tmp/by_name"
cp "$tmp/six.npy" "$tmp/by_name/left:0.npy"
cp "$tmp/big.npy" "$tmp/by_name/right=x%2Fy.npy"
tool run $two --input "$tmp/by_name"
gives "a folder of files by input name" exit=0 silent 'out= 2  4  6  8  10  12'
tool run $two --input "left:0=$tmp/six.npy" --input "right=x/y=$tmp/six.npy" \
    --input "left:0=$tmp/one.npy" --input "right=x/y=$tmp/one.npy" -v
gives "a repeated name begins the next sample" exit=0 'out=sample 2 of 2' 'out= 14  16  18'
tool run $two --input "left:0=$tmp/none.npy" --input "right=x/y=$tmp/none.npy"
gives "inputs without elements" exit=0 'out=sum +float\[0,3\]'
tool run $two --input "left:0=$tmp/six.npy" --fill ones
gives "what files leave out is made up to fit them" exit=0 'err=right=x/y.*float\[2,3\].*ones' 'out= 2  3  4  5  6  7'

tool run $two --input 'left:0=[[1, 2, 3], [4, 5, 6]]' --input 'right=x/y=[[1,1,1],[2,2,2.5]]'
gives "values written out" exit=0 silent 'out=sum +float\[2,3\]' 'out= 2  3  4  6  7  8.5'
tool run $two --input 'left:0=[1,2,3]' --input 'right=x/y=[-1,1e1,inf]'
gives "written out with an axis less than the input has" exit=0 silent 'out=sum +float\[1,3\]' 'out= 0  12  inf'
python3 - "$tmp/two.safetensors" <<'P'
import json, struct, sys
values = struct.pack("<6f", 1, 2, 3, 4, 5, 6)
head = json.dumps({"__metadata__": {"format": "pt"},
                   "left:0": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
                   "right=x/y": {"dtype": "F32", "shape": [2, 3], "data_offsets": [24, 48]}}).encode()
with open(sys.argv[1], "wb") as f:
    f.write(struct.pack("<Q", len(head)) + head + values + values)
P
tool run $two --input "$tmp/two.safetensors"
gives "a safetensors file for all inputs" exit=0 silent 'out= 2  4  6  8  10  12'

# ---- refused ----

tool run $two --input "left=$tmp/six.npy"
gives "unknown name" exit=2 "err=no input 'left'" "err=did you mean 'left:0'"
tool run $two --input "$tmp/six.npy"
gives "no name where there are two inputs" exit=2 'err=several inputs'
tool run $two --input "left:0=$tmp/double.npy"
gives "wrong element type" exit=3 'err=double\[2,3\]' 'err=takes float\[n,3\]'
tool run $two --input "left:0=$tmp/flat.npy"
gives "wrong rank" exit=3 'err=float\[6\]' 'err=takes float\[n,3\]'
tool run $two --input "left:0=$tmp/wide.npy"
gives "wrong fixed axis" exit=3 'err=float\[2,4\]' 'err=takes float\[n,3\]'
tool run $two --input "left:0=$tmp/six.npy" --input "right=x/y=$tmp/one.npy"
gives "a shared axis of two sizes" exit=3 "err=right=x/y" 'err=axis 0'
tool run $two --input "left:0=$tmp/absent.npy"
gives "a file that is not there" exit=3 'err=absent.npy'
tool run $two --input "left:0=$digits/README.md"
gives "a file that is no tensor" exit=3 'err=README.md is plain text, not a tensor' 'no_err=wire|protobuf'
head -c 100 "$tmp/six.npy" >"$tmp/short.npy"
tool run $two --input "left:0=$tmp/short.npy"
gives "a truncated .npy" exit=3 'err=short.npy'
for bad in '[[1,2],[3]]' '[1,[2]]' '[1,2' '[1 2]' '[1,,2]' '[a]' '[1,]' '[1]x' '["a"]' '[[],[1]]'; do
    tool run $two --input "left:0=$bad"
    gives "values $bad" exit=3 'err=--input left:0: values .* at character [0-9]+'
done
head -c 230 "$tmp/two.safetensors" >"$tmp/cut.safetensors"
tool run $two --input "$tmp/cut.safetensors"
gives "a truncated safetensors file" exit=3 "err=cut.safetensors: tensor '.*cut off"
npy "$tmp/liar.npy" '<f4' '(2, 1000000000000)' '<f' 1 2
tool run $two --input "left:0=$tmp/liar.npy"
gives "a .npy that promises terabytes" exit=3 'err=liar.npy'
tool run $two --input $digits
gives "a folder without tensors for the model" exit=2 "err=no input"

# ---- made up ----

tool run $two --shape left:0=4x3
gives "--shape binds the axis for both" exit=0 'out=sum +float\[4,3\]' 'err=right=x/y.*float\[4,3\]'
tool run $two --shape 'left:0=*x3' --dim n=5
gives "--shape with a kept axis, --dim" exit=0 'out=sum +float\[5,3\]'
tool run $two --shape left:0=4x4
gives "--shape against a fixed axis" exit=2 'err=axis 1 must be 3'
tool run $two --shape left:0=4
gives "--shape of another rank" exit=2 'err=float\[n,3\]'
tool run $two --shape left:0=4xa
gives "--shape that is no size" exit=2 "err='a' is no size"
tool run $two --shape middle=4x3
gives "--shape of an unknown input" exit=2 "err=no input 'middle'"
tool run $two --dim m=5
gives "--dim of an unknown symbol" exit=2 "err=symbol 'm'"
tool run $models/dims.onnx --dim m=5
gives "--dim where axes have no name" exit=2 "err=symbol 'm'; axes that have no name are set by --shape b="
tool run $two --dim n=-5
gives "--dim below zero" exit=2 'err=n=-5'
tool run $two --fill 'right=x/y=arange' --fill left:0=2:2
gives "--fill by name" exit=0 'err=left:0.*2:2' 'out= 2  3  4'
for bad in 5 3:1 a:b nan:1 ramp; do
    tool run $two --fill $bad
    gives "--fill $bad" exit=2 "err=$bad"
done
tool run $two --seed 7 --dim n=4 --save "$tmp/s7" -q
tool run $two --seed 7 --dim n=4 --save "$tmp/s7again" -q
tool run $two --seed 8 --dim n=4 --save "$tmp/s8" -q
cmp -s "$tmp/s7/sum.npy" "$tmp/s7again/sum.npy" && ! cmp -s "$tmp/s7/sum.npy" "$tmp/s8/sum.npy" &&
    echo "ok --seed decides the values" || echo "not ok --seed decides the values"
tool run $models/default_input.onnx --input X="$tmp/six.npy"
gives "an input with a default is not asked for" exit=0 silent 'out= 3  4  5  6  7  8'

# ---- part of a graph ----

tool run $models/sequences.onnx --to s3 --json
gives "--to: a value inside becomes the output" exit=0 json
equal "the sequence inside" "$(json_at '[o["name"] for o in d["models"][0]["samples"][0]["outputs"]]')" "['s3']"
tool run $models/sequences.onnx --from neg,sum --to C --fill neg=zeros --fill sum=ones
gives "--from: values inside become the inputs" exit=0 "err=input 'neg'"
tool run $models/sequences.onnx --to nothing
gives "--to: no such value" exit=2 'err=nothing'

# ---- no operator set is imported: said once, whether the model runs or not

# without_opsets MODEL: MODEL without its field 8, into $tmp/bare.onnx.
without_opsets() {
    python3 - "$1" "$tmp/bare.onnx" <<'END'
import sys
data, out, at = open(sys.argv[1], "rb").read(), b"", 0
def varint(at):
    v = shift = 0
    while True:
        v |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return v, at
while at < len(data):
    start = at
    tag, at = varint(at)
    n, at = varint(at)
    at += n if tag & 7 == 2 else 0
    out += data[start:at] if tag >> 3 != 8 else b""
open(sys.argv[2], "wb").write(out)
END
}
without_opsets $models/two_inputs.onnx
tool run "$tmp/bare.onnx"
gives "no operator set, and it runs" exit=0 "err=no operator set is imported: version 1 of ai.onnx is assumed"
without_opsets $models/unsupported.onnx
tool run "$tmp/bare.onnx"
gives "no operator set, and it does not run" exit=4 "err=no operator set is imported: .*cannot run here"
equal "that is one line" "$(wc -l <"$tmp/err")" 1
tool inspect --json "$tmp/bare.onnx"
gives "no operator set, inspected" exit=0 "out=imports no operator set"
