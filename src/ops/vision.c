/* NonMaxSuppression and ImageDecoder. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/image.h"
#include "ops/op_util.h"

struct nms {
    bool center; /* boxes are x, y of the center, width, height; else two corners y1, x1, y2, x2 */
};

static int nms_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct nms *p = params;
    int64_t center = 0;
    (void)arena, (void)version;
    int rc = attr_int(cx, n, "center_point_box", &center);
    if (rc > 0 && center != 0 && center != 1)
        return err_set(cx, E_ATTR, "attribute 'center_point_box' is %lld, expected 0 or 1",
                       (long long)center);
    p->center = center != 0;
    return rc < 0 ? rc : 0;
}

static int nms_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int rc = ic_need_rank(ic, 0, 3, 3);
    if (!rc)
        rc = ic_need_rank(ic, 1, 3, 3);
    if (!rc && ic_rank(ic, 0) == 3)
        rc = ic_unify(ic, ic_dim(ic, 0, 2), dim_const(4), "last extent of boxes");
    if (!rc && ic_rank(ic, 0) == 3 && ic_rank(ic, 1) == 3)
        rc = ic_unify(ic, ic_dim(ic, 0, 0), ic_dim(ic, 1, 0), "batch of boxes and scores");
    if (!rc && ic_rank(ic, 0) == 3 && ic_rank(ic, 1) == 3)
        rc = ic_unify(ic, ic_dim(ic, 0, 1), ic_dim(ic, 1, 2), "number of boxes and scores");
    return rc ? rc : ic_out(ic, 0, DT_INT64, 2, (struct dim[]){dim_fresh(ic->syms), dim_const(3)});
}

struct rect {
    float y0, x0, y1, x1;
};

struct candidate {
    float score;
    int64_t index;
};

static struct rect rect_of(const struct nms *p, const float *b)
{
    if (p->center)
        return (struct rect){b[1] - b[3] / 2, b[0] - b[2] / 2, b[1] + b[3] / 2, b[0] + b[2] / 2};
    return (struct rect){fminf(b[0], b[2]), fminf(b[1], b[3]), fmaxf(b[0], b[2]), fmaxf(b[1], b[3])};
}

/* Intersection over union, 0 when either rectangle is empty. */
static float overlap(struct rect a, struct rect b)
{
    float h = fminf(a.y1, b.y1) - fmaxf(a.y0, b.y0), w = fminf(a.x1, b.x1) - fmaxf(a.x0, b.x0);
    float area_a = (a.y1 - a.y0) * (a.x1 - a.x0), area_b = (b.y1 - b.y0) * (b.x1 - b.x0);
    if (!(h > 0 && w > 0 && area_a > 0 && area_b > 0))
        return 0;
    return h * w / (area_a + area_b - h * w);
}

