/* inspect --check: the findings of the checker, as text lines, a table, or JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "inspect_show.h"

static void json_finding(struct report *r, const struct ot_finding *f)
{
    js_obj(r, NULL);
    js_str(r, "code", f->code);
    js_str(r, "name", f->name);
    js_str(r, "severity", f->error ? "error" : "warning");
    js_str(r, "graph", f->graph);
    js_str(r, "node", *f->node ? f->node : NULL);
    if (f->offset >= 0)
        js_int(r, "offset", f->offset);
    else
        js_null(r, "offset");
    js_str(r, "text", f->text);
    js_str(r, "fix", f->fix);
    js_end(r);
}

/* "main: node 'conv1' (Conv) at 0x4a2" */
static const char *place(struct report *r, const struct ot_finding *f)
{
    const char *sep = *f->graph && *f->node ? ": " : "";
    const char *where = *f->graph || *f->node ? rp_name(r, rp_str(r, "%s%s%s", f->graph, sep, f->node)) : "";
    if (f->offset < 0)
        return *where ? where : "the file";
    return rp_str(r, "%s%sat 0x%" PRIx64, where, *where ? ", " : "", f->offset);
}

static void text_finding(struct report *r, const struct ot_finding *f)
{
    rp_text(r, "%s %s %s\n", f->code, rp_verdict(r, !f->error, f->error ? "error  " : "warning"),
            rp_name(r, f->text));
    rp_text(r, "      where: %s\n", place(r, f));
    rp_text(r, "      to do: %s\n", f->fix);
}

static void row_finding(struct report *r, struct table *t, const char *path, const struct ot_finding *f)
{
    table_cell(t, "%s", path);
    table_cell(t, "%s", f->code);
    table_cell(t, "%s", f->error ? "error" : "warning");
    table_cell(t, "%s", place(r, f));
    table_cell(t, "%s", f->text);
    table_cell(t, "%s", f->fix);
}

static void show_all(struct report *r, const ot_findings *found, const char *path)
{
    static const char *const heads[] = {"model", "code", "severity", "where", "what", "to do"};
    bool table = rp_format(r) == FORMAT_CSV || rp_format(r) == FORMAT_MARKDOWN;
    struct table *t = table ? table_new(r, "llllll", heads) : NULL;
    js_arr(r, "findings");
    for (size_t i = 0; i < ot_findings_count(found); i++) {
        struct ot_finding f;
        ot_findings_get(found, i, &f);
        if (rp_json(r))
            json_finding(r, &f);
        else if (t)
            row_finding(r, t, path, &f);
        else
            text_finding(r, &f);
    }
    js_end(r);
    if (t)
        table_end(t);
}

int show_check(struct app *app, const char *path, const struct ot_load_opts *lo)
{
    struct report *r = app->report;
    ot_findings *found;
    int rc = ot_check(app->ctx, path, lo, &found);
    if (rc) {
        int code = cmd_fail(app, rc);
        js_str(r, "error", ot_error(app->ctx));
        return code;
    }
    size_t errors = ot_findings_errors(found), warnings = ot_findings_warnings(found);
    js_uint(r, "errors", errors);
    js_uint(r, "warnings", warnings);
    show_all(r, found, path);
    rp_text(r, "%s: %s, %zu error%s, %zu warning%s\n", rp_name(r, path),
            rp_verdict(r, !errors, errors ? "invalid" : "valid"), errors, errors == 1 ? "" : "s", warnings,
            warnings == 1 ? "" : "s");
    if (ot_findings_count(found) < errors + warnings)
        rp_text(r, "the first %zu are shown\n", ot_findings_count(found));
    ot_findings_free(found);
    return errors ? EXIT_INPUT : EXIT_DONE;
}
