/* Tree ensembles of ai.onnx.ml: classifier, regressor, and TreeEnsemble, which replaced both.
 *
 * Whatever way the file spells the trees, parse flattens them once: nodes in depth-first order, so that the
 * true branch is the next node in memory, leaves point into one array of (target, weight) pairs:
 *
 *     nodes   [root0 | yes | yes.yes (leaf) | yes.no | ... | root1 | ...]
 *     weights [(t, w) of leaf 0 | of leaf 1 | ...]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/tensor_pb.h"
#include "ops/ml_util.h"
#include "ops/op_util.h"

/* The order of TreeEnsemble's mode numbers; LEAF is ours there. */
enum tree_mode { TM_LEQ, TM_LT, TM_GTE, TM_GT, TM_EQ, TM_NEQ, TM_MEMBER, TM_LEAF };
enum tree_agg { AGG_AVERAGE, AGG_SUM, AGG_MIN, AGG_MAX }; /* numbers of TreeEnsemble */

struct tree_node {
    double value;
    int32_t feature;
    int32_t yes, no; /* nodes; a leaf: first weight and how many; TM_MEMBER keeps its set by `set` */
    int32_t set, nset;
    uint8_t mode, missing_yes;
};

struct tree_weight {
    int32_t target;
    double w;
};

struct tree_params {
    struct tree_node *nodes;
    struct tree_weight *weights;
    double *members;
    int32_t *roots;
    size_t nnodes, nweights, nroots;
    int64_t ntargets, nfeatures; /* nfeatures: one more than the largest feature that a node reads */
    double *base;
    size_t nbase;
    enum tree_agg agg;
    enum ml_post post;
    enum dtype out_dt; /* DT_UNDEFINED: float */
    /* Classifier. */
    bool classifier, one_class, all_positive;
    struct ml_labels labels;
};

/* ---- the spelled-out form, before flattening ---- */

struct raw_node {
    struct tree_node n;
    int64_t tree, id, yes_id, no_id;
    bool is_child;
    int32_t first, count; /* weights of a leaf */
    int32_t placed;       /* index after flattening, -1 */
};

struct raw_trees {
    struct raw_node *nodes;
    size_t n;
    struct raw_node **by_id; /* sorted by (tree, id) */
};

