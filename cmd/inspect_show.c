/* The screen of inspect, its JSON, and its row in a table of models. */
#include "inspect_show.h"

#include <stdlib.h>
#include <string.h>

/* Fewer elements in Constant nodes are axes and shapes, not weights. */
enum { LIST_MAX = 12, LINE = 84, VALUE_MAX = 60, SMALL_CONSTANTS = 1000 };

/* ---- text ---- */

/* The row's key stands at its first line alone. */
static const char *once(const char **key)
{
    const char *k = *key;
    *key = "";
    return k;
}

static void head(struct report *r, const struct ot_summary *s, const char *path)
{
    rp_title(r, "%s", rp_name(r, path));
    const char *size = s->file_bytes ? rp_str(r, "%s, ", rp_bytes(r, s->file_bytes)) : "";
    rp_row(r, "format", "%sIR %lld%s%s%s", size, (long long)s->ir_version,
           s->has_version && s->version ? rp_str(r, ", model version %lld", (long long)s->version) : "",
           s->domain ? ", domain " : "", rp_name(r, s->domain));
    const char *key = "opset";
    for (size_t i = 0; i < s->nimports; i++)
        rp_row(r, once(&key), "%s %lld%s", rp_name(r, s->imports[i].domain), (long long)s->imports[i].version,
               s->imports[i].newest ? "" : " (not a standard domain)");
    if (s->producer || s->producer_version)
        rp_row(r, "producer", "%s %s", rp_name(r, s->producer), rp_name(r, s->producer_version));
}

/* At most so much of a text from the file, on one line. */
static const char *shortened(struct report *r, const char *text)
{
    const char *safe = rp_name(r, text);
    if (strlen(safe) <= VALUE_MAX)
        return safe;
    size_t n = VALUE_MAX;
    while (n && ((unsigned char)safe[n] & 0xc0) == 0x80)
        n--;
    return rp_str(r, "%.*s...", (int)n, safe);
}

static void metadata(struct report *r, const struct ot_summary *s)
{
    const char *key = "metadata";
    if (s->doc)
        rp_row(r, "about", "%s", shortened(r, s->doc));
    for (size_t i = 0; i < s->nmetadata && i < LIST_MAX; i++)
        rp_row(r, once(&key), "%s = %s", shortened(r, s->metadata[i].key),
               shortened(r, s->metadata[i].value));
    if (s->nmetadata > LIST_MAX)
        rp_row(r, "", "and %zu more", s->nmetadata - LIST_MAX);
}

typedef const struct ot_value_info *value_fn(const ot_model *m, size_t i);

/* Inputs that must be fed, and outputs. */
static void values(struct report *r, const ot_model *m, const char *key, value_fn *get, size_t n)
{
    size_t shown = 0, left = 0, width = 0;
    for (size_t i = 0; i < n && shown < LIST_MAX; i++) {
        size_t w = get(m, i)->has_default ? 0 : strlen(rp_name(r, get(m, i)->name));
        shown += !get(m, i)->has_default;
        width = w > width && w < 40 ? w : width;
    }
    shown = 0;
    for (size_t i = 0; i < n; i++) {
        const struct ot_value_info *v = get(m, i);
        if (v->has_default)
            continue;
        if (shown++ < LIST_MAX)
            rp_row(r, once(&key), "%-*s %s", (int)width, rp_name(r, v->name), rp_name(r, v->type));
        else
            left++;
    }
    if (left)
        rp_row(r, "", "and %zu more", left);
}

/* What Constant nodes hold counts as weights when it is more than axes and shapes. */
static bool many_constants(const struct ot_summary *s)
{
    return s->constants.params > SMALL_CONSTANTS;
}

static void weights(struct report *r, const struct ot_summary *s)
{
    const struct ot_weights *all = &s->all_weights;
    const char *key = "parameters";
    if (all->tensors || !many_constants(s))
        rp_row(r, once(&key), "%s in %zu tensor%s, %s%s", rp_digits(r, all->params), all->tensors,
               all->tensors == 1 ? "" : "s", rp_bytes(r, all->bytes),
               s->shared ? rp_str(r, " (%zu more share their bytes)", s->shared) : "");
    for (size_t i = 0; i < s->nweights && s->nweights > 1; i++)
        rp_row(r, once(&key), "%s: %s in %s", s->weights[i].dtype, rp_digits(r, s->weights[i].params),
               rp_bytes(r, s->weights[i].bytes));
    if (s->nweights == 1)
        rp_row(r, "", "all %s", s->weights[0].dtype);
    if (many_constants(s))
        rp_row(r, once(&key), "%s in Constant nodes, %s", rp_digits(r, s->constants.params),
               rp_bytes(r, s->constants.bytes));
}

