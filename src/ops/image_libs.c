/* TIFF, WebP and JPEG 2000 through their libraries: left out where the build did not find their headers,
 * opened when the first picture asks for them, because linking them would nearly double the time that every
 * command takes to start. Sizes are looked at before anything is decoded, so that a small file cannot ask for
 * much memory. */
#include "ops/image.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#ifdef OT_HAVE_libopenjp2
#include <openjpeg.h>
#endif
#ifdef OT_HAVE_libtiff_4
#include <tiffio.h>
#endif
#ifdef OT_HAVE_libwebp
#include <webp/decode.h>
#endif

#if defined(OT_HAVE_libtiff_4) || defined(OT_HAVE_libwebp) || defined(OT_HAVE_libopenjp2)
/* A function of a library, by its name. */
struct entry {
    const char *name;
    void *to; /* address of the function pointer */
};

#define ENTRY(api, name)                                                                                     \
    {                                                                                                        \
#name, &(api)->name                                                                                  \
    }

/* Fills in n entries. The library stays open: the next picture finds it there. */
static int open_lib(struct cx *cx, const char *soname, const struct entry *e, size_t n)
{
    void *lib = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        return err_set(cx, E_UNSUPPORTED, "%s, which reads pictures of this format, is not installed",
                       soname);
    for (size_t i = 0; i < n; i++) {
        void *p = dlsym(lib, e[i].name);
        if (!p)
            return err_set(cx, E_UNSUPPORTED, "%s has no %s", soname, e[i].name);
        memcpy(e[i].to, &p, sizeof(p));
    }
    return 0;
}

#endif

/* ---- TIFF ---- */

#ifdef OT_HAVE_libtiff_4
struct tiff_api {
    __typeof__(TIFFClientOpen) *TIFFClientOpen;
    __typeof__(TIFFClose) *TIFFClose;
    __typeof__(TIFFGetField) *TIFFGetField;
    __typeof__(TIFFReadRGBAImageOriented) *TIFFReadRGBAImageOriented;
    __typeof__(TIFFSetErrorHandler) *TIFFSetErrorHandler;
    __typeof__(TIFFSetWarningHandler) *TIFFSetWarningHandler;
};

static int tiff_open_lib(struct cx *cx, struct tiff_api *api)
{
    const struct entry e[] = {ENTRY(api, TIFFClientOpen),      ENTRY(api, TIFFClose),
                              ENTRY(api, TIFFGetField),        ENTRY(api, TIFFReadRGBAImageOriented),
                              ENTRY(api, TIFFSetErrorHandler), ENTRY(api, TIFFSetWarningHandler)};
    return open_lib(cx, "libtiff.so.6", e, sizeof(e) / sizeof(e[0]));
}

/* The file, for libtiff's calls. */
struct tiff_bytes {
    const uint8_t *p;
    size_t n, at;
};

static tmsize_t tiff_read(thandle_t h, void *to, tmsize_t n)
{
    struct tiff_bytes *b = h;
    size_t left = b->at < b->n ? b->n - b->at : 0, take = (size_t)n < left ? (size_t)n : left;
    if (n < 0)
        return -1;
    if (take)
        memcpy(to, b->p + b->at, take);
    b->at += take;
    return (tmsize_t)take;
}

static tmsize_t tiff_write(thandle_t h, void *from, tmsize_t n)
{
    (void)h, (void)from, (void)n;
    return -1;
}

static toff_t tiff_seek(thandle_t h, toff_t off, int whence)
{
    struct tiff_bytes *b = h;
    uint64_t from = whence == SEEK_CUR ? b->at : whence == SEEK_END ? b->n : 0;
    b->at = (size_t)(from + off);
    return b->at;
}

static int tiff_close(thandle_t h)
{
    (void)h;
    return 0;
}

static toff_t tiff_size(thandle_t h)
{
    return ((struct tiff_bytes *)h)->n;
}

static int tiff_pixels(struct cx *cx, const struct tiff_api *api, TIFF *t, struct image *out)
{
    uint32_t width = 0, height = 0;
    if (!api->TIFFGetField(t, TIFFTAG_IMAGEWIDTH, &width) ||
        !api->TIFFGetField(t, TIFFTAG_IMAGELENGTH, &height) || !width || !height)
        return 0;
    int rc = image_new(cx, width, height, out);
    if (rc < 0)
        return rc;
    size_t n = (size_t)width * height;
    uint32_t *rgba = mem_alloc(n * sizeof(*rgba));
    if (!rgba)
        rc = err_nomem(cx);
    else if (!api->TIFFReadRGBAImageOriented(t, width, height, rgba, ORIENTATION_TOPLEFT, 1))
        rc = 0;
    for (size_t i = 0; rc > 0 && i < n; i++) {
        out->rgb[3 * i] = (uint8_t)TIFFGetR(rgba[i]);
        out->rgb[3 * i + 1] = (uint8_t)TIFFGetG(rgba[i]);
        out->rgb[3 * i + 2] = (uint8_t)TIFFGetB(rgba[i]);
    }
    free(rgba);
    if (rc <= 0)
        free(out->rgb);
    return rc;
}

