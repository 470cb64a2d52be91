"""Small models that ask one question each; the newest onnx package writes them, whatever version they claim to be of.

write() makes a .tar.gz, the same bytes from run to run. Names in it:
    ir/N              IR version N                          opset/N, ml/N    operator set N
    unknown/WHAT      operators, domains, functions         deprecated/OP/N  an operator that set N withdrew
    op/DOMAIN/OP/VERSION/VAR=TYPE,...                       one node of that version, its type variables bound
    early/OP/N                                              an operator in a set that does not have it yet
    function/WHAT                                           functions of the model's own
    run/CASE                                                one node that runs; its inputs are in another archive
"""
import contextlib
import gzip
import io
import itertools
import json
import tarfile

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, TypeProto, defs, helper, numpy_helper

IR = 3  # the lowest: every release takes it, and nothing here needs a higher one


def element(name):
    """TensorProto element type of `float`, `int64`, ... as type strings spell it."""
    return TensorProto.DataType.Value(name.upper())


def type_proto(text):
    """TypeProto of `tensor(float)`, `seq(map(int64, float))`, `optional(seq(tensor(float)))`."""
    proto = TypeProto()
    kind, inner = text.split("(", 1)
    inner = inner[:-1]
    if kind == "tensor":
        proto.tensor_type.elem_type = element(inner)
    elif kind == "seq":
        proto.sequence_type.elem_type.CopyFrom(type_proto(inner))
    elif kind == "optional":
        proto.optional_type.elem_type.CopyFrom(type_proto(inner))
    elif kind == "map":
        key, value = inner.split(",", 1)
        proto.map_type.key_type = element(key)
        value = value.strip()
        proto.map_type.value_type.CopyFrom(type_proto(value if "(" in value else "tensor(%s)" % value))
    else:
        raise ValueError(text)
    return proto


def short(text):
    """tensor(float) -> float; other types stay, but for spaces."""
    return text[7:-1] if text.startswith("tensor(") else text.replace(" ", "")


def elem_of(text):
    """Element type behind sequences and optionals, or None."""
    while text.startswith(("seq(", "optional(")):
        text = text.split("(", 1)[1][:-1]
    return short(text) if text.startswith("tensor(") else None


def preferred(allowed):
    for want in ("tensor(float)", "seq(tensor(float))", "optional(tensor(float))", "tensor(int64)", "tensor(uint8)",
                 "tensor(bool)"):
        if want in allowed:
            return want
    return sorted(allowed)[0]