static void cost(struct report *r, const struct ot_summary *s)
{
    rp_row(r, "MACs", "%s%s (%s FLOPs), %s other operations%s%s", s->cost_unknown ? "at least " : "",
           rp_digits(r, s->macs), rp_count(r, 2 * (uint64_t)s->macs), rp_count(r, (uint64_t)s->other_ops),
           s->sizes ? ", at " : "", s->sizes ? s->sizes : "");
    if (s->macs_text)
        rp_row(r, "", "%s MACs in general", s->macs_text);
    if (s->cost_unknown)
        rp_row(r, "", "%zu node%s not counted: sizes depend on data or were not given", s->cost_unknown,
               s->cost_unknown == 1 ? "" : "s");
    if (s->has_loop)
        rp_row(r, "", "loops counted once");
    if (s->activations < 0)
        rp_row(r, "activations", "not known: some sizes depend on data");
    else
        rp_row(r, "activations", "%s alive at most, %s in all", rp_bytes(r, (uint64_t)s->activations_peak),
               rp_bytes(r, (uint64_t)s->activations));
}

/* "Conv 53, Relu 49" broken into lines, a domain at a time. */
static void operators(struct report *r, const struct ot_summary *s)
{
    char line[LINE + 400] = "";
    size_t n = 0;
    rp_row(r, "nodes", "%zu%s", s->nodes,
           s->subgraphs ? rp_str(r, ", in %zu subgraph%s %d deep", s->subgraphs, s->subgraphs == 1 ? "" : "s",
                                 s->depth)
                        : "");
    for (size_t i = 0; i < s->nops; i++) {
        const struct ot_op_use *u = &s->ops[i];
        bool first = i == 0 || strcmp(s->ops[i - 1].domain, u->domain) != 0;
        bool more = i + 1 < s->nops && strcmp(s->ops[i + 1].domain, u->domain) == 0;
        const char *item = rp_str(
            r, "%s%s%.200s %zu%s",
            first && strcmp(u->domain, "ai.onnx") != 0 ? rp_str(r, "%.100s: ", rp_name(r, u->domain)) : "",
            u->runnable ? "" : "!", rp_name(r, u->op), u->count, more ? "," : "");
        if (n && (first || n + 1 + strlen(item) > LINE)) {
            rp_row(r, "", "%s", line);
            n = 0;
        }
        n += (size_t)snprintf(line + n, sizeof line - n, "%s%s", n ? " " : "", item);
    }
    if (n)
        rp_row(r, "", "%s", line);
}

static void missing_ops(struct report *r, const struct ot_summary *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->nops; i++)
        n += !s->ops[i].runnable;
    if (n)
        rp_row(r, "", "%s",
               rp_verdict(r, false, rp_str(r, "! %zu of these operators cannot be run here", n)));
}

static void functions(struct report *r, const struct ot_summary *s)
{
    const char *key = "functions";
    for (size_t i = 0; i < s->nfunctions && i < LIST_MAX; i++)
        rp_row(r, once(&key), "%s.%s, %zu nodes", rp_name(r, s->functions[i].domain),
               rp_name(r, s->functions[i].name), s->functions[i].nodes);
    if (s->nfunctions > LIST_MAX)
        rp_row(r, "", "and %zu more", s->nfunctions - LIST_MAX);
}

static bool same_symbol(const struct ot_axis *a, const struct ot_axis *b)
{
    return strcmp(a->symbol, b->symbol) == 0 && strcmp(a->symbol, "?") != 0;
}

/* Inputs named at an axis; the others are counted. */
enum { PLACES = 3 };

/* Where a symbol stands at one axis, beginning with axis i: "axis 0 of input_ids, attention_mask and 26
 * more". */