static int cmp_node(const void *a, const void *b)
{
    const struct raw_node *x = *(struct raw_node *const *)a, *y = *(struct raw_node *const *)b;
    if (x->tree != y->tree)
        return x->tree < y->tree ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static struct raw_node *find_node(const struct raw_trees *t, int64_t tree, int64_t id)
{
    size_t lo = 0, hi = t->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        struct raw_node *m = t->by_id[mid];
        if (m->tree == tree && m->id == id)
            return m;
        if (m->tree < tree || (m->tree == tree && m->id < id))
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* Numbers that come as floats or, since version 3, as a tensor of doubles. */
static int real_list(struct cx *cx, const struct node *n, struct arena *arena, const char *name, double **out,
                     size_t *count)
{
    char tensor_name[64];
    const float *f = NULL;
    struct tensor_data *d = NULL;
    snprintf(tensor_name, sizeof(tensor_name), "%s_as_tensor", name);
    *count = 0;
    int rc = attr_tensor(cx, n, tensor_name, &d);
    if (rc > 0)
        return ml_tensor_reals(cx, n, arena, d, out, count);
    if (rc == 0)
        rc = attr_floats(cx, n, name, &f, count);
    if (rc < 0)
        return rc;
    *out = arena_array(arena, *count + 1, sizeof(**out));
    if (!*out)
        return err_nomem(cx);
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = (double)f[i];
    return 0;
}

/* An int list that must have n elements (0 is fine when optional). */
static int int_list(struct cx *cx, const struct node *n, const char *name, size_t want, bool optional,
                    const int64_t **out)
{
    size_t count = 0;
    *out = NULL;
    int rc = attr_ints(cx, n, name, out, &count);
    if (rc < 0)
        return rc;
    if (count != want && !(optional && !count))
        return err_set(cx, E_ATTR, "attribute '%s' has %zu elements, expected %zu", name, count, want);
    if (!count)
        *out = NULL;
    return 0;
}

static int mode_of(struct cx *cx, const struct ostr *s, uint8_t *mode)
{
    static const char *const names[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE",    "BRANCH_GT",
                                        "BRANCH_EQ",  "BRANCH_NEQ", "BRANCH_MEMBER", "LEAF"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (i != TM_MEMBER && strlen(names[i]) == s->n && !memcmp(names[i], s->p, s->n)) {
            *mode = (uint8_t)i;
            return 0;
        }
    return err_set(cx, E_ATTR, "node mode '%.*s' is not known", (int)(s->n < 40 ? s->n : 40),
                   s->n ? s->p : "");
}

static int set_feature(struct cx *cx, struct tree_node *n, int64_t feature)
{
    if (n->mode == TM_LEAF)
        return 0;
    if (feature < 0 || feature > INT32_MAX - 1)
        return err_set(cx, E_VALUE, "feature %lld is out of range", (long long)feature);
    n->feature = (int32_t)feature;
    return 0;
}

/* Nodes from the nodes_* lists of the classifier and regressor. */
static int read_nodes(struct cx *cx, const struct node *n, struct arena *arena, struct raw_trees *t)
{
    const int64_t *tree, *id, *feature, *yes, *no, *missing;
    const struct ostr *modes = NULL;
    double *values = NULL;
    size_t count = 0, nvalues = 0;
    int rc = attr_strings(cx, n, "nodes_modes", &modes, &count);
    if (rc >= 0)
        rc = int_list(cx, n, "nodes_treeids", count, false, &tree);
    if (!rc)
        rc = int_list(cx, n, "nodes_nodeids", count, false, &id);
    if (!rc)
        rc = int_list(cx, n, "nodes_featureids", count, false, &feature);
    if (!rc)
        rc = int_list(cx, n, "nodes_truenodeids", count, false, &yes);
    if (!rc)
        rc = int_list(cx, n, "nodes_falsenodeids", count, false, &no);
    if (!rc)
        rc = int_list(cx, n, "nodes_missing_value_tracks_true", count, true, &missing);
    if (!rc)
        rc = real_list(cx, n, arena, "nodes_values", &values, &nvalues);
    if (rc)
        return rc;
    if (nvalues != count || count > INT32_MAX / 4)
        return err_set(cx, E_ATTR, "%zu node values are given for %zu nodes", nvalues, count);
    t->n = count;
    t->nodes = arena_array(&cx->scratch, count + 1, sizeof(*t->nodes));
    if (!t->nodes)
        return err_nomem(cx);
    for (size_t i = 0; !rc && i < count; i++) {
        struct raw_node *r = &t->nodes[i];
        r->tree = tree[i];
        r->id = id[i];
        r->yes_id = yes[i];
        r->no_id = no[i];
        r->n.value = values[i];
        r->n.missing_yes = missing && missing[i];
        rc = mode_of(cx, &modes[i], &r->n.mode);
        if (!rc)
            rc = set_feature(cx, &r->n, feature[i]);
    }
    return rc;
}

static int sort_nodes(struct cx *cx, struct raw_trees *t)
{
    t->by_id = arena_array(&cx->scratch, t->n + 1, sizeof(struct raw_node *));
    if (!t->by_id)
        return err_nomem(cx);
    for (size_t i = 0; i < t->n; i++) {
        t->by_id[i] = &t->nodes[i];
        t->nodes[i].placed = -1;
    }
    qsort(t->by_id, t->n, sizeof(struct raw_node *), cmp_node);
    for (size_t i = 1; i < t->n; i++)
        if (!cmp_node(&t->by_id[i - 1], &t->by_id[i]))
            return err_set(cx, E_ATTR, "node %lld of tree %lld is listed twice", (long long)t->by_id[i]->id,
                           (long long)t->by_id[i]->tree);
    return 0;
}

struct raw_weight {
    struct raw_node *leaf;
    size_t order;
    struct tree_weight w;
};

static int cmp_weight(const void *a, const void *b)
{
    const struct raw_weight *x = a, *y = b;
    if (x->leaf != y->leaf)
        return x->leaf < y->leaf ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* Weights from the lists PREFIX_treeids, _nodeids, _ids, _weights; grouped by leaf. */
static int read_weights(struct cx *cx, const struct node *n, struct arena *arena, const char *prefix,
                        struct raw_trees *t, struct tree_params *p)
{
    char name[64];
    const int64_t *tree, *node, *target;
    double *w = NULL;
    size_t count = 0;
    snprintf(name, sizeof(name), "%s_weights", prefix);
    int rc = real_list(cx, n, arena, name, &w, &count);
    snprintf(name, sizeof(name), "%s_treeids", prefix);
    if (!rc)
        rc = int_list(cx, n, name, count, false, &tree);
    snprintf(name, sizeof(name), "%s_nodeids", prefix);
    if (!rc)
        rc = int_list(cx, n, name, count, false, &node);
    snprintf(name, sizeof(name), "%s_ids", prefix);
    if (!rc)
        rc = int_list(cx, n, name, count, false, &target);
    if (rc)
        return rc;
    struct raw_weight *raw = arena_array(&cx->scratch, count + 1, sizeof(*raw));
    p->weights = arena_array(arena, count + 1, sizeof(*p->weights));
    if (!raw || !p->weights || count > INT32_MAX)
        return err_nomem(cx);
    for (size_t i = 0; i < count; i++) {
        raw[i].leaf = find_node(t, tree[i], node[i]);
        raw[i].order = i;
        raw[i].w = (struct tree_weight){(int32_t)target[i], w[i]};
        if (!raw[i].leaf)
            return err_set(cx, E_ATTR, "a weight belongs to node %lld of tree %lld, which is not there",
                           (long long)node[i], (long long)tree[i]);
        if (target[i] < 0 || target[i] >= p->ntargets)
            return err_set(cx, E_ATTR, "a weight is for target %lld, there are %lld", (long long)target[i],
                           (long long)p->ntargets);
    }
    qsort(raw, count, sizeof(*raw), cmp_weight);
    for (size_t i = 0; i < count; i++) {
        p->weights[i] = raw[i].w;
        if (!raw[i].leaf->count++)
            raw[i].leaf->first = (int32_t)i;
    }
    p->nweights = count;
    return 0;
}

/* ---- flattening ---- */

static int place(struct cx *cx, struct tree_params *p, struct raw_node *r)
{
    if (r->placed >= 0 && r->n.mode != TM_LEAF) /* leaves may be shared: they are copied */
        return err_set(cx, E_ATTR, "node %lld of tree %lld is reached twice: the trees are none",
                       (long long)r->id, (long long)r->tree);
    r->placed = (int32_t)p->nnodes++;
    p->nodes[r->placed] = r->n;
    if (r->n.mode == TM_LEAF) {
        p->nodes[r->placed].yes = r->first;
        p->nodes[r->placed].no = r->count;
    } else if (r->n.feature >= p->nfeatures) {
        p->nfeatures = (int64_t)r->n.feature + 1;
    }
    return 0;
}

/* Depth first from root, with a stack of nodes whose `no` side is still to come. */
static int flatten_tree(struct cx *cx, struct tree_params *p, const struct raw_trees *t,
                        struct raw_node *root, struct raw_node **stack)
{
    size_t depth = 0;
    struct raw_node *r = root;
    p->roots[p->nroots++] = (int32_t)p->nnodes;
    for (;;) {
        int rc = place(cx, p, r);
        if (rc)
            return rc;
        struct raw_node *next = NULL;
        if (r->n.mode != TM_LEAF) {
            stack[depth++] = r;
            next = find_node(t, r->tree, r->yes_id);
            p->nodes[r->placed].yes = (int32_t)p->nnodes;
        } else if (depth) {
            r = stack[--depth];
            next = find_node(t, r->tree, r->no_id);
            p->nodes[r->placed].no = (int32_t)p->nnodes;
        } else {
            return 0;
        }
        if (!next)
            return err_set(cx, E_ATTR, "node %lld of tree %lld has a child that is not there",
                           (long long)r->id, (long long)r->tree);
        r = next;
    }
}

/* Roots are the nodes that no node of their tree refers to. */
static void mark_children(const struct raw_trees *t)
{
    for (size_t i = 0; i < t->n; i++) {
        struct raw_node *r = &t->nodes[i];
        struct raw_node *yes = r->n.mode == TM_LEAF ? NULL : find_node(t, r->tree, r->yes_id);
        struct raw_node *no = r->n.mode == TM_LEAF ? NULL : find_node(t, r->tree, r->no_id);
        if (yes)
            yes->is_child = true;
        if (no)
            no->is_child = true;
    }
}

static int flatten(struct cx *cx, struct arena *arena, struct tree_params *p, const struct raw_trees *t)
{
    struct raw_node **stack = arena_array(&cx->scratch, t->n + 1, sizeof(*stack));
    p->nodes = arena_array(arena, 3 * t->n + 1, sizeof(*p->nodes)); /* a node has at most two leaves */
    p->roots = arena_array(arena, t->n + 1, sizeof(*p->roots));
    if (!stack || !p->nodes || !p->roots)
        return err_nomem(cx);
    mark_children(t);
    for (size_t i = 0; i < t->n; i++) {
        int rc = t->nodes[i].is_child ? 0 : flatten_tree(cx, p, t, &t->nodes[i], stack);
        if (rc)
            return rc;
    }
    if (t->n && !p->nroots)
        return err_set(cx, E_ATTR, "no tree has a root: every node is a child");
    return 0;
}

/* ---- parse ---- */

static int read_base(struct cx *cx, const struct node *n, struct arena *arena, struct tree_params *p)
{
    int rc = real_list(cx, n, arena, "base_values", &p->base, &p->nbase);
    if (rc)
        return rc;
    if (p->nbase > 0 && (int64_t)p->nbase != p->ntargets && !(p->classifier && p->nbase == 1))
        return err_set(cx, E_ATTR, "attribute 'base_values' has %zu elements for %lld targets", p->nbase,
                       (long long)p->ntargets);
    return 0;
}

static int tree_lists(struct cx *cx, const struct node *n, struct arena *arena, const char *prefix,
                      struct tree_params *p)
{
    struct arena_mark mark = arena_mark(&cx->scratch);
    struct raw_trees t = {0};
    int rc = read_nodes(cx, n, arena, &t);
    if (!rc)
        rc = sort_nodes(cx, &t);
    if (!rc)
        rc = read_weights(cx, n, arena, prefix, &t, p);
    if (!rc)
        rc = flatten(cx, arena, p, &t);
    arena_release(&cx->scratch, mark);
    return rc;
}

static int classifier_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                            void *params)
{
    struct tree_params *p = params;
    (void)version;
    p->classifier = true;
    p->agg = AGG_SUM;
    int rc = ml_labels(cx, n, "classlabels_strings", "classlabels_int64s", &p->labels);
    if (rc)
        return rc;
    p->ntargets = (int64_t)p->labels.n;
    rc = ml_post(cx, n, &p->post);
    if (!rc)
        rc = tree_lists(cx, n, arena, "class", p);
    if (!rc)
        rc = read_base(cx, n, arena, p);
    /* Two classes and weights for one of them: one score says it all. */
    p->one_class = p->ntargets == 2;
    p->all_positive = true;
    for (size_t i = 0; i < p->nweights; i++) {
        p->one_class &= p->weights[i].target == p->weights[0].target;
        p->all_positive &= p->weights[i].w >= 0;
    }
    return rc;
}

static int regressor_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                           void *params)
{
    static const char *const aggs[] = {"AVERAGE", "SUM", "MIN", "MAX", NULL};
    struct tree_params *p = params;
    int agg = AGG_SUM;
    (void)version;
    p->ntargets = 1;
    int rc = attr_int(cx, n, "n_targets", &p->ntargets);
    if (rc >= 0 && (p->ntargets < 1 || p->ntargets > INT32_MAX))
        return err_set(cx, E_ATTR, "attribute 'n_targets' is %lld", (long long)p->ntargets);
    if (rc >= 0)
        rc = attr_choice(cx, n, "aggregate_function", aggs, &agg);
    p->agg = (enum tree_agg)agg;
    if (rc >= 0)
        rc = ml_post(cx, n, &p->post);
    if (!rc)
        rc = tree_lists(cx, n, arena, "target", p);
    return rc ? rc : read_base(cx, n, arena, p);
}

/* TreeEnsemble says leaves apart from nodes, and roots by index. */
struct split_lists {
    const int64_t *feature, *yes, *no, *yes_leaf, *no_leaf, *missing, *targets, *roots;
    double *values, *weights, *modes, *members;
    size_t n, nleaves, nroots, nmembers;
};

static int tensor_reals(struct cx *cx, const struct node *n, struct arena *a, const char *name, double **out,
                        size_t *count)
{
    struct tensor_data *d = NULL;
    *out = NULL;
    *count = 0;
    int rc = attr_tensor(cx, n, name, &d);
    return rc <= 0 ? rc : ml_tensor_reals(cx, n, a, d, out, count);
}

static int read_split_lists(struct cx *cx, const struct node *n, struct arena *a, struct split_lists *l)
{
    size_t nvalues = 0, nmodes = 0;
    int rc = attr_ints(cx, n, "nodes_featureids", &l->feature, &l->n);
    if (rc >= 0)
        rc = int_list(cx, n, "nodes_truenodeids", l->n, false, &l->yes);
    if (!rc)
        rc = int_list(cx, n, "nodes_falsenodeids", l->n, false, &l->no);
    if (!rc)
        rc = int_list(cx, n, "nodes_trueleafs", l->n, false, &l->yes_leaf);
    if (!rc)
        rc = int_list(cx, n, "nodes_falseleafs", l->n, false, &l->no_leaf);
    if (!rc)
        rc = int_list(cx, n, "nodes_missing_value_tracks_true", l->n, true, &l->missing);
    if (!rc)
        rc = tensor_reals(cx, n, a, "nodes_splits", &l->values, &nvalues);
    if (!rc)
        rc = tensor_reals(cx, n, a, "nodes_modes", &l->modes, &nmodes);
    if (!rc)
        rc = tensor_reals(cx, n, a, "membership_values", &l->members, &l->nmembers);
    if (!rc)
        rc = tensor_reals(cx, n, a, "leaf_weights", &l->weights, &l->nleaves);
    if (!rc)
        rc = int_list(cx, n, "leaf_targetids", l->nleaves, false, &l->targets);
    if (!rc)
        rc = attr_ints(cx, n, "tree_roots", &l->roots, &l->nroots);
    if (rc < 0)
        return rc;
    if (nvalues != l->n || nmodes != l->n || l->n > INT32_MAX / 8 || l->nleaves > INT32_MAX / 8)
        return err_set(cx, E_ATTR, "%zu splits and %zu modes are given for %zu nodes", nvalues, nmodes, l->n);
    return 0;
}

/* Inner nodes get ids from 0 up, leaf k gets the id -1 - k; all in one tree (id 0), roots kept apart. */
static int split_nodes(struct cx *cx, const struct split_lists *l, struct raw_trees *t, struct tree_params *p)
{
    size_t member = 0;
    t->n = l->n + l->nleaves;
    t->nodes = arena_array(&cx->scratch, t->n + 1, sizeof(*t->nodes));
    if (!t->nodes)
        return err_nomem(cx);
    for (size_t i = 0; i < l->n; i++) {
        struct raw_node *r = &t->nodes[i];
        if (!(l->modes[i] >= 0 && l->modes[i] <= TM_MEMBER))
            return err_set(cx, E_ATTR, "node mode %g is not known", l->modes[i]);
        r->id = (int64_t)i;
        r->n.mode = (uint8_t)l->modes[i];
        r->n.value = l->values[i];
        r->n.missing_yes = l->missing && l->missing[i];
        r->yes_id = l->yes_leaf[i] ? -1 - l->yes[i] : l->yes[i];
        r->no_id = l->no_leaf[i] ? -1 - l->no[i] : l->no[i];
        int rc = set_feature(cx, &r->n, l->feature[i]);
        if (rc)
            return rc;
        if (r->n.mode != TM_MEMBER)
            continue;
        /* Sets stand one behind the other, each ended by a NaN. */
        r->n.set = (int32_t)member;
        while (member < l->nmembers && !isnan(l->members[member]))
            member++;
        r->n.nset = (int32_t)member - r->n.set;
        member += member < l->nmembers;
    }
    for (size_t k = 0; k < l->nleaves; k++) {
        struct raw_node *r = &t->nodes[l->n + k];
        r->id = -1 - (int64_t)k;
        r->n.mode = TM_LEAF;
        r->first = (int32_t)k;
        r->count = 1;
        if (l->targets[k] < 0 || l->targets[k] >= p->ntargets)
            return err_set(cx, E_ATTR, "a leaf is for target %lld, there are %lld", (long long)l->targets[k],
                           (long long)p->ntargets);
        p->weights[k] = (struct tree_weight){(int32_t)l->targets[k], l->weights[k]};
    }
    return 0;
}

static int split_flatten(struct cx *cx, struct arena *arena, const struct split_lists *l,
                         struct tree_params *p)
{
    struct raw_trees t = {0};
    p->weights = arena_array(arena, l->nleaves + 1, sizeof(*p->weights));
    if (!p->weights)
        return err_nomem(cx);
    int rc = split_nodes(cx, l, &t, p);
    if (!rc)
        rc = sort_nodes(cx, &t);
    struct raw_node **stack = arena_array(&cx->scratch, t.n + 1, sizeof(*stack));
    p->nodes = arena_array(arena, 3 * t.n + l->nroots + 1, sizeof(*p->nodes));
    p->roots = arena_array(arena, l->nroots + 1, sizeof(*p->roots));
    if (!rc && (!stack || !p->nodes || !p->roots))
        rc = err_nomem(cx);
    for (size_t i = 0; !rc && i < l->nroots; i++) {
        struct raw_node *root = find_node(&t, 0, l->roots[i]);
        /* A node whose two sides are one leaf stands for a tree of that leaf alone. */
        if (root && root->n.mode != TM_LEAF && root->yes_id == root->no_id && root->yes_id < 0)
            root = find_node(&t, 0, root->yes_id);
        rc = root ? flatten_tree(cx, p, &t, root, stack)
                  : err_set(cx, E_ATTR, "tree root %lld is not there", (long long)l->roots[i]);
    }
    return rc;
}

static int ensemble_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct tree_params *p = params;
    struct split_lists l = {0};
    struct tensor_data *d = NULL;
    int64_t agg = AGG_SUM, post = ML_NONE;
    (void)version;
    p->ntargets = 1;
    int rc = attr_int(cx, n, "n_targets", &p->ntargets);
    if (rc >= 0)
        rc = attr_int(cx, n, "aggregate_function", &agg);
    if (rc >= 0)
        rc = attr_int(cx, n, "post_transform", &post);
    if (rc >= 0)
        rc = attr_tensor(cx, n, "leaf_weights", &d);
    if (rc < 0)
        return rc;
    if (p->ntargets < 1 || p->ntargets > INT32_MAX || agg < 0 || agg > AGG_MAX || post < 0 ||
        post > ML_PROBIT)
        return err_set(cx, E_ATTR, "n_targets %lld, aggregate_function %lld or post_transform %lld",
                       (long long)p->ntargets, (long long)agg, (long long)post);
    p->agg = (enum tree_agg)agg;
    p->post = (enum ml_post)post;
    p->out_dt = d ? d->dt : DT_FLOAT;
    struct arena_mark mark = arena_mark(&cx->scratch);
    rc = read_split_lists(cx, n, arena, &l);
    p->members = l.members;
    p->nweights = l.nleaves;
    if (!rc)
        rc = split_flatten(cx, arena, &l, p);
    arena_release(&cx->scratch, mark);
    return rc;
}

/* ---- inference ---- */

static struct dim batch_dim(struct infer_ctx *ic)
{
    int rank = ic_rank(ic, 0);
    return rank == 2 ? ic_dim(ic, 0, 0) : rank == 1 ? dim_const(1) : dim_unknown();
}

static int tree_infer(struct infer_ctx *ic, const void *params)
{
    const struct tree_params *p = params;
    int rc = need_inputs(ic, 1);
    if (!rc)
        rc = ic_need_rank(ic, 0, 1, 2);
    if (rc)
        return rc;
    struct dim width = ic_rank(ic, 0) > 0 ? ic_dim(ic, 0, ic_rank(ic, 0) - 1) : dim_unknown();
    if (width.kind == DIM_CONST && width.v < p->nfeatures)
        return ic_err(ic, E_SHAPE, "the input has %lld features, the trees read %lld", (long long)width.v,
                      (long long)p->nfeatures);
    struct dim out[2] = {batch_dim(ic), dim_const(p->ntargets)};
    enum dtype dt = p->out_dt == DT_DOUBLE || p->out_dt == DT_FLOAT16 ? p->out_dt : DT_FLOAT;
    if (!p->classifier)
        return ic_out(ic, 0, dt, 2, out);
    rc = ic_has_out(ic, 0) ? ic_out(ic, 0, p->labels.dt, 1, out) : 0;
    return rc || !ic_has_out(ic, 1) ? rc : ic_out(ic, 1, DT_FLOAT, 2, out);
}

/* The newest of them takes rows only, no lone one. */
static int ensemble_infer(struct infer_ctx *ic, const void *params)
{
    int rc = ic_need_rank(ic, 0, 2, 2);
    return rc ? rc : tree_infer(ic, params);
}

/* ---- walking ---- */

struct tree_job {
    const struct tree_params *p;
    const float *x32; /* one of them */
    const double *x64;
    int64_t width;
    struct tensor *label, *scores;
    double *room; /* ntargets a thread, and as many flags */
    struct exec_ctx *ec;
};

static bool in_set(const struct tree_params *p, const struct tree_node *n, double x)
{
    for (int32_t i = 0; i < n->nset; i++)
        if (p->members[n->set + i] == x)
            return true;
    return false;
}

static bool goes_yes(const struct tree_params *p, const struct tree_node *n, double x)
{
    if (n->missing_yes && isnan(x))
        return true;
    switch ((enum tree_mode)n->mode) {
    case TM_LEQ:
        return x <= n->value;
    case TM_LT:
        return x < n->value;
    case TM_GTE:
        return x >= n->value;
    case TM_GT:
        return x > n->value;
    case TM_EQ:
        return x == n->value;
    case TM_NEQ:
        return x != n->value;
    case TM_MEMBER:
        return in_set(p, n, x);
    case TM_LEAF:
        break;
    }
    return false;
}

static const struct tree_node *walk(const struct tree_job *j, int32_t root, int64_t row)
{
    const struct tree_params *p = j->p;
    const struct tree_node *n = &p->nodes[root];
    const float *x32 = j->x32 ? j->x32 + row * j->width : NULL;
    const double *x64 = j->x64 ? j->x64 + row * j->width : NULL;
    while (n->mode != TM_LEAF) {
        double x = x32 ? (double)x32[n->feature] : x64[n->feature];
        bool yes = n->mode == TM_LEQ && !n->missing_yes ? x <= n->value : goes_yes(p, n, x);
        n = &p->nodes[yes ? n->yes : n->no];
    }
    return n;
}

static void aggregate(const struct tree_params *p, const struct tree_node *leaf, double *score, double *seen)
{
    for (int32_t i = 0; i < leaf->no; i++) {
        const struct tree_weight *w = &p->weights[leaf->yes + i];
        double *s = &score[w->target];
        if (p->agg == AGG_MIN)
            *s = seen[w->target] != 0 && *s < w->w ? *s : w->w;
        else if (p->agg == AGG_MAX)
            *s = seen[w->target] != 0 && *s > w->w ? *s : w->w;
        else
            *s += w->w;
        seen[w->target] = 1;
    }
}

static void score_row(const struct tree_job *j, int64_t row, double *score, double *seen)
{
    const struct tree_params *p = j->p;
    size_t n = (size_t)p->ntargets;
    memset(score, 0, n * sizeof(*score));
    memset(seen, 0, n * sizeof(*seen));
    for (size_t t = 0; t < p->nroots; t++)
        aggregate(p, walk(j, p->roots[t], row), score, seen);
    for (size_t i = 0; i < n; i++) {
        if (p->agg == AGG_AVERAGE && p->nroots)
            score[i] /= (double)p->nroots;
        if (p->nbase == n) {
            score[i] += p->base[i];
            seen[i] = 1;
        }
    }
}

/* Scores of the two classes from the one that has weights; returns the winner. When that is class 0 it stands
 * for both, as converters of boosted trees write it; else class 0 has the score 0.
 *
 * Where ONNX Runtime does otherwise for two classes the specification decides. Base values are added to the
 * scores of their classes; it takes them in place of the trees' sums when there are two and the second class
 * alone has weights, and leaves a single one out then. The label is that of the top class; with weights for
 * both classes it says 1 (not a label that the model names) whenever the second score is positive. A model of
 * one class has that class's label; it says 1 or 0. */
static size_t finish_pair(const struct tree_params *p, double *score)
{
    int32_t only = p->nweights ? p->weights[0].target : 1;
    double s = score[only] + (p->nbase == 1 ? p->base[0] : 0);
    if (only == 1) {
        score[1] = s;
        ml_transform(p->post, score, 2);
        return s > (p->all_positive ? 0.5 : 0.0);
    }
    if (p->post == ML_PROBIT) {
        score[0] = score[1] = ml_probit(s);
    } else if (p->post == ML_LOGISTIC) {
        score[0] = ml_logistic(-s);
        score[1] = ml_logistic(s);
    } else {
        score[0] = p->all_positive ? 1 - s : -s;
        score[1] = s;
    }
    return s > (p->all_positive ? 0.5 : 0.0);
}

static size_t best_class(const struct tree_params *p, const double *score, const double *seen)
{
    size_t best = 0;
    bool any = false;
    for (size_t i = 0; i < (size_t)p->ntargets; i++)
        if (seen[i] != 0 && (!any || score[i] > score[best])) {
            best = i;
            any = true;
        }
    return best;
}

static void tree_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct tree_job *j = arg;
    const struct tree_params *p = j->p;
    size_t n = (size_t)p->ntargets;
    double *score = j->room + 2 * n * (size_t)thread, *seen = score + n;
    for (int64_t row = begin; row < end; row++) {
        size_t win = 0;
        score_row(j, row, score, seen);
        if (p->classifier && p->one_class) {
            win = finish_pair(p, score);
        } else {
            win = p->classifier ? best_class(p, score, seen) : 0;
            ml_transform(p->post, score, n);
        }
        if (j->label)
            ml_put_label(&p->labels, j->label, row, win);
        if (j->scores)
            ml_put_row(j->scores, row, score, n);
    }
}

