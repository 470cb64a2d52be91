/* A model to a file, or to a file and a data file. The data file is complete and in place before the model is
 * written, under a name that its content decides: whoever reads the old model meanwhile finds the old data.
 */
#include "io/onnx_save.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/encode.h"
#include "io/export.h"
#include "io/external.h"
#include "io/payload.h"
#include "io/tmpfile.h"

enum { DEFAULT_THRESHOLD = 1024, ALIGN_SMALL = 64, ALIGN_LARGE = 4096, LARGE = 1 << 20 };
/* protobuf libraries refuse messages of 2 GiB and more. */
static const uint64_t size_limit = INT32_MAX;

struct save {
    struct cx *cx;
    struct model *m;
    const char *path;
    struct save_opts o;
    struct save_report rep;
    struct export ex;
    Onnx__ModelProto *msg;
    bool to_stdout;
};

/* ---- where payloads go ---- */

/* The stored values of a tensor as one payload, wherever they lie. Strings and empty tensors have none. */
static int payload_of(struct save *s, const struct export_tensor *t, struct segment *seg,
                      struct pb_payload *pl)
{
    const struct pb_payload *own = pb_info(t->msg)->payload;

    *pl = own ? *own : (struct pb_payload){0};
    if (t->t->payload != PL_EXTERNAL)
        return 0;
    *pl = (struct pb_payload){.field = 9, .seg = seg, .nseg = 1};
    int r = external_range(s->cx, s->m, t->t, &pl->file, &seg->off, &seg->len);
    pl->total = seg->len;
    return r;
}

/* Brings a tensor whose values are in another file into the model. */
static int make_internal(struct save *s, const struct export_tensor *t)
{
    struct segment *seg = arena_zalloc(s->ex.arena, sizeof(*seg));
    struct pb_payload pl;
    int r;

    if (!seg)
        return err_nomem(s->cx);
    r = payload_of(s, t, seg, &pl);
    return r < 0 ? r : export_set_raw(s->cx, s->ex.arena, t->msg, &pl);
}

/* Bytes of the values of t as raw_data; 0 for types that are more than that (strings), or packed in a way of
 * their own (below 8 bits). */
static uint64_t raw_bytes(const struct export_tensor *t, const struct pb_payload *pl)
{
    enum dtype dt = t->t->dt;
    uint64_t bytes;

    if (payload_is_plain(pl->field))
        return pl->total;
    if (dt == DT_STRING || pl->field != payload_field(dt) || dtype_info(dt)->bits < 8)
        return 0;
    return dtype_file_size(dt, (uint64_t)tensor_data_count(t->t), &bytes) ? bytes : 0;
}

/* What can be stored as raw bytes elsewhere, and is worth it. */
static bool can_go_external(const struct save *s, const struct export_tensor *t)
{
    const struct pb_payload *pl = pb_info(t->msg)->payload;
    uint64_t threshold = s->o.threshold ? s->o.threshold : DEFAULT_THRESHOLD;

    return t->initializer && pl && raw_bytes(t, pl) >= threshold;
}

static bool goes_external(const struct save *s, const struct export_tensor *t, bool all)
{
    if (t->t->payload == PL_EXTERNAL)
        return true;
    return all && can_go_external(s, t);
}

/* ---- the data file ---- */

struct entry {
    const struct export_tensor *t;
    uint64_t off, len;
};

static int pad(struct sink *out, uint64_t to)
{
    static const uint8_t zeros[ALIGN_LARGE];

    return sink_write(out, zeros, (size_t)(to - out->total));
}

/* Values that are stored as numbers of varying length become what raw_data would hold. */
static int put_decoded(struct save *s, struct sink *out, const struct entry *e, const struct pb_payload *pl)
{
    void *raw = mem_alloc((size_t)e->len + 1);
    int r = raw ? payload_decode(s->cx, pl, e->t->t->dt, tensor_data_count(e->t->t), raw) : err_nomem(s->cx);

    if (!r)
        r = sink_write(out, raw, (size_t)e->len);
    free(raw);
    return r;
}