static const char *places_at(struct report *r, const struct ot_summary *s, size_t i)
{
    const struct ot_axis *a = &s->axes[i];
    const char *text = rp_str(r, "axis %d of %s", a->axis, rp_name(r, a->input));
    size_t more = 0;
    for (size_t k = i + 1, n = 1; k < s->naxes; k++) {
        const struct ot_axis *b = &s->axes[k];
        if (!same_symbol(a, b) || a->axis != b->axis)
            continue;
        if (n++ < PLACES)
            text = rp_str(r, "%s, %s", text, rp_name(r, b->input));
        else
            more++;
    }
    return more ? rp_str(r, "%s and %zu more", text, more) : text;
}

static const char *places(struct report *r, const struct ot_summary *s, size_t first)
{
    const char *text = places_at(r, s, first);
    for (size_t i = first + 1; i < s->naxes; i++) {
        bool seen = !same_symbol(&s->axes[first], &s->axes[i]);
        for (size_t k = first; k < i && !seen; k++)
            seen = same_symbol(&s->axes[first], &s->axes[k]) && s->axes[k].axis == s->axes[i].axis;
        if (!seen)
            text = rp_str(r, "%s; %s", text, places_at(r, s, i));
    }
    return text;
}

static bool symbol_seen(const struct ot_summary *s, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (same_symbol(&s->axes[k], &s->axes[i]))
            return true;
    return false;
}

static void axes(struct report *r, const struct ot_summary *s)
{
    const char *key = "dynamic axes";
    size_t shown = 0;
    for (size_t i = 0; i < s->naxes && shown < LIST_MAX; i++) {
        const struct ot_axis *a = &s->axes[i];
        if (symbol_seen(s, i))
            continue;
        shown++;
        rp_row(r, once(&key), "%s: %s%s", rp_name(r, a->symbol), places(r, s, i),
               a->fixed ? rp_str(r, ", %s", rp_verdict(r, false, "but the graph fixes it")) : "");
        if (a->fixed)
            rp_row(r, "", "  %s", rp_name(r, a->fixed));
    }
    if (shown == LIST_MAX)
        rp_row(r, "", "and more (--json lists all)");
}

static void files(struct report *r, const struct ot_summary *s)
{
    const char *key = "external data";
    for (size_t i = 1; i < s->nfiles && i <= LIST_MAX; i++) {
        const struct ot_file *f = &s->files[i];
        rp_row(r, once(&key), "%s: %zu tensor%s, %s, %s", rp_name(r, f->location), f->tensors,
               f->tensors == 1 ? "" : "s", rp_bytes(r, f->bytes),
               f->problem ? rp_verdict(r, false, "missing or damaged") : rp_verdict(r, true, "there"));
    }
    if (s->nfiles > LIST_MAX + 1)
        rp_row(r, "", "and %zu more files", s->nfiles - LIST_MAX - 1);
}

static void limit_2gib(struct report *r, const struct ot_summary *s)
{
    const uint64_t limit = 1ull << 31;
    if (s->nfiles <= 1 && s->file_bytes > limit / 2)
        rp_row(r, "2 GiB limit", "%s",
               s->file_bytes >= limit ? "over it: most other tools cannot read the file"
                                      : rp_str(r, "%s left", rp_bytes(r, limit - s->file_bytes)));
}

static void warnings(struct report *r, const struct ot_summary *s)
{
    if (!s->nwarnings) {
        rp_row(r, "warnings", "%s", rp_verdict(r, true, "none"));
        return;
    }
    const char *key = "warnings";
    for (size_t i = 0; i < s->nwarnings; i++) {
        const struct ot_warning *w = &s->warnings[i];
        rp_row(r, once(&key), "%s: %s%s", rp_verdict(r, false, w->code), w->text,
               w->count > 1 ? rp_str(r, " (and %zu more)", w->count - 1) : "");
        rp_row(r, "", "  %s", w->advice);
    }
}

/* --check-values that finds nothing says so. */
static void checked_values(struct app *app, const struct ot_summary *s)
{
    const struct inspect_opts *o = app->opts;
    bool bad = false;
    for (size_t i = 0; i < s->nwarnings; i++)
        bad |= strcmp(s->warnings[i].code, "non-finite-weights") == 0;
    if (o->check_values && !bad)
        rp_row(app->report, "values", "%s", rp_verdict(app->report, true, "all weights are finite"));
}