static int tree_ref(struct exec_ctx *ec, const void *params)
{
    const struct tree_params *p = params;
    const struct tensor *in = ec->in[0];
    int64_t rows = in->rank == 2 ? in->dims[0] : 1;
    struct tree_job j = {.p = p, .width = in->rank ? in->dims[in->rank - 1] : 0, .ec = ec};
    if (j.width < p->nfeatures)
        return err_set(ec->cx, E_SHAPE, "the input has %lld features, the trees read %lld",
                       (long long)j.width, (long long)p->nfeatures);
    if (!rows)
        return 0;
    if (in->dt == DT_FLOAT)
        j.x32 = in->data;
    else
        j.x64 = ec_as(ec, 0, DT_DOUBLE);
    size_t threads = ec->pool ? (size_t)pool_size(ec->pool) : 1;
    j.room = ec_scratch(ec, (2 * threads * (size_t)p->ntargets + 1) * sizeof(double));
    if ((!j.x32 && !j.x64) || !j.room)
        return ec->cx->err.code;
    j.label = p->classifier && ec_wants(ec, 0) ? ec->out[0] : NULL;
    j.scores = p->classifier ? (ec_wants(ec, 1) ? ec->out[1] : NULL) : ec->out[0];
    ec_par(ec, rows, 1000 / (int64_t)(p->nroots + 1) + 1, tree_range, &j);
    return 0;
}

const struct op op_ml_TreeEnsembleClassifier = {.domain = "ai.onnx.ml",
                                                .name = "TreeEnsembleClassifier",
                                                .tol = TOL_ROUND,
                                                .params_size = sizeof(struct tree_params),
                                                .parse = classifier_parse,
                                                .infer = tree_infer,
                                                .ref = tree_ref};
const struct op op_ml_TreeEnsembleRegressor = {.domain = "ai.onnx.ml",
                                               .name = "TreeEnsembleRegressor",
                                               .tol = TOL_ROUND,
                                               .params_size = sizeof(struct tree_params),
                                               .parse = regressor_parse,
                                               .infer = tree_infer,
                                               .ref = tree_ref};
const struct op op_ml_TreeEnsemble = {.domain = "ai.onnx.ml",
                                      .name = "TreeEnsemble",
                                      .tol = TOL_ROUND,
                                      .params_size = sizeof(struct tree_params),
                                      .parse = ensemble_parse,
                                      .infer = ensemble_infer,
                                      .ref = tree_ref};