/* High scores first, NaN last; of equal ones the lower index. */
static int by_score(const void *pa, const void *pb)
{
    const struct candidate *a = pa, *b = pb;
    bool na = isnan(a->score), nb = isnan(b->score);
    if (na != nb)
        return na ? 1 : -1;
    if (!na && a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

struct nms_run {
    const struct nms *p;
    float iou, min_score;
    bool has_min;
    int64_t boxes, max;
    struct candidate *list;
    struct rect *kept;
    int64_t (*picked)[3];
    int64_t npicked, cap;
};

static int keep(struct exec_ctx *ec, struct nms_run *r, int64_t batch, int64_t cls, int64_t box)
{
    if (r->npicked == r->cap) {
        int64_t cap = r->cap ? 2 * r->cap : 256;
        int64_t(*grown)[3] = ec_scratch(ec, (size_t)cap * sizeof(*grown));
        if (!grown)
            return ec->cx->err.code;
        if (r->npicked)
            memcpy(grown, r->picked, (size_t)r->npicked * sizeof(*grown));
        r->picked = grown;
        r->cap = cap;
    }
    int64_t *to = r->picked[r->npicked++];
    to[0] = batch;
    to[1] = cls;
    to[2] = box;
    return 0;
}

static int nms_class(struct exec_ctx *ec, struct nms_run *r, int64_t batch, int64_t cls, const float *boxes,
                     const float *scores)
{
    int64_t n = 0, nkept = 0;
    for (int64_t i = 0; i < r->boxes; i++)
        if (!r->has_min || scores[i] > r->min_score)
            r->list[n++] = (struct candidate){scores[i], i};
    qsort(r->list, (size_t)n, sizeof(*r->list), by_score);
    for (int64_t i = 0; i < n && nkept < r->max; i++) {
        struct rect c = rect_of(r->p, boxes + 4 * r->list[i].index);
        bool covered = false;
        for (int64_t k = 0; k < nkept && !covered; k++)
            covered = overlap(c, r->kept[k]) > r->iou;
        if (covered)
            continue;
        r->kept[nkept++] = c;
        int rc = keep(ec, r, batch, cls, r->list[i].index);
        if (rc)
            return rc;
    }
    return cx_check_time(ec->cx);
}

static int scalar_input(struct exec_ctx *ec, int i, float *out)
{
    if (!ec_has(ec, i) || !tensor_count(ec->in[i]))
        return 0;
    *out = (float)tensor_f64(ec->in[i], 0);
    return 1;
}

static int nms_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *boxes = ec->in[0], *scores = ec->in[1];
    struct nms_run r = {.p = params, .boxes = boxes->dims[1]};
    if (boxes->dt != DT_FLOAT || scores->dt != DT_FLOAT)
        return ec_unsupported(ec, boxes->dt != DT_FLOAT ? 0 : 1);
    if (boxes->dims[2] != 4 || boxes->dims[0] != scores->dims[0] || scores->dims[2] != r.boxes)
        return err_set(ec->cx, E_SHAPE, "boxes and scores do not fit each other");
    if (ec_has(ec, 2) && tensor_count(ec->in[2]))
        r.max = tensor_i64(ec->in[2], 0);
    scalar_input(ec, 3, &r.iou);
    r.has_min = scalar_input(ec, 4, &r.min_score) > 0;
    r.list = ec_scratch(ec, (size_t)(r.boxes + 1) * sizeof(*r.list));
    r.kept = ec_scratch(ec, (size_t)(r.boxes + 1) * sizeof(*r.kept));
    if (!r.list || !r.kept)
        return ec->cx->err.code;
    int64_t classes = scores->dims[1];
    int rc = 0;
    for (int64_t i = 0; !rc && i < boxes->dims[0] * classes; i++)
        rc = nms_class(ec, &r, i / classes, i % classes,
                       (const float *)boxes->data + i / classes * r.boxes * 4,
                       (const float *)scores->data + i * r.boxes);
    if (!rc)
        rc = ec_resize(ec, 0, DT_INT64, 2, (const int64_t[]){r.npicked, 3});
    if (!rc && ec_wants(ec, 0) && r.npicked)
        memcpy(ec->out[0]->data, r.picked, (size_t)r.npicked * sizeof(*r.picked));
    return rc;
}

const struct op op_NonMaxSuppression = {.domain = "",
                                        .name = "NonMaxSuppression",
                                        .flags = OP_DYNAMIC,
                                        .params_size = sizeof(struct nms),
                                        .parse = nms_parse,
                                        .infer = nms_infer,
                                        .ref = nms_ref};

/* ---- ImageDecoder ---- */

enum pixel_format { PIXEL_RGB, PIXEL_BGR, PIXEL_GRAY };

struct decoder {
    enum pixel_format format;
};

static int decoder_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    static const char *const formats[] = {"RGB", "BGR", "Grayscale", NULL};
    struct decoder *p = params;
    int format = PIXEL_RGB;
    (void)arena, (void)version;
    int rc = attr_choice(cx, n, "pixel_format", formats, &format);
    p->format = (enum pixel_format)format;
    return rc < 0 ? rc : 0;
}

static int decoder_infer(struct infer_ctx *ic, const void *params)
{
    const struct decoder *p = params;
    struct dim dims[3] = {dim_fresh(ic->syms), dim_fresh(ic->syms),
                          dim_const(p->format == PIXEL_GRAY ? 1 : 3)};
    int rc = ic_need_rank(ic, 0, 1, 1);
    return rc ? rc : ic_out(ic, 0, DT_UINT8, 3, dims);
}

/* Gray is the luma of ITU-R BT.601, in 16 bits of fraction. */
static void put_pixels(enum pixel_format format, const struct image *im, uint8_t *out)
{
    for (int64_t i = 0; i < im->width * im->height; i++) {
        const uint8_t *p = im->rgb + 3 * i;
        if (format == PIXEL_GRAY)
            out[i] = (uint8_t)((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 0x8000) >> 16);
        for (int c = 0; format != PIXEL_GRAY && c < 3; c++)
            out[3 * i + c] = p[format == PIXEL_BGR ? 2 - c : c];
    }
}

/* What cannot be decoded gives a picture without pixels: the specification asks for an empty matrix. */
static int decoder_ref(struct exec_ctx *ec, const void *params)
{
    const struct decoder *p = params;
    const struct tensor *in = ec->in[0];
    struct image im = {0};
    if (in->dt != DT_UINT8)
        return ec_unsupported(ec, 0);
    int rc = tensor_count(in) ? image_decode(ec->cx, in->data, (size_t)tensor_count(in), &im) : 0;
    if (rc < 0)
        return rc;
    if (!rc)
        im = (struct image){0};
    rc = ec_resize(ec, 0, DT_UINT8, 3,
                   (const int64_t[]){im.height, im.width, p->format == PIXEL_GRAY ? 1 : 3});
    if (!rc && ec_wants(ec, 0) && im.rgb)
        put_pixels(p->format, &im, ec->out[0]->data);
    free(im.rgb);
    return rc;
}

const struct op op_ImageDecoder = {.domain = "",
                                   .name = "ImageDecoder",
                                   .flags = OP_DYNAMIC,
                                   .params_size = sizeof(struct decoder),
                                   .parse = decoder_parse,
                                   .infer = decoder_infer,
                                   .ref = decoder_ref};