void show_summary(struct app *app, const struct ot_summary *s, const ot_model *m, const char *path)
{
    struct report *r = app->report;
    head(r, s, path);
    metadata(r, s);
    values(r, m, "inputs", ot_model_input, ot_model_ninputs(m));
    values(r, m, "outputs", ot_model_output, ot_model_noutputs(m));
    weights(r, s);
    cost(r, s);
    operators(r, s);
    missing_ops(r, s);
    functions(r, s);
    axes(r, s);
    files(r, s);
    limit_2gib(r, s);
    rp_row(r, "fingerprint", "%.16s", s->fingerprint);
    checked_values(app, s);
    warnings(r, s);
}

/* ---- JSON ---- */

static void js_value(struct report *r, const struct ot_value_info *v)
{
    js_obj(r, NULL);
    js_str(r, "name", v->name);
    js_str(r, "type", v->type);
    if (v->rank >= 0) {
        js_str(r, "dtype", ot_dtype_name(v->dtype));
        js_arr(r, "dims");
        for (int k = 0; k < v->rank; k++) {
            if (v->dims[k] >= 0)
                js_int(r, NULL, v->dims[k]);
            else
                js_str(r, NULL, v->dim_names[k]);
        }
        js_end(r);
    }
    js_bool(r, "has_default", v->has_default);
    js_end(r);
}

static void js_weights(struct report *r, const char *key, const struct ot_weights *w)
{
    js_obj(r, key);
    if (w->dtype)
        js_str(r, "dtype", w->dtype);
    js_uint(r, "tensors", w->tensors);
    js_int(r, "parameters", w->params);
    js_uint(r, "size_bytes", w->bytes);
    js_end(r);
}

static void js_head(struct report *r, const struct ot_summary *s)
{
    js_uint(r, "file_size_bytes", s->file_bytes);
    js_int(r, "ir_version", s->ir_version);
    js_str(r, "producer", s->producer);
    js_str(r, "producer_version", s->producer_version);
    js_str(r, "domain", s->domain);
    if (s->has_version)
        js_int(r, "model_version", s->version);
    js_str(r, "graph", s->graph);
    js_str(r, "doc", s->doc);
    js_arr(r, "opset_imports");
    for (size_t i = 0; i < s->nimports; i++) {
        js_obj(r, NULL);
        js_str(r, "domain", s->imports[i].domain);
        js_int(r, "version", s->imports[i].version);
        js_bool(r, "known", s->imports[i].newest > 0);
        js_end(r);
    }
    js_end(r);
    js_arr(r, "metadata");
    for (size_t i = 0; i < s->nmetadata; i++) {
        js_obj(r, NULL);
        js_str(r, "key", s->metadata[i].key);
        js_str(r, "value", s->metadata[i].value);
        js_end(r);
    }
    js_end(r);
}

static void js_cost(struct report *r, const struct ot_summary *s)
{
    js_obj(r, "cost");
    js_str(r, "sizes", s->sizes);
    js_int(r, "macs", s->macs);
    js_uint(r, "flops", 2 * (uint64_t)s->macs);
    js_int(r, "other_operations", s->other_ops);
    js_str(r, "macs_expression", s->macs_text);
    js_uint(r, "nodes_unknown", s->cost_unknown);
    js_bool(r, "loops_counted_once", s->has_loop);
    if (s->activations >= 0) {
        js_int(r, "activations_bytes", s->activations);
        js_int(r, "activations_peak_bytes", s->activations_peak);
        js_str(r, "activations_peak_at", s->peak_at);
    }
    js_end(r);
}