int tiff_decode(struct cx *cx, const uint8_t *p, size_t n, struct image *out)
{
    struct tiff_bytes b = {p, n, 0};
    struct tiff_api api;
    int rc = tiff_open_lib(cx, &api);
    if (rc)
        return rc;
    /* Quiet: what is wrong with a file is for the caller to say. */
    api.TIFFSetErrorHandler(NULL);
    api.TIFFSetWarningHandler(NULL);
    /* "m": libtiff is not to map what is in memory already. */
    TIFF *t = api.TIFFClientOpen("picture", "rm", &b, tiff_read, tiff_write, tiff_seek, tiff_close, tiff_size,
                                 NULL, NULL);
    rc = t ? tiff_pixels(cx, &api, t, out) : 0;
    if (t)
        api.TIFFClose(t);
    return rc;
}
#else
int tiff_decode(struct cx *cx, const uint8_t *p, size_t n, struct image *out)
{
    (void)p, (void)n, (void)out;
    return err_set(cx, E_UNSUPPORTED, "this program was built without libtiff");
}
#endif

/* ---- WebP ---- */

#ifdef OT_HAVE_libwebp
struct webp_api {
    __typeof__(WebPGetInfo) *WebPGetInfo;
    __typeof__(WebPDecodeRGBInto) *WebPDecodeRGBInto;
};

int webp_decode(struct cx *cx, const uint8_t *p, size_t n, struct image *out)
{
    struct webp_api api, *a = &api;
    const struct entry e[] = {ENTRY(a, WebPGetInfo), ENTRY(a, WebPDecodeRGBInto)};
    int width, height, rc = open_lib(cx, "libwebp.so.7", e, 2);
    if (rc)
        return rc;
    if (!api.WebPGetInfo(p, n, &width, &height))
        return 0;
    rc = image_new(cx, width, height, out);
    size_t bytes = (size_t)width * (size_t)height * 3;
    if (rc > 0 && !api.WebPDecodeRGBInto(p, n, out->rgb, bytes, width * 3)) {
        free(out->rgb);
        rc = 0;
    }
    return rc;
}
#else
int webp_decode(struct cx *cx, const uint8_t *p, size_t n, struct image *out)
{
    (void)p, (void)n, (void)out;
    return err_set(cx, E_UNSUPPORTED, "this program was built without libwebp");
}
#endif

/* ---- JPEG 2000 ---- */

#ifdef OT_HAVE_libopenjp2
struct jp2_api {
    __typeof__(opj_create_decompress) *opj_create_decompress;
    __typeof__(opj_decode) *opj_decode;
    __typeof__(opj_destroy_codec) *opj_destroy_codec;
    __typeof__(opj_end_decompress) *opj_end_decompress;
    __typeof__(opj_image_destroy) *opj_image_destroy;
    __typeof__(opj_read_header) *opj_read_header;
    __typeof__(opj_set_default_decoder_parameters) *opj_set_default_decoder_parameters;
    __typeof__(opj_setup_decoder) *opj_setup_decoder;
    __typeof__(opj_stream_create) *opj_stream_create;
    __typeof__(opj_stream_destroy) *opj_stream_destroy;
    __typeof__(opj_stream_set_read_function) *opj_stream_set_read_function;
    __typeof__(opj_stream_set_seek_function) *opj_stream_set_seek_function;
    __typeof__(opj_stream_set_skip_function) *opj_stream_set_skip_function;
    __typeof__(opj_stream_set_user_data) *opj_stream_set_user_data;
    __typeof__(opj_stream_set_user_data_length) *opj_stream_set_user_data_length;
};

static int jp2_open_lib(struct cx *cx, struct jp2_api *api)
{
    const struct entry e[] = {ENTRY(api, opj_create_decompress),
                              ENTRY(api, opj_decode),
                              ENTRY(api, opj_destroy_codec),
                              ENTRY(api, opj_end_decompress),
                              ENTRY(api, opj_image_destroy),
                              ENTRY(api, opj_read_header),
                              ENTRY(api, opj_set_default_decoder_parameters),
                              ENTRY(api, opj_setup_decoder),
                              ENTRY(api, opj_stream_create),
                              ENTRY(api, opj_stream_destroy),
                              ENTRY(api, opj_stream_set_read_function),
                              ENTRY(api, opj_stream_set_seek_function),
                              ENTRY(api, opj_stream_set_skip_function),
                              ENTRY(api, opj_stream_set_user_data),
                              ENTRY(api, opj_stream_set_user_data_length)};
    return open_lib(cx, "libopenjp2.so.7", e, sizeof(e) / sizeof(e[0]));
}

struct jp2_bytes {
    const uint8_t *p;
    size_t n, at;
};

static OPJ_SIZE_T jp2_read(void *to, OPJ_SIZE_T n, void *user)
{
    struct jp2_bytes *b = user;
    size_t left = b->at < b->n ? b->n - b->at : 0, take = n < left ? n : left;
    if (!take)
        return (OPJ_SIZE_T)-1;
    memcpy(to, b->p + b->at, take);
    b->at += take;
    return take;
}