static int put_tensor(struct save *s, struct sink *out, struct entry *e)
{
    struct segment seg;
    struct pb_payload pl;
    uint64_t align;
    int r = payload_of(s, e->t, &seg, &pl);

    if (r < 0)
        return r;
    e->len = raw_bytes(e->t, &pl);
    align = e->len >= LARGE ? ALIGN_LARGE : ALIGN_SMALL;
    e->off = (out->total + align - 1) / align * align;
    r = pad(out, e->off);
    if (r < 0)
        return r;
    return payload_is_plain(pl.field) ? sink_payload(out, &pl) : put_decoded(s, out, e, &pl);
}

static int set_location(struct save *s, const struct entry *e, const char *location)
{
    Onnx__TensorProto *msg = e->t->msg;
    struct arena *a = s->ex.arena;
    const char *key[] = {"location", "offset", "length"}, *val[3];
    struct pb_payload none = {0};
    int r = export_set_raw(s->cx, a, msg, &none);

    if (r < 0)
        return r;
    val[0] = location;
    val[1] = arena_printf(a, "%llu", (unsigned long long)e->off);
    val[2] = arena_printf(a, "%llu", (unsigned long long)e->len);
    msg->has_raw_data = 0;
    msg->has_data_location = 1;
    msg->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    msg->external_data = arena_array(a, 3, sizeof(*msg->external_data));
    msg->n_external_data = 3;
    for (int i = 0; i < 3; i++) {
        Onnx__StringStringEntryProto *p = pb_new(a, &onnx__string_string_entry_proto__descriptor);

        if (!p || !val[i] || !msg->external_data)
            return err_nomem(s->cx);
        p->key = (char *)(uintptr_t)key[i];
        p->value = (char *)(uintptr_t)val[i];
        msg->external_data[i] = p;
    }
    return 0;
}

/* True when path is there and holds exactly what is in fd. */
static bool same_content(const char *path, int fd)
{
    enum { STEP = 1 << 16 };
    struct stat a, b;
    char *buf = mem_alloc(2 * STEP);
    int other = open(path, O_RDONLY | O_CLOEXEC);
    bool same = buf && other >= 0 && !fstat(fd, &a) && !fstat(other, &b) && a.st_size == b.st_size;

    for (off_t at = 0; same && at < a.st_size; at += STEP) {
        ssize_t n = pread(fd, buf, STEP, at);

        same = n > 0 && pread(other, buf + STEP, STEP, at) == n && !memcmp(buf, buf + STEP, (size_t)n);
    }
    if (other >= 0)
        close(other);
    free(buf);
    return same;
}

/* "<folder/stem>.<hash>.data", with a number where a file of that name holds something else. */
static const char *data_path(struct save *s, uint64_t hash, int fd)
{
    const char *slash = strrchr(s->path, '/'), *dot = strrchr(s->path, '.');
    int stem = (int)(dot && (!slash || dot > slash + 1) && dot > s->path ? dot - s->path
                                                                         : (ptrdiff_t)strlen(s->path));
    unsigned short_hash = (unsigned)(hash ^ hash >> 32);
    const char *p = arena_printf(s->ex.arena, "%.*s.%08x.data", stem, s->path, short_hash);

    for (int i = 2; p && i < 1000 && access(p, F_OK) == 0 && !same_content(p, fd); i++)
        p = arena_printf(s->ex.arena, "%.*s.%08x-%d.data", stem, s->path, short_hash, i);
    return p;
}

static int fill_data(struct save *s, struct sink *out, struct entry *e, size_t n)
{
    int r = 0;

    out->hashing = true;
    for (size_t i = 0; i < n && !r; i++)
        r = put_tensor(s, out, &e[i]);
    if (!r && out->total % 8)
        r = pad(out, (out->total + 7) / 8 * 8);
    return r < 0 ? r : sink_flush(out);
}

