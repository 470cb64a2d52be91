/* Prints "graph<TAB>value<TAB>type" of every value of a model, as inferred with all declarations but those of
 * the inputs ignored (-d: believed), so that a script can compare with other tools. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "exec/consts.h"
#include "infer/infer.h"
#include "io/onnx_load.h"
#include "ops/op.h"

struct source {
    struct cx *cx;
    struct consts c;
};

static const struct tensor *constant(void *user, const struct value *v)
{
    struct source *s = user;
    return consts_get(s->cx, &s->c, v);
}

static int print_graph_types(void *user, struct graph *g, int depth)
{
    const struct inferred *res = user;
    char buf[512];
    (void)depth;
    for (const struct node *n = g->first; n; n = n->next) {
        for (int o = 0; o < n->nout; o++) {
            if (n->out[o])
                printf("%s\t%s\t%s\t%s\n", g->name, n->out[o]->name, n->op_type,
                       type_text(res->type[n->out[o]->id], buf, sizeof(buf)));
        }
    }
    return 0;
}

static void warn(void *user, enum log_level level, const char *line)
{
    (void)user;
    (void)level;
    fprintf(stderr, "%s\n", line);
}

static int show(struct cx *cx, const char *path, bool declared)
{
    struct model *m;
    struct arena arena = {0};
    struct inferred res;
    struct source s = {.cx = cx};
    int rc = model_load(cx, path, NULL, &m);
    if (rc)
        return rc;
    rc = ops_resolve(cx, m);
    if (rc == 0)
        rc = consts_init(cx, &s.c, m);
    if (rc == 0) {
        struct infer_env env = {
            .konst = constant, .user = &s, .ignore_declared = !declared, .keep_going = true};
        double t = time_now();
        rc = infer_model(cx, m, &env, &arena, &res);
        fprintf(stderr, "%.3f ms\n", 1e3 * (time_now() - t));
    }
    if (rc == 0)
        graph_walk(m->graph, print_graph_types, &res);
    consts_free(&s.c);
    arena_free(&arena);
    model_free(m);
    return rc;
}

int main(int argc, char **argv)
{
    struct cx cx;
    char line[1024];
    bool declared = argc > 2 && strcmp(argv[1], "-d") == 0;
    if (argc < 2)
        return 2;
    cx_init(&cx);
    cx.log.write = warn;
    cx.log.level = LOG_WARN;
    int rc = show(&cx, argv[argc - 1], declared);
    if (rc) {
        err_format(&cx.err, line, sizeof(line));
        fprintf(stderr, "%s\n", line);
    }
    cx_fini(&cx);
    return rc ? 1 : 0;
}