static OPJ_OFF_T jp2_skip(OPJ_OFF_T n, void *user)
{
    struct jp2_bytes *b = user;
    if (n < 0 || (uint64_t)n > b->n - b->at)
        return -1;
    b->at += (size_t)n;
    return n;
}

static OPJ_BOOL jp2_seek(OPJ_OFF_T at, void *user)
{
    struct jp2_bytes *b = user;
    if (at < 0 || (uint64_t)at > b->n)
        return OPJ_FALSE;
    b->at = (size_t)at;
    return OPJ_TRUE;
}

/* A sample of component c at a pixel, as 8 bits; y of luma and chroma alike. */
static int jp2_sample(const opj_image_comp_t *c, int64_t x, int64_t y)
{
    int64_t cx = x / c->dx, cy = y / c->dy;
    if (cx >= c->w || cy >= c->h)
        return 0;
    int64_t v = c->data[cy * c->w + cx] + (c->sgnd ? (int64_t)1 << (c->prec - 1) : 0);
    if (c->prec > 8)
        v >>= c->prec - 8;
    else if (c->prec < 8)
        v = v * 255 / ((1 << c->prec) - 1);
    return v < 0 ? 0 : v > 255 ? 255 : (int)v;
}

static uint8_t clamp8(double v)
{
    return v < 0 ? 0 : v > 255 ? 255 : (uint8_t)(v + 0.5);
}

static void jp2_pixel(const opj_image_t *im, int64_t x, int64_t y, uint8_t *rgb)
{
    int v[3];
    for (int k = 0; k < 3; k++)
        v[k] = jp2_sample(&im->comps[im->numcomps < 3 ? 0 : k], x, y);
    for (int k = 0; k < 3; k++)
        rgb[k] = (uint8_t)v[k];
    if (im->numcomps < 3 || im->color_space != OPJ_CLRSPC_SYCC)
        return;
    double b = v[1] - 128, r = v[2] - 128;
    rgb[0] = clamp8(v[0] + 1.402 * r);
    rgb[1] = clamp8(v[0] - 0.344136 * b - 0.714136 * r);
    rgb[2] = clamp8(v[0] + 1.772 * b);
}

static bool jp2_components(const opj_image_t *im)
{
    for (OPJ_UINT32 k = 0; k < im->numcomps && k < 3; k++) {
        const opj_image_comp_t *c = &im->comps[k];
        if (!c->data || !c->dx || !c->dy || c->prec < 1 || c->prec > 31)
            return false;
    }
    return im->numcomps > 0;
}

static int jp2_run(struct cx *cx, const struct jp2_api *api, opj_codec_t *codec, opj_stream_t *stream,
                   struct image *out)
{
    opj_image_t *im = NULL;
    opj_dparameters_t par;
    api->opj_set_default_decoder_parameters(&par);
    if (!api->opj_setup_decoder(codec, &par) || !api->opj_read_header(stream, codec, &im))
        return 0;
    int rc = 0;
    if (im->x1 > im->x0 && im->y1 > im->y0)
        rc = image_new(cx, im->x1 - im->x0, im->y1 - im->y0, out);
    bool ok = rc > 0 && api->opj_decode(codec, stream, im) && api->opj_end_decompress(codec, stream) &&
              jp2_components(im);
    for (int64_t i = 0; ok && i < out->width * out->height; i++)
        jp2_pixel(im, i % out->width, i / out->width, out->rgb + 3 * i);
    api->opj_image_destroy(im);
    if (rc > 0 && !ok) {
        free(out->rgb);
        rc = 0;
    }
    return rc;
}

int jp2_decode(struct cx *cx, const uint8_t *p, size_t n, struct image *out)
{
    struct jp2_bytes b = {p, n, 0};
    struct jp2_api api;
    int rc = jp2_open_lib(cx, &api);
    if (rc)
        return rc;
    opj_codec_t *codec = api.opj_create_decompress(p[0] == 0xff ? OPJ_CODEC_J2K : OPJ_CODEC_JP2);
    opj_stream_t *stream = api.opj_stream_create(1 << 16, OPJ_TRUE);
    rc = codec && stream ? 1 : err_nomem(cx);
    if (rc > 0) {
        api.opj_stream_set_user_data(stream, &b, NULL);
        api.opj_stream_set_user_data_length(stream, n);
        api.opj_stream_set_read_function(stream, jp2_read);
        api.opj_stream_set_skip_function(stream, jp2_skip);
        api.opj_stream_set_seek_function(stream, jp2_seek);
        rc = jp2_run(cx, &api, codec, stream, out);
    }
    if (stream)
        api.opj_stream_destroy(stream);
    if (codec)
        api.opj_destroy_codec(codec);
    return rc;
}
#else
int jp2_decode(struct cx *cx, const uint8_t *p, size_t n, struct image *out)
{
    (void)p, (void)n, (void)out;
    return err_set(cx, E_UNSUPPORTED, "this program was built without OpenJPEG");
}
#endif
