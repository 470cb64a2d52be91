"""Seeded cases for every operator version and type, for scripts/check_properties.py.

A generator is a function of a Row; it returns the case number row.i of it: arrays (None: left out) and attributes. What
the schema says is asked of the row (types, attributes, inputs), what is legal beyond that is written here.
"""
import numpy as np
from onnx import TensorProto, helper

GENERATORS = {}
WORDS = np.array(["", "a", "bc", "onnx", "Zebra", "été", "two words", "12"], object)


class Skip(Exception):
    """This row has no such case."""


class Row:
    """One operator version and type; i is the number of the case that is made, rng belongs to the case."""

    def __init__(self, schema, dtype):
        self.schema, self.T, self.v = schema, dtype, schema.since_version
        self.types = {t.type_param_str: t.allowed_type_strs for t in schema.type_constraints}
        self.attrs = schema.attributes
        self.i, self.rng = 0, np.random.default_rng(0)

    def start(self, i, seed):
        self.i, self.rng = i, np.random.default_rng(seed)

    def has(self, attr):
        return attr in self.attrs

    @property
    def np(self):
        return np_type(self.T)

    @property
    def floating(self):
        return "float" in self.T or self.T == "double"

    def coin(self, p=0.5):
        return self.rng.random() < p

    def pick(self, *values):
        return values[int(self.rng.integers(len(values)))]

    def dim(self, lo=1, hi=5):
        return int(self.rng.integers(lo, hi + 1))

    def shape(self, lo=0, hi=4):
        """Of all ranks; case 0 is plain, 1 empty, 2 of the least rank."""
        if self.i == 1:
            return tuple([2, 0, 3][: max(lo, 1)]) if max(lo, 1) > 1 else (0,)
        if self.i == 2:
            return (3,) * lo
        if self.i == 0:
            return (2, 3, 4, 2)[: max(lo, min(hi, 3))]
        return tuple(self.dim() for _ in range(int(self.rng.integers(lo, hi + 1))))

    def values(self, shape, lo=-3.0, hi=3.0, dtype=None):
        return make_values(self.rng, dtype or self.T, shape, lo, hi)

    def ints(self, lo, hi, shape, dtype="int64"):
        return self.rng.integers(lo, hi, shape, endpoint=True).astype(np_type(dtype))

    def axis(self, rank):
        return int(self.rng.integers(-rank, rank)) if self.v >= 11 or self.schema.domain else int(self.rng.integers(rank))

    def maybe(self, attr, value, p=0.6):
        """{attr: value} where the version has it and the coin says so."""
        return {attr: value} if self.has(attr) and self.coin(p) else {}

    def input_type(self, name, prefer=None):
        """Element type of the input of that name: the row's if they share the constraint, else some allowed one."""
        for p in self.schema.inputs:
            if p.name == name:
                allowed = [t[7:-1] for t in self.types.get(p.type_str, [p.type_str]) if t.startswith("tensor(")]
                first = self.schema.inputs[0] if self.schema.inputs else None
                if first is not None and p.type_str == first.type_str and self.T in allowed:
                    return self.T
                return prefer if prefer in allowed else allowed[int(self.rng.integers(len(allowed)))]
        return prefer


def np_type(name):
    if name == "string":
        return np.dtype(object)
    return helper.tensor_dtype_to_np_dtype(TensorProto.DataType.Value(name.upper()))


def bits_of(name):
    digits = "".join(c for c in name.split("e")[0] if c.isdigit()) if name.startswith("float") else \
        "".join(c for c in name if c.isdigit())
    return int(digits) if digits else 32


def make_values(rng, dtype, shape, lo, hi):
    if dtype == "string":
        return WORDS[rng.integers(0, len(WORDS), shape)] if shape != () else np.array(WORDS[int(rng.integers(len(WORDS)))], object)
    if dtype == "bool":
        return rng.random(shape) < 0.5 if shape != () else np.array(rng.random() < 0.5)
    t = np_type(dtype)
    if dtype.startswith("complex"):
        return (rng.uniform(lo, hi, shape) + 1j * rng.uniform(lo, hi, shape)).astype(t)
    if dtype.startswith(("int", "uint")):
        bits = bits_of(dtype)
        low = max(int(np.ceil(lo)), 0 if dtype.startswith("u") else -(2 ** (bits - 1)))
        high = min(max(int(hi), low), 2**bits - 1 if dtype.startswith("u") else 2 ** (bits - 1) - 1)
        return np.asarray(rng.integers(low, high, shape, endpoint=True)).astype(t)
    x = np.asarray(rng.uniform(lo, hi, shape))
    return (np.round(x * 64) / 64).astype(t)  # few bits: stored cases stay small


def gen(*names, never=(), why=""):
    def wrap(make):
        for n in names:
            GENERATORS[n] = (make, tuple(never), why)
        return make
    return wrap


ONE = ("broadcast",)
ONE_WHY = "one operand, nothing broadcasts"


# ---- elementwise ----

def unary(names, lo=-3.0, hi=3.0, **attrs):
    @gen(*names.split(), never=ONE, why=ONE_WHY)
    def make(r):
        return [r.values(r.shape(), lo, hi)], {k: f(r) for k, f in attrs.items() if r.has(k) and r.coin(0.7)}


def some(lo, hi):
    return lambda r: float(np.float32(np.round(r.rng.uniform(lo, hi) * 16) / 16))


unary("Abs Neg Ceil Floor Round Sign Identity Relu Sigmoid Tanh Softplus Softsign Erf Mish HardSwish Exp Sin Cos Atan "
      "Sinh Cosh Asinh BitwiseNot Not IsNaN")
unary("Tan", -1.25, 1.25)
unary("Sqrt Log Reciprocal", 0.25, 9)
unary("Asin Acos Atanh", -0.875, 0.875)
unary("Acosh", 1.0, 9)
unary("Elu Celu LeakyRelu ThresholdedRelu", alpha=some(0.25, 2))
unary("HardSigmoid", alpha=some(0.25, 1), beta=some(0, 1))
unary("Shrink", lambd=some(0.25, 2), bias=some(-1, 1))
unary("Swish", alpha=some(0.25, 2))
unary("Gelu", approximate=lambda r: "tanh")


@gen("Selu", never=ONE, why=ONE_WHY)
def selu(r):
    alpha, gamma = some(0.25, 2)(r), some(0.5, 2)(r)
    # Both or none: the defaults of version 1 have fewer digits, which ONNX Runtime does not know.
    return [r.values(r.shape())], {"alpha": alpha, "gamma": gamma} if r.v < 6 or r.coin(0.7) else {}


@gen("IsInf", never=ONE, why=ONE_WHY)
def is_inf(r):
    x = r.values(r.shape())
    if r.T in ("float", "double", "float16", "bfloat16", "float8e5m2") and x.size:
        flat = x.reshape(-1)
        flat[::3] = np.inf
        flat[1::3] = -np.inf
    return [x], {**r.maybe("detect_negative", 0), **r.maybe("detect_positive", 0)}