def scalar(elem, shape=()):
    """A tensor of ones (or its like) of any element type."""
    dtype = element(elem)
    count = int(np.prod(shape, dtype=int))
    if elem == "string":
        return helper.make_tensor("", dtype, shape, [b"a"] * count)
    bits = {"int4": 4, "uint4": 4, "float4e2m1": 4, "int2": 2, "uint2": 2}.get(elem)
    if bits:
        return helper.make_tensor("", dtype, shape, b"\1" * ((count * bits + 7) // 8), raw=True)
    if elem.startswith("float8"):
        return helper.make_tensor("", dtype, shape, b"\x38" * count, raw=True)
    return numpy_helper.from_array(np.ones(shape, helper.tensor_dtype_to_np_dtype(dtype)), "")


# --- schemas: those of the onnx package, and those that a release names (probe.py --schemas)

class Formal:
    def __init__(self, type_str, optional):
        self.type_str, self.optional = type_str, optional


class Schema:
    """What is needed of an operator's signature."""

    def __init__(self, domain, name, since, inputs, outputs, attributes, types, deprecated=False):
        self.domain, self.name, self.since_version, self.deprecated = domain, name, since, deprecated
        self.inputs, self.outputs = inputs, outputs
        self.attributes = attributes  # {name: (kind, required)}
        self.types = types  # {variable: [type]}


def of_onnx(s):
    formal = defs.OpSchema.FormalParameterOption
    return Schema(s.domain, s.name, s.since_version, [Formal(f.type_str, f.option == formal.Optional) for f in s.inputs],
                  [Formal(f.type_str, f.option == formal.Optional) for f in s.outputs],
                  {n: (str(a.type).rsplit(".", 1)[-1], a.required) for n, a in s.attributes.items()},
                  {c.type_param_str: sorted(c.allowed_type_strs) for c in s.type_constraints}, s.deprecated)


ONNX = sorted((of_onnx(s) for s in defs.get_all_schemas_with_history() if s.domain in ("", "ai.onnx.ml")),
              key=lambda s: (s.domain, s.name, s.since_version))


def onnx_schema(name, opset):
    return max((s for s in ONNX if s.name == name and s.domain == "" and s.since_version <= opset),
               key=lambda s: s.since_version)


def of_release(path):
    """Operators and versions that onnx does not have, from what probe.py --schemas wrote."""
    known = {(s.domain, s.name, s.since_version) for s in ONNX}
    with open(path, encoding="utf-8") as f:
        rows = json.load(f)
    found = [Schema(r[0], r[1], r[2], [Formal(*x) for x in r[3]], [Formal(*x) for x in r[4]],
                    {n: (k, need) for n, k, need in r[5]}, {n: sorted(t) for n, t in r[6]}) for r in rows
             if r[0] in ("", "com.microsoft") and not r[7] and tuple(r[:3]) not in known and "sparse" not in str(r[6])]
    return sorted(found, key=lambda s: (s.domain, s.name, s.since_version))


# --- attributes

def body(ins, outs, nodes):
    """A subgraph: [(name, type text)]."""
    return helper.make_graph(nodes, "body", [helper.make_value_info(n, type_proto(t)) for n, t in ins],
                             [helper.make_value_info(n, type_proto(t)) for n, t in outs])


def constant_of(text, name):
    """Nodes that make a value of type `text` out of nothing."""
    elem = elem_of(text)
    if text.startswith("seq("):
        return [helper.make_node("SequenceEmpty", [], [name], dtype=element(elem))]
    if text.startswith("optional("):
        return [helper.make_node("Optional", [], [name], type=type_proto(text[9:-1]))]
    return [helper.make_node("Constant", [], [name], value=scalar(elem))]


def control_attrs(schema, types):
    """Attributes of If, Loop, Scan and SequenceMap."""
    value = types.get("V", "tensor(float)")
    if schema.name == "If":
        return {"then_branch": body([], [("t", value)], constant_of(value, "t")),
                "else_branch": body([], [("e", value)], constant_of(value, "e"))}
    if schema.name == "Loop":
        ins = [("i", "tensor(int64)"), ("c", "tensor(bool)"), ("v", value)]
        same = "SequenceInsert" if value.startswith("seq") else "Identity"
        nodes = [helper.make_node("Identity", ["c"], ["c2"])]
        nodes += ([helper.make_node("Identity", ["v"], ["v2"])] if same == "Identity" else
                  constant_of(value, "v2"))
        return {"body": body(ins, [("c2", "tensor(bool)"), ("v2", value)], nodes)}
    if schema.name == "Scan":
        return {"body": body([("v", value)], [("v2", value)], [helper.make_node("Identity", ["v"], ["v2"])]),
                "num_scan_inputs": 1}
    item = types["S"][4:-1]
    return {"body": body([("v", item)], [("v2", item)], [helper.make_node("Identity", ["v"], ["v2"])])}


SPECIAL = {
    "BitShift": {"direction": "LEFT"},
    "Einsum": {"equation": "ij->ij"},
    "TfIdfVectorizer": {"mode": "TF", "min_gram_length": 1, "max_gram_length": 1, "max_skip_count": 0,
                        "ngram_counts": [0], "ngram_indexes": [0]},
    "Upsample": {"scales": [1.0, 1.0, 1.0, 1.0], "mode": "nearest", "height_scale": 1.0, "width_scale": 1.0},
    "TreeEnsembleClassifier": {"class_ids": [0], "class_nodeids": [0], "class_treeids": [0], "class_weights": [1.0],
                               "nodes_modes": ["LEAF"], "nodes_nodeids": [0], "nodes_treeids": [0],
                               "nodes_falsenodeids": [0], "nodes_truenodeids": [0], "nodes_featureids": [0],
                               "nodes_values": [0.0]},
    "TreeEnsembleRegressor": {"target_ids": [0], "target_nodeids": [0], "target_treeids": [0],
                              "target_weights": [1.0], "nodes_modes": ["LEAF"], "nodes_nodeids": [0],
                              "nodes_treeids": [0], "nodes_falsenodeids": [0], "nodes_truenodeids": [0],
                              "nodes_featureids": [0], "nodes_values": [0.0], "n_targets": 1},
    "LinearClassifier": {"coefficients": [1.0], "intercepts": [0.0], "classlabels_ints": [0]},
    "LinearRegressor": {"coefficients": [1.0]},
    "SVMClassifier": {"coefficients": [1.0], "kernel_params": [1.0, 0.0, 0.0], "rho": [0.0], "support_vectors": [1.0],
                      "vectors_per_class": [1], "classlabels_ints": [0], "kernel_type": "LINEAR"},
    "SVMRegressor": {"coefficients": [1.0], "kernel_params": [1.0, 0.0, 0.0], "rho": [0.0], "support_vectors": [1.0],
                     "n_supports": 1, "kernel_type": "LINEAR"},
    "Normalizer": {"norm": "MAX"},
    "Scaler": {"offset": [0.0], "scale": [1.0]},
    "FeatureVectorizer": {"inputdimensions": [1]},
    "CategoryMapper": {"cats_int64s": [1], "cats_strings": ["a"]},
    "StringNormalizer": {"case_change_action": "LOWER"},
    "RegexFullMatch": {"pattern": "a"},
}


def default_attr(kind):
    if kind == "GRAPH":
        return body([("v", "tensor(float)")], [("v2", "tensor(float)")], [helper.make_node("Identity", ["v"], ["v2"])])
    return {"INT": 1, "INTS": [1], "FLOAT": 1.0, "FLOATS": [1.0], "STRING": "a", "STRINGS": ["a"],
            "TENSOR": scalar("float", (1,))}[kind]


def attributes(schema, types):
    """{name: value}: what the schema requires and what binds a type variable that no input binds."""
    if schema.name in ("If", "Loop", "Scan", "SequenceMap"):
        return control_attrs(schema, types)
    special = SPECIAL.get(schema.name, {})
    made = {n: special[n] for n in special if n in schema.attributes}
    made.update({n: default_attr(kind) for n, (kind, need) in schema.attributes.items() if need and n not in made})
    bound = {i.type_str for i in schema.inputs}
    free = [o.type_str for o in schema.outputs if o.type_str not in bound and o.type_str in types]
    if free:
        elem = elem_of(types[free[0]])
        for name in ("to", "dtype", "output_datatype", "output_dtype"):
            if name in schema.attributes:
                made[name] = element(elem) if not (schema.name == "Cast" and schema.since_version < 6) else elem.upper()
        if schema.name in ("Constant", "ConstantOfShape"):
            made["value"] = scalar(elem, (1,) if schema.name == "ConstantOfShape" else ())
        if schema.name == "ZipMap":
            keys = "classlabels_int64s" if "int64" in types[free[0]] else "classlabels_strings"
            made[keys] = [1] if "int64" in types[free[0]] else ["a"]
    if schema.name == "LabelEncoder" and schema.since_version >= 2:
        made.update(label_encoder(types, schema.since_version))
    elif schema.name == "LabelEncoder":
        made["classes_strings"] = ["a"]
    if schema.name == "Imputer":
        made.update({"imputed_value_int64s": [1]} if "int64" in types["T"] else {"imputed_value_floats": [1.0]})
    if schema.name == "DictVectorizer":
        made["int64_vocabulary" if types["T1"].startswith("map(int64") else "string_vocabulary"] = (
            [1] if types["T1"].startswith("map(int64") else ["a"])
    if schema.name == "OneHotEncoder":
        made["cats_strings" if "string" in types["T"] else "cats_int64s"] = ["a"] if "string" in types["T"] else [1]
    if schema.name == "TfIdfVectorizer":
        made["pool_strings" if "string" in types["T"] else "pool_int64s"] = ["a"] if "string" in types["T"] else [1]
    if schema.name == "CastMap":
        made.update(cast_to={"float": "TO_FLOAT", "int64": "TO_INT64", "string": "TO_STRING"}[elem_of(types["T2"])])
    return made


def label_encoder(types, version):
    made = {}
    for part, var in (("keys", "T1"), ("values", "T2")):
        elem = elem_of(types[var])
        if elem in ("string", "int64", "float"):
            made["%s_%ss" % (part, elem)] = [{"string": "a", "int64": 1, "float": 1.0}[elem]]
        elif version >= 4:
            made[part + "_tensor"] = scalar(elem, (1,))
    return made


# --- one node

def formals(items, types, wanted):
    """Names of the formals to fill: those that are not optional, and those that hold a variable nothing else holds."""
    need = [i for i, f in enumerate(items) if not f.optional]
    held = {items[i].type_str for i in need}
    for i, f in enumerate(items):
        if f.optional and f.type_str in wanted and f.type_str not in held:
            need.append(i)
            held.add(f.type_str)
    return sorted(need), held


def node_model(schema, types):
    """ModelProto with one node of that version."""
    ins, held = formals(schema.inputs, types, set(types))
    outs, _ = formals(schema.outputs, types, set(types) - held)
    outs = outs or [0]
    inputs, names = [], []
    for i in range(max(ins) + 1 if ins else 0):
        if i not in ins:
            names.append("")
            continue
        text = types.get(schema.inputs[i].type_str, schema.inputs[i].type_str)
        names.append("i%d" % i)
        inputs.append(helper.make_value_info("i%d" % i, type_proto(text)))
    if schema.name == "Loop":
        names = ["i0", "i1", "i2"]
    if schema.name == "Scan" and schema.since_version == 8:
        names = ["", "i1"]
    results = ["o%d" % i if i in outs else "" for i in range(max(outs) + 1)]
    node = helper.make_node(schema.name, names, results, domain=schema.domain, **attributes(schema, types))
    infos = [helper.make_value_info(results[i], type_proto(types.get(schema.outputs[i].type_str,
                                                                     schema.outputs[i].type_str))) for i in outs]
    graph = helper.make_graph([node], "g", inputs, infos)
    sets = [helper.make_opsetid(schema.domain, schema.since_version)]
    if schema.domain:
        sets.append(helper.make_opsetid("", 7 if schema.domain == "ai.onnx.ml" else 11))
    return helper.make_model(graph, opset_imports=sets, ir_version=IR)


def bindings(schema):
    """Yields {variable: type}: a base, then each variable through all its types; pairs in full where there are few."""
    used = {f.type_str for f in list(schema.inputs) + list(schema.outputs)}
    allowed = {n: t for n, t in schema.types.items() if n in used}
    base = {n: preferred(t) for n, t in allowed.items()}
    seen = set()

    def once(types):
        key = tuple(sorted(types.items()))
        if key not in seen:
            seen.add(key)
            yield dict(types)
    yield from once(base)
    for name, kinds in allowed.items():
        for kind in kinds:
            yield from once({**base, name: kind})
    names = list(allowed)
    if len(names) == 2 and len(allowed[names[0]]) * len(allowed[names[1]]) <= 100:
        for a in allowed[names[0]]:
            for b in allowed[names[1]]:
                yield from once({names[0]: a, names[1]: b})


def op_models(more):
    """Yields (name, ModelProto)."""
    for schema in [s for s in ONNX if not s.deprecated or s.inputs] + more:
        for types in bindings(schema):
            name = "op/%s/%s/%d/%s" % (schema.domain or "ai.onnx", schema.name, schema.since_version,
                                       ",".join("%s=%s" % (n, short(t)) for n, t in sorted(types.items())))
            yield name, node_model(schema, types)


# --- limits

def identity(opset, ir=IR, extra=(), nodes=None, functions=()):
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("x", "y")]
    graph = helper.make_graph(nodes or [helper.make_node("Abs", ["x"], ["y"])], "g", info[:1], info[1:])
    sets = ([helper.make_opsetid("", opset)] if opset else []) + [helper.make_opsetid(d, v) for d, v in extra]
    return helper.make_model(graph, opset_imports=sets, ir_version=ir, functions=list(functions))


def limit_models():
    for ir in range(1, 16):
        model = identity(7 if ir >= 3 else 0, ir)
        if ir < 3:
            del model.opset_import[:]
        yield "ir/%d" % ir, model
    for opset in range(1, 31):
        yield "opset/%d" % opset, identity(opset)
    binary = helper.make_node("Binarizer", ["x"], ["y"], domain="ai.onnx.ml", threshold=0.5)
    for opset in range(1, 8):
        yield "ml/%d" % opset, identity(7, extra=[("ai.onnx.ml", opset)], nodes=[binary])
    for opset in (1, 2):
        yield "training/%d" % opset, identity(7, extra=[("ai.onnx.preview.training", opset)])
        yield "microsoft/%d" % opset, identity(7, extra=[("com.microsoft", opset)])
    yield "unknown/domain-imported", identity(7, extra=[("org.example", 1)])
    yield "unknown/operator", identity(7, nodes=[helper.make_node("Frobnicate", ["x"], ["y"])])
    yield "unknown/operator-of-domain", identity(7, extra=[("org.example", 1)], nodes=[
        helper.make_node("Frobnicate", ["x"], ["y"], domain="org.example")])
    yield "unknown/domain-not-imported", identity(7, nodes=[
        helper.make_node("Frobnicate", ["x"], ["y"], domain="org.example")])
    function = helper.make_function("org.example", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
                                    [helper.make_opsetid("", 13)])
    for ir in (7, 8, 9):
        yield "function/ir%d" % ir, identity(13, ir, [("org.example", 1)], [
            helper.make_node("Twice", ["x"], ["y"], domain="org.example")], [function])
    late = helper.make_function("org.example", "Late", ["a"], ["b"], [helper.make_node("Gelu", ["a"], ["b"])],
                                [helper.make_opsetid("", 20)])
    for opset in (17, 20):
        yield "function/import20-in-%d" % opset, identity(opset, 8, [("org.example", 1)], [
            helper.make_node("Late", ["x"], ["y"], domain="org.example")], [late])
    for ops in ONNX:
        if ops.deprecated and ops.domain == "":
            yield "deprecated/%s/%d" % (ops.name, ops.since_version), deprecated(ops)
            yield "deprecated/%s/%d" % (ops.name, ops.since_version - 1), deprecated(ops, -1)
    # an operator one set before it came, with the import that does not have it
    for name, since in (("Gelu", 20), ("LayerNormalization", 17), ("GroupNormalization", 18), ("Attention", 23),
                        ("Mish", 18), ("GridSample", 16), ("HardSwish", 14), ("CastLike", 15)):
        schema = onnx_schema(name, since)
        model = node_model(schema, next(bindings(schema)))
        model.opset_import[0].version = since - 1
        yield "early/%s/%d" % (name, since - 1), model


def deprecated(schema, shift=0):
    """A node of the last version before it was withdrawn, stamped with the withdrawing set (or `shift` beside it)."""
    older = [s for s in ONNX if (s.name, s.domain) == (schema.name, schema.domain) and not s.deprecated]
    last = max(older, key=lambda s: s.since_version)
    model = node_model(last, next(bindings(last)))
    model.opset_import[0].version = schema.since_version + shift
    return model


# --- cases that run, for profiles

def plain(array):
    """Whether every release can be fed with it."""
    return isinstance(array, np.ndarray) and array.dtype.kind in "fiubOU" and array.dtype.isbuiltin == 1


def version_of(node, opset):
    return defs.get_schema(node.op_type, opset, node.domain).since_version


def run_models():
    """Yields (name, ModelProto, inputs): onnx's own backend cases with one node, one for each operator, version and
    element types; stamped with the lowest operator set that has this version of the operator."""
    from onnx.backend.test.case.node import collect_testcases
    seen = set()
    for case in collect_testcases(None):
        model = case.model
        sets = {o.domain: o.version for o in model.opset_import}
        nodes = model.graph.node
        if len(nodes) != 1 or nodes[0].domain not in ("", "ai.onnx.ml") or not case.data_sets or model.functions:
            continue
        inputs = case.data_sets[0][0]
        if not all(plain(a) for a in inputs) or len(inputs) != len(model.graph.input) or model.ByteSize() > 4096:
            continue
        version = version_of(nodes[0], sets[nodes[0].domain])
        kinds = [i.type.tensor_type.elem_type for i in model.graph.input]
        kinds += [o.type.tensor_type.elem_type for o in model.graph.output]
        key = (nodes[0].domain, nodes[0].op_type, version, tuple(kinds))
        if key in seen or 0 in kinds:
            continue
        seen.add(key)
        del model.opset_import[:]
        model.opset_import.add(domain=nodes[0].domain, version=version)
        if nodes[0].domain:
            model.opset_import.add(domain="", version=7)
        model.ir_version = IR
        yield "run/" + case.name, model, inputs


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def write(path, feeds, schemas):
    """Models go to `path`, the inputs of those that run to `feeds`; schemas: what probe.py --schemas wrote in a release.
    Returns how many models there are."""
    count = 0
    with packed(path) as tar, packed(feeds) as values:
        for name, model in itertools.chain(limit_models(), op_models(of_release(schemas))):
            add(tar, name, model.SerializeToString(deterministic=True))
            count += 1
        for name, model, inputs in sorted(run_models(), key=lambda row: row[0]):
            add(tar, name, model.SerializeToString(deterministic=True))
            count += 1
            for i, array in enumerate(inputs):
                data = io.BytesIO()
                np.save(data, array.astype(object) if array.dtype.kind == "U" else array)
                add(values, "%s.%d" % (name, i), data.getvalue())
    return count


@contextlib.contextmanager
def packed(path):
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, 0) as zipped, \
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        yield tar