static void js_ops(struct report *r, const struct ot_summary *s)
{
    js_uint(r, "nodes", s->nodes);
    js_uint(r, "subgraphs", s->subgraphs);
    js_int(r, "subgraph_depth", s->depth);
    js_arr(r, "operators");
    for (size_t i = 0; i < s->nops; i++) {
        js_obj(r, NULL);
        js_str(r, "domain", s->ops[i].domain);
        js_str(r, "operator", s->ops[i].op);
        if (s->ops[i].since)
            js_int(r, "since", s->ops[i].since);
        js_uint(r, "count", s->ops[i].count);
        js_bool(r, "runs", s->ops[i].runnable);
        js_bool(r, "function", s->ops[i].function);
        js_end(r);
    }
    js_end(r);
    js_arr(r, "functions");
    for (size_t i = 0; i < s->nfunctions; i++) {
        js_obj(r, NULL);
        js_str(r, "domain", s->functions[i].domain);
        js_str(r, "name", s->functions[i].name);
        js_str(r, "overload", s->functions[i].overload);
        js_uint(r, "nodes", s->functions[i].nodes);
        js_end(r);
    }
    js_end(r);
}

static void js_trouble(struct report *r, const struct ot_summary *s)
{
    js_arr(r, "dynamic_axes");
    for (size_t i = 0; i < s->naxes; i++) {
        js_obj(r, NULL);
        js_str(r, "input", s->axes[i].input);
        js_int(r, "axis", s->axes[i].axis);
        js_str(r, "symbol", s->axes[i].symbol);
        js_str(r, "fixed_by", s->axes[i].fixed);
        js_end(r);
    }
    js_end(r);
    js_arr(r, "external_files");
    for (size_t i = 1; i < s->nfiles; i++) {
        js_obj(r, NULL);
        js_str(r, "location", s->files[i].location);
        js_str(r, "path", s->files[i].path);
        js_uint(r, "tensors", s->files[i].tensors);
        js_uint(r, "used_bytes", s->files[i].bytes);
        js_str(r, "problem", s->files[i].problem);
        js_end(r);
    }
    js_end(r);
    js_str(r, "fingerprint", s->fingerprint);
    js_arr(r, "warnings");
    for (size_t i = 0; i < s->nwarnings; i++) {
        js_obj(r, NULL);
        js_str(r, "code", s->warnings[i].code);
        js_str(r, "text", s->warnings[i].text);
        js_str(r, "advice", s->warnings[i].advice);
        js_uint(r, "count", s->warnings[i].count);
        js_end(r);
    }
    js_end(r);
}

void json_summary(struct report *r, const struct ot_summary *s, const ot_model *m)
{
    js_head(r, s);
    js_arr(r, "inputs");
    for (size_t i = 0; i < ot_model_ninputs(m); i++)
        js_value(r, ot_model_input(m, i));
    js_end(r);
    js_arr(r, "outputs");
    for (size_t i = 0; i < ot_model_noutputs(m); i++)
        js_value(r, ot_model_output(m, i));
    js_end(r);
    js_weights(r, "weights", &s->all_weights);
    js_arr(r, "weights_by_type");
    for (size_t i = 0; i < s->nweights; i++)
        js_weights(r, NULL, &s->weights[i]);
    js_end(r);
    js_uint(r, "weights_sharing_bytes", s->shared);
    js_weights(r, "constant_nodes", &s->constants);
    js_cost(r, s);
    js_ops(r, s);
    js_trouble(r, s);
}

/* ---- a row a model ---- */

struct table *summary_table(struct report *r)
{
    static const char *const heads[] = {
        "model", "opset", "nodes", "parameters", "weight bytes", "MACs", "peak activation bytes", "warnings"};
    return table_new(r, "lrrrrrrr", heads);
}

void row_summary(struct table *t, const struct ot_summary *s, const char *path)
{
    int64_t opset = 0;
    for (size_t i = 0; i < s->nimports; i++)
        if (strcmp(s->imports[i].domain, "ai.onnx") == 0)
            opset = s->imports[i].version;
    bool constants = many_constants(s);
    table_cell(t, "%s", path);
    if (opset)
        table_int(t, opset);
    else
        table_cell(t, "-");
    table_int(t, (int64_t)s->nodes);
    table_int(t, s->all_weights.params + (constants ? s->constants.params : 0));
    table_int(t, (int64_t)(s->all_weights.bytes + (constants ? s->constants.bytes : 0)));
    table_cell(t, "%s%lld", s->cost_unknown ? ">=" : "", (long long)s->macs);
    if (s->activations_peak < 0)
        table_cell(t, "%s", "?");
    else
        table_int(t, s->activations_peak);
    table_int(t, (int64_t)s->nwarnings);
}