PAIRS = [((2, 3, 4), (2, 3, 4)), ((0, 3), (3,)), ((), ()), ((2, 3, 4), (3, 1)), ((4,), (2, 3, 4)), ((2, 1, 4), (1, 3, 1)),
         ((5,), ()), ((1,), (2, 0)), ((3, 1), (1, 4)), ((1, 1, 1), (2,))]


def pair(r):
    if r.i < len(PAIRS):
        return PAIRS[r.i]
    full = r.shape(1, 4)
    b = tuple(1 if r.coin(0.3) else d for d in full[int(r.rng.integers(len(full) + 1)):])
    return (full, b) if r.coin() else (b, full)


def old_pair(r):
    """Before numpy's rules: B is like A, or lies over the axes from `axis` on where broadcast says so."""
    a = r.shape()
    if r.i == 3 or r.coin() and len(a) > 1:
        a = a if len(a) > 1 else (2, 3, 4)
        axis = int(r.rng.integers(len(a)))
        stop = int(r.rng.integers(axis + 1, len(a) + 1))
        attrs = {"broadcast": 1}
        if stop != len(a) or r.coin():
            attrs["axis"] = axis
        else:
            stop = len(a)
        return a, a[axis:stop], attrs
    return a, a, {}


def binary(names, lo=-3.0, hi=3.0, second=None):
    @gen(*names.split())
    def make(r):
        attrs = {}
        if r.has("broadcast"):
            sa, sb, attrs = old_pair(r)
        else:
            sa, sb = pair(r)
        a = r.values(sa, lo, hi)
        b = r.values(sb, *(second or (lo, hi)), dtype=r.input_type(r.schema.inputs[1].name, r.T))
        return [a, b], attrs


binary("Add Sub Mul Less Greater LessOrEqual GreaterOrEqual Equal And Or Xor BitwiseAnd BitwiseOr BitwiseXor StringConcat")
binary("Div", 1, 9)


@gen("PRelu", never=(("scalar", 7),), why="before version 7 the slope had an axis")
def prelu(r):
    x, s = pair(r)
    if r.v < 7:
        x = r.shape(2, 4)
        s = r.pick((x[1],), (1,))
    else:  # the slope goes to the shape of X
        full = np.broadcast_shapes(x, s)
        x, s = full, (s if np.broadcast_shapes(full, s) == full else ())
    return [r.values(x), r.values(s)], {}


@gen("Pow")
def power(r):
    attrs = {}
    if r.has("broadcast"):
        sa, sb, attrs = old_pair(r)
    else:
        sa, sb = pair(r)
    kind = r.T if r.v < 12 else r.pick(r.T, r.input_type("Y"))
    return [r.values(sa, 1, 3), r.values(sb, 0, 3, kind)], attrs


@gen("Mod")
def mod(r):
    a, b = pair(r)
    x, y = r.values(a, -9, 9), r.values(b, 1, 4)
    attrs = {"fmod": 1} if r.floating or r.i % 2 else {}
    return [x, y], attrs


@gen("BitShift")
def shift(r):
    a, b = pair(r)
    return [r.values(a, 0, 100), r.values(b, 0, 7)], {"direction": r.pick("LEFT", "RIGHT")}


@gen("Max", "Min", "Sum", "Mean", never=(("broadcast", 8),), why="broadcasting came with version 8")
def variadic(r):
    if r.v < 8:
        s = r.shape()
        return [r.values(s) for _ in range(r.dim(1, 3))], {}
    a, b = pair(r)
    return [r.values(a), r.values(b), r.values(a)][: 2 if r.i == 3 else r.dim(1, 3)], {}


@gen("Where")
def where(r):
    a, b = pair(r)
    kind = r.input_type("X")
    return [r.values(r.pick(a, b), dtype="bool"), r.values(a, dtype=kind), r.values(b, dtype=kind)], {}


@gen("Clip", never=ONE, why="bounds are scalars")
def clip(r):
    x = r.values(r.shape())
    if r.has("min"):
        return [x], {**r.maybe("min", -1.5), **r.maybe("max", 1.25)}
    lo, hi = r.values((), 0 if r.T[0] == "u" else -2, 1), r.values((), 1, 2)
    return [x, lo if r.coin() else None, hi if r.coin() else None], {}


@gen("Cast", never=ONE, why=ONE_WHY)
def cast(r):
    to = [t[7:-1] for t in r.types["T2"]]
    kind = to[r.i % len(to)] if r.i < 2 * len(to) else r.pick(*to)
    if "string" in (kind, r.T) or kind.startswith("complex") != r.T.startswith("complex") or "e8m0" in kind + r.T:
        kind = ("float" if r.T != "float" else "int64") if r.T[:7] != "complex" else r.T
        number = 0
        if r.T == "string":
            return [np.full(r.shape(), r.pick("1.5", "-3", "7", "0.25"), object)], {"to": "FLOAT" if r.v < 6 else int(TensorProto.FLOAT)}
    number = TensorProto.DataType.Value(kind.upper())
    small = kind[0] == "u" or r.T[0] == "u" or kind == "bool"
    x = r.values(r.shape(), 0 if small else -1, 1 if "2" in (kind[-1], r.T[-1]) and "32" not in kind + r.T else 1.75)
    attrs = {"to": kind.upper() if r.v < 6 else number}
    return [x], {**attrs, **(r.maybe("saturate", 0) if "float8" in kind else {})}


@gen("CastLike", never=ONE, why=ONE_WHY)
def cast_like(r):
    kind = r.pick(*[t[7:-1] for t in r.types["T2"]])
    if "e8m0" in kind + r.T or "string" in (kind, r.T) or kind.startswith("complex") != r.T.startswith("complex"):
        kind = r.T
    small = kind[0] == "u" or r.T[0] == "u" or kind == "bool"
    return [r.values(r.shape(), 0 if small else -1, 1), r.values((1,), 0, 1, kind)], {}


# ---- reductions ----

@gen(*("ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
       "ReduceSumSquare").split(), never=ONE, why=ONE_WHY)
def reduce(r):
    shape = r.shape(0, 4)
    name = r.schema.name
    if r.i == 1:
        shape = (2, 0, 3)
    lo = 0.25 if name in ("ReduceLogSum",) else -2
    x = r.values(shape, lo, 2)
    rank = len(shape)
    picked = [int(a) for a in r.rng.permutation(rank)[: r.dim(1, max(rank, 1))]] if rank and r.coin(0.8) else None
    if r.i == 1:  # over axes that hold something, unless the operator has a neutral element
        picked = [0] if "Log" in name and not r.floating or name in ("ReduceMax", "ReduceMin", "ReduceMean") else [1]
    if picked and r.v >= 11 and r.coin(0.4):
        picked = [a - rank for a in picked]
    attrs = {**r.maybe("keepdims", 0)}
    if r.has("axes"):
        return [x], {**attrs, **({"axes": picked} if picked else {})}
    attrs.update(r.maybe("noop_with_empty_axes", 1) if not picked or r.coin() else {})
    return [x, np.array(picked, np.int64) if picked else None], attrs