static int write_data(struct save *s, struct entry *e, size_t n)
{
    const char *path = arena_printf(s->ex.arena, "%s.data", s->path), *slash;
    struct tmpfile tmp;
    struct sink out;
    struct stat st;
    int r;

    if (!path)
        return err_nomem(s->cx);
    if (stat(s->path, &st) == 0 && !S_ISREG(st.st_mode))
        return err_set(s->cx, E_USAGE, "it is a device or a pipe: external data needs a folder");
    /* The name is a place holder: it gets its own when the content is known. */
    r = tmpfile_open(s->cx, path, &tmp);
    if (r < 0)
        return r;
    r = sink_init_fd(&out, s->cx, tmp.fd, s->path);
    if (!r)
        r = fill_data(s, &out, e, n);
    s->rep.external_bytes = out.total;
    if (!r) {
        path = data_path(s, out.hash, tmp.fd);
        r = path ? 0 : err_nomem(s->cx);
    }
    sink_free(&out);
    if (r < 0) {
        tmpfile_abort(&tmp);
        return r;
    }
    r = tmpfile_commit_as(s->cx, &tmp, path);
    slash = strrchr(path, '/');
    s->rep.data_file = slash ? slash + 1 : path;
    for (size_t i = 0; i < n && !r; i++)
        r = set_location(s, &e[i], s->rep.data_file);
    return r;
}

/* Moves what shall be external into a data file, and everything else into the model. */
static int place_payloads(struct save *s, bool none, bool all)
{
    struct entry *e = arena_array(s->ex.arena, s->ex.ntensors, sizeof(*e));
    size_t n = 0;
    int r = 0;

    if (!e)
        return err_nomem(s->cx);
    for (size_t i = 0; i < s->ex.ntensors && !r; i++) {
        const struct export_tensor *t = &s->ex.tensors[i];

        if (!none && goes_external(s, t, all))
            e[n++].t = t;
        else if (t->t->payload == PL_EXTERNAL)
            r = make_internal(s, t);
    }
    return r < 0 || !n ? r : write_data(s, e, n);
}

/* ---- the model file ---- */

static int write_model(struct save *s)
{
    struct tmpfile tmp;
    struct sink out;
    int r = tmpfile_open(s->cx, s->path, &tmp);

    if (r < 0)
        return r;
    r = sink_init_fd(&out, s->cx, tmp.fd, s->path);
    if (!r)
        r = pb_encode(&out, s->msg);
    if (!r)
        r = sink_flush(&out);
    s->rep.bytes = out.total;
    sink_free(&out);
    if (!r)
        return tmpfile_commit(s->cx, &tmp);
    tmpfile_abort(&tmp);
    return r;
}

static int run(struct save *s)
{
    bool none = s->o.external == EXTERNAL_NEVER || s->to_stdout, all = s->o.external == EXTERNAL_ALWAYS;
    int r = export_model(&s->ex, &s->msg);

    if (r < 0)
        return r;
    if (s->to_stdout && all)
        return err_set(s->cx, E_USAGE, "external data cannot be written beside standard output");
    if (!none && !all && pb_measure(s->msg) >= size_limit)
        all = s->rep.went_external = true;
    r = place_payloads(s, none, all);
    return r < 0 ? r : write_model(s);
}

int model_save(struct cx *cx, struct model *m, const char *path, const struct save_opts *o,
               struct save_report *report)
{
    struct arena a = {0};
    struct save s = {.cx = cx, .m = m, .path = path, .ex = {.cx = cx, .arena = &a, .m = m}};
    int r;

    if (o)
        s.o = *o;
    s.to_stdout = !strcmp(path, "-");
    r = run(&s);
    if (!r && report) {
        *report = s.rep;
        report->data_file = s.rep.data_file ? arena_strdup(&cx->scratch, s.rep.data_file) : NULL;
        if (s.rep.data_file && !report->data_file)
            r = err_nomem(cx);
    }
    arena_free(&a);
    return r < 0 ? err_frame(cx, "%s", s.to_stdout ? "standard output" : path) : 0;
}

int model_save_mem(struct cx *cx, struct model *m, void **out, size_t *n)
{
    struct arena a = {0};
    struct save s = {.cx = cx, .m = m, .path = "memory", .ex = {.cx = cx, .arena = &a, .m = m}};
    struct sink sink;
    int r = export_model(&s.ex, &s.msg);

    *out = NULL;
    *n = 0;
    sink_init_mem(&sink, cx);
    if (!r)
        r = pb_encode(&sink, s.msg);
    arena_free(&a);
    if (r < 0) {
        sink_free(&sink);
        return r;
    }
    *out = sink.buf;
    *n = sink.n;
    return 0;
}
