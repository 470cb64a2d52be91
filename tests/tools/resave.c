/* Loads a model and saves it again, unchanged: resave [--external auto|always|never] IN OUT */
#include <stdio.h>
#include <string.h>

#include "io/onnx_load.h"
#include "io/onnx_save.h"

static int fail(struct cx *cx, int r)
{
    char text[2048];

    err_format(&cx->err, text, sizeof(text));
    fprintf(stderr, "resave: %s\n", text);
    return err_exit_code(r);
}

static int resave(struct cx *cx, const char *in, const char *out, const struct save_opts *o)
{
    struct save_report rep;
    struct model *m;
    int r = model_load(cx, in, NULL, &m);

    if (r < 0)
        return fail(cx, r);
    r = model_save(cx, m, out, o, &rep);
    model_free(m);
    if (r < 0)
        return fail(cx, r);
    if (rep.data_file)
        fprintf(stderr, "resave: %llu bytes in %s%s\n", (unsigned long long)rep.external_bytes, rep.data_file,
                rep.went_external ? ", because the model would be larger than 2 GiB" : "");
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const modes[] = {"auto", "always", "never"};
    struct save_opts o = {0};
    struct cx cx;
    int at = 1, r;

    if (argc == 5 && !strcmp(argv[1], "--external")) {
        for (int i = 0; i < 3; i++)
            if (!strcmp(argv[2], modes[i]))
                o.external = (enum external_mode)i;
        at = 3;
    }
    if (argc != at + 2) {
        fprintf(stderr, "usage: resave [--external auto|always|never] IN OUT\n");
        return 2;
    }
    cx_init(&cx);
    r = resave(&cx, argv[at], argv[at + 1], &o);
    cx_fini(&cx);
    return r;
}