@gen("ArgMax", "ArgMin", never=("broadcast", "scalar"), why="one operand with the axis along which is looked")
def arg(r):
    shape = r.shape(1, 4)
    axis = r.axis(len(shape)) if r.coin(0.7) else 0
    if shape[axis] == 0:
        axis = [k for k, d in enumerate(shape) if d][0] if any(shape) else None
    if axis is None:
        shape, axis = (3, 0), 0
    attrs = {"axis": axis, **r.maybe("keepdims", 0), **r.maybe("select_last_index", 1)}
    return [r.values(shape, -3, 3)], attrs


@gen("Softmax", "LogSoftmax", "Hardmax", never=("broadcast", "scalar"), why="one operand with the axis")
def softmax(r):
    shape = r.shape(1 if r.v >= 13 else 2, 4)
    return [r.values(shape)], r.maybe("axis", r.axis(len(shape)))


@gen("CumSum", "CumProd", never=("broadcast",), why="one operand")
def cumulative(r):
    shape = r.shape(1, 3)
    kind = r.input_type(r.schema.inputs[1].name)
    return [r.values(shape, 0 if r.T[0] == "u" else -2, 2), np.array(r.axis(len(shape)), np_type(kind))], \
        {**r.maybe("exclusive", 1), **r.maybe("reverse", 1)}


@gen("TopK", never=("broadcast", "scalar"), why="one operand with the axis along which is sorted")
def top_k(r):
    shape = r.shape(1, 3)
    if r.i == 1:
        shape = (0, 3)
    axis = len(shape) - 1 if r.coin() or r.i == 1 else r.axis(len(shape))
    k = r.dim(1, shape[axis])
    x = r.rng.permutation(int(np.prod(shape))).reshape(shape)
    if r.T in ("int8", "uint8") or "float8" in r.T:
        x = x % 100
    x = x.astype(r.np)
    attrs = {"axis": axis, **r.maybe("largest", 0)}
    if r.v < 10:
        return [x], {**attrs, "k": k}, 2
    return [x, np.array([k], np.int64)], attrs, 2


@gen("Unique", never=("broadcast", "scalar"), why="one operand, of one axis at least")
def unique(r):
    if r.T.startswith("complex"):
        raise Skip("complex numbers have no order")
    shape = r.shape(1, 3)
    attrs = r.maybe("axis", r.axis(len(shape)))
    if r.i == 1:
        shape, attrs = (0,), {}
    return [r.values(shape, 0, 2)], {**attrs, **(r.maybe("sorted", 0, 0.2) if r.v < 28 else {})}


# ---- products ----

@gen("MatMul", never=("scalar",), why="operands have one axis at least")
def matmul(r):
    k = r.dim(1, 5)
    shapes = [((2, 3), (3, 4)), ((0, 3), (3, 2)), ((3,), (3,)), ((2, 1, 2, 3), (4, 3, 2)), ((3,), (2, 3, 2)), ((2, 2, 3), (3,)),
              ((2, 0), (0, 3)), ((5, 2, 3), (3, 4))]
    if r.i < len(shapes):
        a, b = shapes[r.i]
    else:
        batch = r.shape(0, 2) if r.i > 2 else ()
        a, b = (*batch, r.dim(), k), (*batch[int(r.rng.integers(len(batch) + 1)):], k, r.dim())
    return [r.values(a), r.values(b)], {}


@gen("MatMulInteger", never=("scalar",), why="operands have one axis at least")
def matmul_integer(r):
    (a, b), _ = matmul(r)
    tb = r.input_type("B")
    b = r.values(b.shape, -3, 3, tb)
    return [a, b, r.values((), 0, 2) if r.coin() else None, r.values((), 0, 2, tb) if r.coin() else None], {}


@gen("Gemm", never=("scalar",), why="A and B are matrices")
def gemm(r):
    m, n, k = (0 if r.i == 1 else r.dim()), r.dim(), r.dim()
    ta, tb = r.coin(0.4), r.coin(0.4)
    attrs = {}
    if ta:
        attrs["transA"] = 1
    if tb:
        attrs["transB"] = 1
    small = r.floating
    attrs.update(r.maybe("alpha", 0.5 if small else 2.0))
    attrs.update(r.maybe("beta", 0.25 if small else 3.0))
    a, b = (k, m) if ta else (m, k), (n, k) if tb else (k, n)
    c = (m, n)
    if r.v < 7:
        if r.coin() or r.i == 3:
            attrs["broadcast"] = 1
            c = (n,)
    else:
        c = r.pick((m, n), (n,), (m, 1), (1,), ()) if r.i != 3 else (n,)
    if r.v >= 11 and r.coin(0.2) and r.i != 3:
        attrs.pop("beta", None)
        return [r.values(a), r.values(b)], attrs
    return [r.values(a), r.values(b), r.values(c)], attrs


@gen("Einsum", never=("scalar",), why="an equation names axes")
def einsum(r):
    eqs = [("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk->ik", (0, 3), (3, 2)), ("i,i->", (4,), (4,)), ("...ij,jk->...ik", (2, 2, 3), (3, 2)),
           ("ij->ji", (2, 3)), ("ii->i", (3, 3)), ("bij,bjk->bik", (2, 2, 3), (2, 3, 2)), ("ij,kj->ik", (2, 3), (4, 3)),
           ("i,j->ij", (2,), (3,)), ("ij->", (2, 3)), ("ij->i", (2, 3))]
    eq, *shapes = eqs[r.i % len(eqs)]
    return [r.values(s) for s in shapes], {"equation": eq}


@gen("Det", never=("broadcast", "scalar"), why="square matrices")
def det(r):
    n = r.dim(1, 4)
    return [r.values((*((0,) if r.i == 1 else r.shape(0, 2) if r.i > 2 else ()), n, n))], {}


# ---- moving ----

@gen("Transpose", never=("broadcast",), why=ONE_WHY)
def transpose(r):
    shape = r.shape(0)
    return [r.values(shape)], r.maybe("perm", [int(a) for a in r.rng.permutation(len(shape))]) if shape else {}


@gen("Reshape", never=("broadcast",), why="one operand")
def reshape(r):
    shape = r.shape(0)
    n = int(np.prod(shape))
    to = list(shape[::-1]) if shape and r.coin() else [n] if r.coin() or n == 0 else [1, -1]
    attrs = {}
    if n == 0 and r.v < 5:
        to = list(shape)
    elif n == 0:
        if r.has("allowzero"):
            to, attrs = [0, 3], {"allowzero": 1}
        else:
            shape, to = (2, 0), [0, 0]
    elif r.coin(0.3) and len(shape) > 1:
        to = [0, -1]
    if r.has("allowzero") and r.i == 5:
        attrs["allowzero"] = 1
        to = [n]
    x = r.values(shape)
    if r.v < 5:
        return [x], {"shape": to or [1]}
    return [x, np.array(to, np.int64)], attrs


@gen("Flatten", never=("broadcast", "scalar"), why="one operand of one axis at least")
def flatten(r):
    shape = r.shape(1)
    return [r.values(shape)], r.maybe("axis", r.axis(len(shape)))


@gen("Squeeze", never=("broadcast",), why="one operand; what is left may be a scalar")
def squeeze(r):
    shape = list(r.shape(0, 3))
    if r.i == 2:
        shape = []
    at = int(r.rng.integers(len(shape) + 1))
    shape.insert(at, 1)
    if r.i == 2:
        at, shape = 0, [1]
    axes = [at] if r.coin(0.7) or r.i < 3 else None
    if axes and r.v >= 11 and r.coin(0.4):
        axes = [at - len(shape)]
    x = r.values(tuple(shape))
    if r.v < 13:
        return [x], {"axes": axes} if axes else {}
    return [x, np.array(axes, np.int64) if axes else None], {}


@gen("Unsqueeze", never=("broadcast",), why="one operand")
def unsqueeze(r):
    shape = r.shape(0, 3)
    axes = sorted(int(a) for a in r.rng.permutation(len(shape) + 2)[:2])
    if r.v >= 11 and r.coin(0.4):
        axes = [a - len(shape) - 2 for a in axes]
    x = r.values(shape)
    return ([x], {"axes": axes}) if r.v < 13 else ([x, np.array(axes, np.int64)], {})


@gen("Expand")
def expand(r):
    a, b = pair(r)
    to = np.broadcast_shapes(a, b)
    return [r.values(a), np.array(r.pick(b, to), np.int64)], {}


@gen("Tile", never=("broadcast",), why="one operand")
def tile(r):
    shape = r.shape(1 if r.v < 6 else 0, 3)
    if r.v < 6:
        return [r.values(shape), np.array(r.dim(1, 3), r.np), np.array(r.dim(0, len(shape) - 1), r.np)], {}
    return [r.values(shape), r.ints(0 if r.coin(0.2) else 1, 3, (len(shape),))], {}


@gen("Concat", never=("broadcast", "scalar"), why="operands have the axis and the same other extents")
def concat(r):
    shape = list(r.shape(1, 4))
    axis = r.axis(len(shape)) if r.v >= 11 else int(r.rng.integers(len(shape)))
    parts = []
    for k in range(r.dim(1, 4)):
        s = list(shape)
        s[axis] = r.dim(0 if k else 1, 3)
        parts.append(r.values(tuple(s)))
    return parts, {"axis": axis} if r.v >= 4 or axis != 1 else {}


@gen("Split", never=("broadcast", "scalar"), why="one operand with the axis")
def split(r):
    shape = list(r.shape(1, 3))
    axis = r.axis(len(shape)) if r.coin(0.7) else 0
    parts = r.dim(1, 3)
    sizes = [r.dim(1, 3) for _ in range(parts)]
    equal = r.coin(0.4)
    if equal:
        sizes = [2] * parts
    shape[axis] = sum(sizes)
    if r.i == 1:
        shape = [s if k == axis % len(shape) else 0 for k, s in enumerate(shape)] if len(shape) > 1 else [0]
        if len(shape) == 1:
            sizes, equal = [0] * parts, False
    x = r.values(tuple(shape))
    attrs = {"axis": axis} if axis or r.coin() else {}
    if equal and r.v >= 18:
        return [x], {**attrs, "num_outputs": parts}, parts
    if r.v < 13:
        return [x], {**attrs, **({} if equal and r.v >= 2 else {"split": sizes})}, parts
    return [x, None if equal and r.v < 18 else np.array(sizes, np.int64)], attrs, parts


@gen("Slice", never=("broadcast", "scalar"), why="one operand with axes")
def slice_(r):
    shape = r.shape(1, 3)
    rank = len(shape)
    axes = sorted(int(a) for a in r.rng.permutation(rank)[: r.dim(1, rank)])
    starts, ends, steps = [], [], []
    for a in axes:
        n = max(shape[a], 1)
        step = r.pick(1, 1, 2, -1, -2) if r.v >= 10 else 1
        s, e = (int(r.rng.integers(-n - 1, n + 2)), int(r.rng.integers(-n - 1, n + 3)))
        starts.append(s), ends.append(e if step > 0 else r.pick(-n - 5, e)), steps.append(step)
    x = r.values(shape)
    if r.v < 10:
        named = len(axes) != rank or axes != list(range(rank)) or r.coin()
        return [x], {"starts": starts, "ends": ends, **({"axes": axes} if named else {})}
    kind = np_type(r.input_type("starts"))
    named = axes != list(range(rank)) or r.coin()
    ins = [x, np.array(starts, kind), np.array(ends, kind), np.array(axes, kind) if named or rank == 0 else None]
    return [*ins, np.array(steps, kind)] if steps != [1] * len(steps) or r.coin() else ins, {}


@gen("Gather", never=("broadcast",), why="indices are independent of the data")
def gather(r):
    shape = r.shape(1, 3)
    axis = r.axis(len(shape)) if r.coin(0.7) else 0
    n = shape[axis]
    ishape = r.shape(0, 2) if n else (0,)
    lo = -n if r.v >= 11 else 0
    return [r.values(shape), r.ints(lo, max(n - 1, 0), ishape, r.input_type("indices"))], {"axis": axis} if axis or r.coin() else {}


@gen("GatherElements", never=("broadcast", "scalar"), why="indices have the rank of the data")
def gather_elements(r):
    shape = r.shape(1, 3)
    axis = r.axis(len(shape)) if r.coin(0.7) else 0
    n = shape[axis]
    ishape = tuple(0 if d == 0 else r.dim(1, d) for d in shape)
    return [r.values(shape), r.ints(-n, max(n - 1, 0), ishape, r.input_type("indices"))], {"axis": axis} if axis or r.coin() else {}


@gen("GatherND", never=("broadcast", "scalar"), why="indices are rows of coordinates")
def gather_nd(r):
    if r.i == 1:
        return [r.values((2, 3)), np.zeros((0, 2), np.int64)], {}
    batch = 1 if r.has("batch_dims") and r.coin() else 0
    shape = tuple(r.dim(2, 4) for _ in range(r.dim(batch + 1, 4)))
    depth = r.dim(1, len(shape) - batch)
    lead = shape[:batch] + ((r.dim(),) if r.coin() else ())
    idx = np.stack([r.ints(-shape[batch + k], shape[batch + k] - 1, lead) for k in range(depth)], -1)
    return [r.values(shape), idx.reshape(*lead, depth)], {"batch_dims": batch} if batch else {}


def scattered(r, reductions=True):
    shape = r.shape(1, 3)
    axis = r.axis(len(shape)) if r.coin(0.7) else 0
    if r.i == 1:
        ishape = tuple(0 for _ in shape)
    else:
        ishape = tuple(r.dim(1, d) for d in shape)
    attrs = {"axis": axis} if axis or r.coin() else {}
    how = None
    if reductions and r.has("reduction") and r.T not in ("string",) and not r.T.startswith("complex") and r.coin():
        how = r.pick("add", "mul") if r.v < 18 or r.T == "bool" else r.pick("add", "mul", "max", "min")
        attrs["reduction"] = how
    if how:
        idx = r.ints(0, max(shape[axis] - 1, 0), ishape)
    else:  # without a reduction no place may be written twice
        order = [np.moveaxis(np.array([r.rng.permutation(shape[axis])[: ishape[axis]] for _ in range(int(np.prod(ishape)) // max(ishape[axis], 1))],
                                      np.int64).reshape(*[d for k, d in enumerate(ishape) if k != axis % len(ishape)], ishape[axis]), -1, axis)]
        idx = order[0].reshape(ishape)
    return [r.values(shape), idx.astype(np_type(r.input_type("indices"))), r.values(ishape)], attrs


@gen("ScatterElements", "Scatter", never=("broadcast", "scalar"), why="indices have the rank of the data")
def scatter_elements(r):
    return scattered(r)


@gen("ScatterND", never=("broadcast", "scalar"), why="indices are rows of coordinates")
def scatter_nd(r):
    shape = (4, 3) if r.i < 3 else tuple(r.dim(2, 4) for _ in range(r.dim(1, 3)))
    n = 0 if r.i == 1 else r.dim(1, shape[0])
    idx = r.rng.permutation(shape[0])[:n].reshape(n, 1).astype(np.int64)
    attrs = {}
    if r.has("reduction") and r.coin() and r.T != "string" and not r.T.startswith("complex"):
        attrs["reduction"] = r.pick("add", "mul") if r.v < 18 or r.T == "bool" else r.pick("add", "mul", "max", "min")
    return [r.values(shape), idx, r.values((n, *shape[1:]))], attrs


@gen("Compress", never=("broadcast", "scalar"), why="one operand with an axis, or as a row")
def compress(r):
    shape = r.shape(1, 3)
    axis = r.axis(len(shape)) if r.coin(0.7) else None
    n = shape[axis] if axis is not None else int(np.prod(shape))
    return [r.values(shape), r.rng.random(n) < 0.5], {"axis": axis} if axis is not None else {}


@gen("ReverseSequence", never=("broadcast", "scalar"), why="two axes at least")
def reverse_sequence(r):
    shape = (3, 0, 2) if r.i == 1 else r.shape(2, 3) if r.i != 2 else (3, 3)
    swap = r.coin() and r.i != 1
    t, b = (1, 0) if swap else (0, 1)
    return [r.values(shape), r.ints(1, shape[t], (shape[b],))], {"time_axis": t, "batch_axis": b} if swap or r.coin() else {}


@gen("Pad", never=("broadcast", "scalar"), why="one operand, of one axis at least in ONNX Runtime")
def pad(r):
    if r.T == "float8e8m0":
        raise Skip("the type has no zero to pad with")
    mode = r.pick("constant", "edge", "reflect", *(["wrap"] if r.v >= 19 else []))
    shape = tuple(r.dim(3, 5) for _ in range(r.dim(1, 3)))
    if r.i == 1:
        shape, mode = (0, 2), "constant"
    pads = r.ints(-1 if r.coin(0.3) and mode == "constant" and r.i > 2 else 0, 2, (2 * len(shape),))
    attrs = {"mode": mode} if mode != "constant" or r.coin() else {}
    x = r.values(shape)
    if r.v < 11:
        return [x], {**attrs, ("paddings" if r.v < 2 else "pads"): [int(p) for p in pads],
                     **({"value": 1.5} if mode == "constant" and r.coin() else {})}
    value = r.values((), 1, 2) if mode == "constant" and r.coin() else None
    ins = [x, pads, value]
    if r.v >= 18 and r.coin(0.3) and len(shape) > 1:
        ins = [x, pads[[1, 1 + len(shape)]], value, np.array([1], np.int64)]
    return ins, attrs


@gen("Trilu", never=("broadcast", "scalar"), why="matrices")
def trilu(r):
    shape = (2, 0, 3) if r.i == 1 else (*r.shape(0, 1), r.dim(), r.dim()) if r.i != 2 else (3, 3)
    return [r.values(shape), np.array(r.dim(-3, 3), np.int64) if r.coin(0.7) else None], r.maybe("upper", 0)


@gen("DepthToSpace", "SpaceToDepth", never=("broadcast", "scalar"), why="images")
def depth(r):
    b, n = r.pick(2, 3, 1), 0 if r.i == 1 else r.dim(1, 2)
    shape = (n, b * b * r.dim(1, 2), 2, 3) if r.schema.name[0] == "D" else (n, 2, b * r.dim(1, 2), b * 2)
    return [r.values(shape)], {"blocksize": b, **r.maybe("mode", "CRD")}


@gen("Shape", "Size", never=("broadcast",), why=ONE_WHY)
def shape_of(r):
    return [r.values(r.shape())], {**r.maybe("start", r.dim(-3, 2)), **r.maybe("end", r.dim(-2, 3))}


@gen("NonZero", never=("broadcast", "scalar"), why="what the coordinates of a scalar are is not said")
def non_zero(r):
    return [r.values(r.shape(1), 0, 1)], {}


@gen("EyeLike", never=("broadcast", "scalar"), why="a matrix")
def eye(r):
    shape = (0, 3) if r.i == 1 else (r.dim(), r.dim())
    return [r.values(shape)], {**r.maybe("k", r.dim(-2, 2)), **r.maybe("dtype", int(TensorProto.FLOAT))}


@gen("OneHot", never=("broadcast",), why="values are a pair")
def one_hot(r):
    depth_type, values_type = r.input_type("depth", "int64"), r.input_type("values", "float")
    n = r.dim(2, 5)
    lo = -n if r.v >= 11 and r.T[0] != "u" else 0
    return [r.values(r.shape(0, 2), lo, n - 1) if not r.floating else r.ints(max(lo, 0), n - 1, r.shape(0, 2)).astype(r.np),
            np.array(n, np_type(depth_type)), r.values((2,), 0, 3, values_type)], r.maybe("axis", r.pick(0, -1))


@gen("ConstantOfShape", never=("broadcast",), why=ONE_WHY)
def constant_of_shape(r):
    shape = [(2, 3), (0, 3), ()][r.i] if r.i < 3 else r.shape(0, 3)
    outs = [t[7:-1] for t in r.types["T2"]]
    kind = outs[r.i % len(outs)]
    attrs = {} if r.i == 5 else {"value": helper.make_tensor("", TensorProto.DataType.Value(kind.upper()), [1], [1])}
    return [np.array(shape, np.int64)], attrs


@gen("Range", never=("broadcast",), why="three scalars")
def range_(r):
    step = r.pick(1, 2, -1) if r.T[0] != "u" else 1
    a, n = r.dim(0, 3), (0 if r.i == 1 else r.dim(1, 6))
    return [np.array(a + (0 if step > 0 else 9), r.np), np.array(a + (0 if step > 0 else 9) + step * n, r.np), np.array(step, r.np)], {}


# ---- windows ----

def window(r, spatial, kernel, strides=True):
    attrs = {}
    if r.coin():  # no steps over what auto_pad would then have to cut
        attrs["strides"] = [r.dim(1, min(2, k)) for k in kernel]
    if r.has("dilations") and r.coin(0.4):
        attrs["dilations"] = [r.dim(1, 2) for _ in spatial]
    how = r.rng.random()
    if how < 0.4:
        attrs["pads"] = [r.dim(0, max(k - 1, 0)) for k in kernel] * 2
    elif how < 0.7 and "dilations" not in attrs:
        attrs["auto_pad"] = r.pick("SAME_UPPER", "SAME_LOWER", "VALID")
    return attrs


IMAGE = ("broadcast", "scalar")
IMAGE_WHY = "images and filters"


@gen("Conv", never=IMAGE, why=IMAGE_WHY)
def conv(r, ranks=(1, 2, 2, 3)):
    rank, group = r.pick(*ranks), r.pick(1, 1, 2)
    spatial, kernel = [r.dim(5, 7) for _ in range(rank)], [r.dim(1, 3) for _ in range(rank)]
    ci, co = group * r.dim(1, 3), group * r.dim(1, 3)
    attrs = {**window(r, spatial, kernel), **({"group": group} if group > 1 else {}), **r.maybe("kernel_shape", kernel)}
    n = 0 if r.i == 1 else r.dim(1, 2)
    return [r.values((n, ci, *spatial), -1, 1), r.values((co, ci // group, *kernel), -1, 1), r.values((co,)) if r.coin() else None], attrs


@gen("ConvTranspose", never=IMAGE, why=IMAGE_WHY)
def conv_transpose(r):
    rank, group = r.pick(1, 2, 2), r.pick(1, 1, 2)
    spatial, kernel = [r.dim(2, 5) for _ in range(rank)], [r.dim(1, 3) for _ in range(rank)]
    ci, co = group * r.dim(1, 3), r.dim(1, 3)
    attrs = {**({"group": group} if group > 1 else {}), **r.maybe("kernel_shape", kernel)}
    if r.i in (4, 5):
        kernel = [3] * rank
        attrs["auto_pad"] = r.pick("SAME_UPPER", "VALID")
        attrs.pop("kernel_shape", None)
    elif r.coin():
        attrs["strides"] = [2] * rank
        if r.coin():
            attrs["output_padding"] = [1] * rank
    if r.coin(0.3) and "auto_pad" not in attrs:
        attrs["dilations"] = [2] * rank
    if r.coin(0.4) and "auto_pad" not in attrs:
        attrs["pads"] = [1] * (2 * rank) if min(kernel) > 1 else [0] * (2 * rank)
    # Where the kernel is shorter than the step ONNX Runtime does not give the extent that SAME promises.
    elif r.coin(0.3) and min(kernel) > 1 and "dilations" not in attrs and "output_padding" not in attrs:
        attrs["auto_pad"] = r.pick("SAME_UPPER", "VALID")
    n = 0 if r.i == 1 else r.dim(1, 2)
    return [r.values((n, ci, *spatial), -1, 1), r.values((ci, co, *kernel), -1, 1), r.values((co * group,)) if r.coin() else None], attrs


@gen("ConvInteger", never=IMAGE, why=IMAGE_WHY)
def conv_integer(r):
    (x, w, _), attrs = conv(r, (1, 2, 2))
    tw = r.input_type("w")
    return [r.values(x.shape), r.values(w.shape, -3, 3, tw), r.values((), 0, 3) if r.coin() else None,
            r.values((), 0, 2, tw) if r.coin() else None], attrs


@gen("AveragePool", "MaxPool", "LpPool", never=IMAGE, why=IMAGE_WHY)
def pool(r):
    rank = r.pick(1, 2, 2, 3) if r.schema.name != "LpPool" or r.v > 2 else r.pick(1, 2)
    spatial, kernel = [r.dim(5, 7) for _ in range(rank)], [r.dim(1, 3) for _ in range(rank)]
    attrs = {"kernel_shape": kernel, **window(r, spatial, kernel), **r.maybe("count_include_pad", 1), **r.maybe("p", 3 if r.v > 1 else 3.0)}
    if "auto_pad" not in attrs and "dilations" not in attrs:
        attrs.update(r.maybe("ceil_mode", 1, 0.4))
    nout = 1
    if r.schema.name == "MaxPool" and r.v >= 8 and r.coin(0.4):
        nout = 2
        attrs.update(r.maybe("storage_order", 1))
    return [r.values((0 if r.i == 1 else r.dim(1, 2), r.dim(1, 3), *spatial))], attrs, nout


@gen("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", never=IMAGE, why=IMAGE_WHY)
def global_pool(r):
    shape = tuple(r.dim() for _ in range(r.dim(3, 5)))
    return [r.values((0, *shape[1:]) if r.i == 1 else shape)], r.maybe("p", 3 if r.v > 1 else 3.0)


@gen("LRN", never=IMAGE, why=IMAGE_WHY)
def lrn(r):
    return [r.values((0 if r.i == 1 else 2, r.dim(1, 6), 3, 2))], {"size": r.pick(1, 3, 5), **r.maybe("alpha", 0.5), **r.maybe("beta", 0.5),
                                                                    **r.maybe("bias", 2.0)}


@gen("BatchNormalization", never=IMAGE, why=IMAGE_WHY)
def batch_norm(r):
    c = r.dim(1, 4)
    shape = (0 if r.i == 1 else r.dim(1, 3), c, *r.shape(0, 2)) if r.i != 2 else (2, c)
    attrs = {**r.maybe("epsilon", 0.01), **(r.maybe("momentum", 0.5) if r.v >= 7 else {})}
    if r.v < 6:
        attrs["consumed_inputs"] = [0, 0, 0, 1, 1]
    if r.v < 7:
        attrs["is_test"] = 1
    stats = [r.values((c,), dtype=r.input_type(n.name)) for n in r.schema.inputs[1:4]]
    return [r.values(shape), *stats, r.values((c,), 0.5, 2, r.input_type(r.schema.inputs[4].name))], attrs


@gen("InstanceNormalization", never=IMAGE, why=IMAGE_WHY)
def instance_norm(r):
    c = r.dim(1, 4)
    attrs = {**r.maybe("epsilon", 0.01)}
    return [r.values((0 if r.i == 1 else r.dim(1, 2), c, *[r.dim(2, 4) for _ in range(r.dim(1, 2))])), r.values((c,)), r.values((c,))], attrs


@gen("LayerNormalization", "RMSNormalization", never=("scalar",), why="there is an axis to normalize")
def layer_norm(r):
    shape = r.shape(1, 3)
    axis = r.axis(len(shape)) if r.coin() else -1
    scale = shape[axis:]
    if r.i == 1:
        shape, axis, scale = (0, 3), -1, (3,)
    st = r.input_type("scale") if r.schema.name[0] == "R" else r.T
    ins = [r.values(shape), r.values(scale, dtype=st)]
    if r.schema.name[0] == "L" and r.coin():
        ins.append(r.values(scale))
    return ins, {"axis": axis, **r.maybe("epsilon", 0.01)}


@gen("GroupNormalization", never=IMAGE, why=IMAGE_WHY)
def group_norm(r):
    groups, c = r.pick(1, 2), 4
    n = groups if r.v < 21 else c
    return [r.values((0 if r.i == 1 else 2, c, 3, 2)), r.values((n,)), r.values((n,))], {"num_groups": groups, **r.maybe("epsilon", 0.01)}


@gen("LpNormalization", never=("broadcast", "scalar"), why="one operand with the axis")
def lp_norm(r):
    shape = r.shape(1, 3)
    return [r.values(shape, 0.5, 3)], {**r.maybe("axis", r.axis(len(shape))), **r.maybe("p", 1)}


@gen("MeanVarianceNormalization", never=("broadcast", "scalar"), why="one operand with axes")
def mvn(r):
    return [r.values((0 if r.i == 1 else 2, 3, 2, 2))], r.maybe("axes", r.pick([0, 1], [1, 2, 3], [0, 2, 3]))


@gen("Dropout", never=ONE, why=ONE_WHY)
def dropout(r):
    x = r.values(r.shape())
    if r.v < 7:
        return [x], {"is_test": 1, **r.maybe("ratio", 0.25)}
    if r.v < 12:
        return [x], r.maybe("ratio", 0.25)
    ratio = r.values((), 0.25, 0.75, r.input_type("ratio", "float")) if r.coin() else None
    return [x, ratio, np.array(False) if ratio is not None and r.coin() else None], r.maybe("seed", 3)


@gen("QuantizeLinear")
def quantize(r):
    kinds = [t[7:-1] for t in r.types[r.schema.outputs[0].type_str]]
    kinds = [k for k in kinds if k.startswith(("int", "uint"))]
    kind = kinds[r.i % len(kinds)]
    shape = (2, 3, 4) if r.i == 3 else r.shape(0, 3)
    st = r.input_type("y_scale", "float")
    axis = r.axis(len(shape)) if r.has("axis") and len(shape) and (r.coin() and r.i > 3 or r.i == 3) else None
    n = (shape[axis],) if axis is not None and shape else ()
    return [r.values(shape), r.values(n, 0.25, 1, st), r.values(n, 0, 1, kind)], {"axis": axis} if axis is not None and shape else {}


@gen("DequantizeLinear")
def dequantize(r):
    shape = (2, 3, 4) if r.i == 3 else r.shape(0, 3)
    axis = r.axis(len(shape)) if r.has("axis") and len(shape) and (r.coin() and r.i > 3 or r.i == 3) else None
    n = (shape[axis],) if axis is not None and shape else ()
    zero = r.values(n, 0, 1) if r.T != "int32" and r.coin() else None
    if zero is not None and r.floating:
        zero = np.zeros(n, r.np)
    return [r.values(shape), r.values(n, 0.25, 1, r.input_type("x_scale", "float")), zero], {"axis": axis} if axis is not None and shape else {}


@gen("DynamicQuantizeLinear", never=ONE, why=ONE_WHY)
def dynamic_quantize(r):
    return [r.values(r.shape())], {}, 3


@gen("QLinearMatMul", never=("scalar",), why="operands have one axis at least")
def qlinear_matmul(r):
    (a, b), _ = matmul(r)
    if r.floating:
        raise Skip("8-bit floats: not supported here or by ONNX Runtime")
    tb, ty = (k if "float" not in k else r.T for k in (r.input_type("b"), r.input_type("y_zero_point")))
    ts = r.input_type("a_scale", "float")
    return [r.values(a.shape, -9, 9), r.values((), 0.25, 1, ts), r.values((), 0, 3), r.values(b.shape, -9, 9, tb), r.values((), 0.25, 1, ts),
            r.values((), 0, 3, tb), r.values((), 2, 4, ts), r.values((), 0, 3, ty)], {}


@gen("QLinearConv", never=IMAGE, why=IMAGE_WHY)
def qlinear_conv(r):
    (x, w, b), attrs = conv(r, (1, 2, 2))
    tw, ty = r.input_type("w"), r.input_type("y_zero_point")
    s = lambda lo=0.25, hi=1: r.values((), lo, hi, "float")  # noqa: E731
    return [r.values(x.shape, -9, 9), s(), r.values((), 0, 3), r.values(w.shape, -9, 9, tw), s(), r.values((), 0, 3, tw), s(2, 4),
            r.values((), 0, 3, ty), r.ints(-9, 9, b.shape, "int32") if b is not None else None], attrs


@gen("GridSample", never=IMAGE, why=IMAGE_WHY)
def grid_sample(r):
    if not r.floating:
        raise Skip("nothing says what lies between such elements")
    # Positions lie off the middles between pixels, where nearest could go either way.
    grid = (r.rng.integers(-13, 13, (1, 3, 4, 2)) * 2 + 1) / 23
    modes = ("bilinear", "nearest", "bicubic") if r.v < 20 else ("linear", "nearest", "cubic")
    n = 0 if r.i == 1 else 1
    mode, border = r.maybe("mode", r.pick(*modes[1:])), r.maybe("padding_mode", r.pick("border", "reflection"))
    if "cubic" in mode.get("mode", "") and border.get("padding_mode") == "border":
        border = {}  # ONNX Runtime clamps the position, the evaluator (and this tool) the pixels around it
    return [r.values((n, 2, 4, 5)), grid.astype("f4" if "tensor(float)" in r.types[r.schema.inputs[1].type_str] else r.np)[:n]], {**mode, **border,
            **r.maybe("align_corners", 1)}


@gen("Upsample", "Resize", never=(*IMAGE, "empty"), why="images; nothing cannot be enlarged")
def resize(r):
    if r.T in ("string", "bool") or r.T.startswith("complex"):
        raise Skip("nothing says what lies between such elements")
    shape = (1, 2, r.dim(2, 4), r.dim(2, 4))
    scales = [1.0, 1.0, r.pick(2.0, 3.0), r.pick(1.0, 2.0)]
    mode = r.pick("nearest", "linear") if r.schema.name == "Resize" or r.v >= 7 else r.pick("nearest", "bilinear")
    attrs = {"mode": mode} if mode != "nearest" or r.coin() else {}
    x = r.values(shape)
    if r.schema.name == "Upsample" and r.v < 7:
        return [x], {**attrs, "height_scale": scales[2], "width_scale": scales[3]}
    if r.schema.name == "Upsample" and r.v < 9:
        return [x], {**attrs, "scales": scales}
    if r.v < 11:
        return [x, np.array(scales, np.float32)], attrs
    attrs.update(r.maybe("coordinate_transformation_mode", r.pick("asymmetric", "align_corners", "pytorch_half_pixel")))
    attrs.update(r.maybe("nearest_mode", r.pick("floor", "ceil", "round_prefer_ceil")))
    none = None if r.v >= 13 else np.zeros(0, np.float32)  # both are there in version 11
    roi = None if r.v >= 13 else np.zeros(0, np_type(r.input_type("roi", "float") if r.floating else "float"))
    if r.coin():
        return [x, roi, np.array(scales, np.float32)], attrs
    return [x, roi, none, np.array([1, 2, r.dim(2, 6), r.dim(2, 6)], np.int64)], attrs


# ---- recurrent ----

@gen("RNN", "GRU", "LSTM", never=(*IMAGE, "empty"), why="sequences and weights; ONNX Runtime does not survive an empty batch")
def recurrent(r):
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[r.schema.name]
    h, n, t, b = r.dim(1, 3), r.dim(1, 3), r.dim(1, 4), r.dim(1, 3)
    direction = r.pick("forward", "reverse", "bidirectional")
    d = 2 if direction == "bidirectional" else 1
    attrs = {"hidden_size": h, **({"direction": direction} if direction != "forward" or r.coin() else {}), **r.maybe("clip", 0.75, 0.3)}
    attrs.update(r.maybe("linear_before_reset", 1) if r.schema.name == "GRU" else {})
    ins = [r.values((t, b, n), -1, 1), r.values((d, gates * h, n), -1, 1), r.values((d, gates * h, h), -1, 1),
           r.values((d, 2 * gates * h), -1, 1) if r.coin() else None, None, r.values((d, b, h), -1, 1) if r.coin() else None]
    if r.schema.name == "LSTM":
        ins.append(r.values((d, b, h), -1, 1) if r.coin() else None)
        attrs.update(r.maybe("input_forget", 1, 0.2))
    if r.v < 7:
        attrs["output_sequence"] = 1
    return ins, attrs, 3 if r.schema.name == "LSTM" else 2


# ---- text, and what is left ----

@gen("RegexFullMatch", never=ONE, why=ONE_WHY)
def regex(r):
    return [r.values(r.shape())], {"pattern": r.pick("a", "[a-z]+", ".*", "(bc|onnx)", "\\w+ \\w+")}


@gen("StringSplit", never=ONE, why=ONE_WHY)
def string_split(r):
    return [r.values(r.shape())], {**r.maybe("delimiter", r.pick(" ", "n")), **r.maybe("maxsplit", 1)}, 2


@gen("BlackmanWindow", "HannWindow", "HammingWindow", never=("broadcast", "empty"), why="a scalar")
def signal_window(r):
    return [np.array(r.dim(2, 12), r.np)], {**r.maybe("periodic", 0), **r.maybe("output_datatype", int(TensorProto.DOUBLE))}


@gen("Binarizer", "ml.Binarizer", never=ONE, why=ONE_WHY)
def binarizer(r):
    return [r.values(r.shape(0, 3))], r.maybe("threshold", 0.5)


@gen("Scaler", "ml.Scaler", never=("broadcast", "scalar"), why="rows of features")
def scaler(r):
    shape = (0, 3) if r.i == 1 else (r.dim(), 3)
    each = r.coin()
    return [r.values(shape)], {"offset": [0.5, 1.0, -1.0] if each else [0.25], "scale": [2.0, 0.5, 1.0] if each else [0.5]}


@gen("Normalizer", "ml.Normalizer", never=("broadcast", "scalar"), why="rows of features")
def normalizer(r):
    return [r.values((0, 3) if r.i == 1 else (r.dim(), 3), 1, 3)], {"norm": r.pick("MAX", "L1", "L2")}


@gen("ArrayFeatureExtractor", "ml.ArrayFeatureExtractor", never=("broadcast", "scalar", "empty"), why="rows of features")
def feature_extractor(r):
    shape = (r.dim(), r.dim(2, 5))
    return [r.values(shape), r.ints(0, shape[-1] - 1, (1, r.dim(1, 3)))], {}


@gen("Imputer", "ml.Imputer", never=("broadcast", "scalar"), why="rows of features")
def imputer(r):
    x = r.values((0, 3) if r.i == 1 else (r.dim(), 3), 0, 3)
    if r.floating:
        return [x], {"imputed_value_floats": [1.5, 2.5, 3.5] if r.coin() else [9.0], "replaced_value_float": r.pick(1.0, 2.0)}
    return [x], {"imputed_value_int64s": [7, 8, 9] if r.coin() else [9], "replaced_value_int64": r.pick(1, 2)}


@gen("OneHotEncoder", "ml.OneHotEncoder", never=(*ONE, "scalar"), why="rows of categories")
def one_hot_encoder(r):
    x = r.values(r.shape(1, 2), 0, 4)
    if r.T == "string":
        return [x], {"cats_strings": ["a", "bc", "onnx"], "zeros": 1}
    return [x if not r.floating else np.floor(x)], {"cats_int64s": [0, 1, 2, 3], "zeros": 1}


NO_GENERATOR = {  # operators that none of the above makes cases for, and why; may only shrink
    "random": "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike",
    "graphs": "If Loop Scan SequenceMap FlexAttention Gradient",
    "no tensors": "SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength ConcatFromSequence "
                  "SplitToSequence Optional OptionalGetElement OptionalHasElement CastMap DictVectorizer ZipMap Constant",
    "conformance cases only": "AffineGrid Attention BitCast CausalConvWithState CenterCropPad Col2Im DFT DeformConv ImageDecoder "
                              "LinearAttention MaxRoiPool MaxUnpool MelWeightMatrix NegativeLogLikelihoodLoss NonMaxSuppression RoiAlign "
                              "RotaryEmbedding STFT SoftmaxCrossEntropyLoss StringNormalizer SwiGLU TensorScatter TfIdfVectorizer Adagrad "
                              "Adam Momentum CategoryMapper FeatureVectorizer LabelEncoder LinearClassifier LinearRegressor SVMClassifier "
                              "SVMRegressor TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor",
}
