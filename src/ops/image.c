#include "ops/image.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef OT_HAVE_libjpeg
#include <jpeglib.h>
#include <setjmp.h>
#endif
#ifdef OT_HAVE_libpng
#include <png.h>
#endif

enum { MAX_SIDE = 1 << 24 };

/* Memory for width * height pixels. A picture of n bytes has no business being that much larger. */
int image_new(struct cx *cx, int64_t width, int64_t height, struct image *out)
{
    if (width > MAX_SIDE || height > MAX_SIDE || width * height > (int64_t)1 << 32)
        return err_set(cx, E_LIMIT, "a picture of %lld x %lld", (long long)width, (long long)height);
    uint64_t bytes = (uint64_t)(width * height) * 3;
    if (cx->lim.max_memory && bytes > cx->lim.max_memory)
        return err_set(cx, E_LIMIT, "a picture of %lld x %lld does not fit into the memory allowed",
                       (long long)width, (long long)height);
    uint8_t *rgb = mem_zalloc((size_t)bytes + 1);
    if (!rgb)
        return err_nomem(cx);
    *out = (struct image){width, height, rgb};
    return 1;
}

/* ---- BMP ---- */

static uint32_t le(const uint8_t *p, int bytes)
{
    uint32_t v = 0;
    for (int i = bytes - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

struct bmp {
    const uint8_t *pixels, *palette;
    size_t stride;
    int bits, colors, entry; /* entry: bytes of a palette entry */
};

static void bmp_pixel(const struct bmp *b, const uint8_t *row, int64_t x, uint8_t *rgb)
{
    const uint8_t *p = row + x * (b->bits / 8);
    if (b->bits <= 8) {
        int per_byte = 8 / b->bits, shift = 8 - b->bits * (int)(x % per_byte + 1);
        int index = row[x / per_byte] >> shift & ((1 << b->bits) - 1);
        if (index >= b->colors)
            return;
        p = b->palette + index * b->entry;
    }
    rgb[0] = p[2];
    rgb[1] = p[1];
    rgb[2] = p[0];
}

/* Uncompressed ones of 1, 4, 8, 24 and 32 bits. */
static int bmp_decode(struct cx *cx, const uint8_t *p, size_t n, struct image *out)
{
    if (n < 26)
        return 0;
    uint32_t start = le(p + 10, 4), header = le(p + 14, 4);
    bool old = header == 12;
    if (!old && (header < 40 || n < 54))
        return 0;
    int64_t width = old ? (int64_t)le(p + 18, 2) : (int32_t)le(p + 18, 4);
    int64_t height = old ? (int64_t)le(p + 20, 2) : (int32_t)le(p + 22, 4);
    struct bmp b = {.bits = (int)le(p + (old ? 24 : 28), 2), .entry = old ? 3 : 4};
    uint32_t packing = old ? 0 : le(p + 30, 4), used = old ? 0 : le(p + 46, 4);
    bool down = height < 0;
    height = down ? -height : height;
    bool known = b.bits == 1 || b.bits == 4 || b.bits == 8 || b.bits == 24 || b.bits == 32;
    if (packing || !known)
        return err_set(cx, E_UNSUPPORTED, "BMP of %d bits with compression %u", b.bits, packing);
    if (width <= 0 || !height || width > MAX_SIDE || header > n - 14)
        return 0;
    b.stride = ((size_t)width * (size_t)b.bits + 31) / 32 * 4;
    if (start > n || (n - start) / b.stride < (size_t)height)
        return 0;
    b.pixels = p + start;
    b.palette = p + 14 + header;
    size_t room = (n - 14 - header) / (size_t)b.entry;
    b.colors = b.bits > 8 ? 0 : used && used < 1u << b.bits ? (int)used : 1 << b.bits;
    b.colors = (size_t)b.colors > room ? (int)room : b.colors;
    int rc = image_new(cx, width, height, out);
    for (int64_t y = 0; rc > 0 && y < height; y++)
        for (int64_t x = 0; x < width; x++)
            bmp_pixel(&b, b.pixels + (size_t)(down ? y : height - 1 - y) * b.stride, x,
                      out->rgb + (y * width + x) * 3);
    return rc;
}

/* ---- PNM ---- */

struct reader {
    const uint8_t *p, *end;
};

/* The next number, past white space and comments; -1: none. */
static int64_t pnm_number(struct reader *r)
{
    int64_t v = -1;
    while (r->p < r->end && (*r->p == '#' || *r->p == ' ' || (*r->p >= '\t' && *r->p <= '\r')))
        if (*r->p++ == '#')
            while (r->p < r->end && *r->p != '\n')
                r->p++;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9' && v < MAX_SIDE)
        v = (v < 0 ? 0 : v) * 10 + (*r->p++ - '0');
    return v;
}

/* One sample of an ASCII or binary file; -1 at the end. */
static int64_t pnm_sample(struct reader *r, char type, int64_t max)
{
    if (type == '1') { /* digits need no space between them */
        while (r->p < r->end && *r->p != '0' && *r->p != '1')
            r->p++;
        return r->p < r->end ? *r->p++ - '0' : -1;
    }
    if (type < '4')
        return pnm_number(r);
    int bytes = max > 255 ? 2 : 1;
    if (r->end - r->p < bytes)
        return -1;
    r->p += bytes;
    return bytes == 1 ? r->p[-1] : r->p[-2] << 8 | r->p[-1];
}

/* Rows of bits, each from a new byte; 1 is black. */
static bool pnm_bits(struct reader *r, const struct image *im)
{
    int64_t stride = (im->width + 7) / 8;
    if ((r->end - r->p) / stride < im->height)
        return false;
    for (int64_t i = 0; i < im->width * im->height; i++) {
        int64_t x = i % im->width;
        bool black = r->p[i / im->width * stride + x / 8] >> (7 - x % 8) & 1;
        memset(im->rgb + 3 * i, black ? 0 : 255, 3);
    }
    return true;
}

static bool pnm_pixels(struct reader *r, const struct image *im, char type, int64_t max)
{
    bool color = type == '3' || type == '6';
    for (int64_t i = 0; i < im->width * im->height * 3; i++) {
        if (!color && i % 3) {
            im->rgb[i] = im->rgb[i - 1];
            continue;
        }
        int64_t v = pnm_sample(r, type, max);
        if (v < 0 || v > max)
            return false;
        im->rgb[i] = type == '1' ? (v ? 0 : 255) : (uint8_t)((v * 255 + max / 2) / max);
    }
    return true;
}

static int pnm_decode(struct cx *cx, const uint8_t *p, size_t n, struct image *out)
{
    struct reader r = {p + 2, p + n};
    char type = (char)p[1];
    int64_t width = pnm_number(&r), height = pnm_number(&r), max = 1;
    if (type != '1' && type != '4')
        max = pnm_number(&r);
    if (width <= 0 || height <= 0 || max < 1 || max > 65535 || r.p == r.end)
        return 0;
    r.p++; /* one white space */
    if (width > MAX_SIDE || height > MAX_SIDE || (width / 8) * height > (int64_t)n * 8)
        return 0; /* fewer bytes than that many pixels take */
    int rc = image_new(cx, width, height, out);
    if (rc > 0 && !(type == '4' ? pnm_bits(&r, out) : pnm_pixels(&r, out, type, max))) {
        free(out->rgb);
        rc = 0;
    }
    return rc;
}

/* ---- PNG ---- */

#ifdef OT_HAVE_libpng
static int png_decode(struct cx *cx, const uint8_t *p, size_t n, struct image *out)
{
    png_image im = {.version = PNG_IMAGE_VERSION};
    uint8_t *rgba = NULL;
    int rc = 0;
    if (png_image_begin_read_from_memory(&im, p, n)) {
        im.format = PNG_FORMAT_RGBA;
        rc = image_new(cx, im.width, im.height, out);
        rgba = rc > 0 ? mem_alloc((size_t)im.width * im.height * 4) : NULL;
        if (rc > 0 && !rgba) {
            free(out->rgb);
            rc = err_nomem(cx);
        }
    }
    if (rgba && !png_image_finish_read(&im, NULL, rgba, 0, NULL)) {
        free(out->rgb);
        rc = 0;
    }
    for (size_t i = 0; rc > 0 && i < (size_t)im.width * im.height; i++)
        memcpy(out->rgb + 3 * i, rgba + 4 * i, 3);
    free(rgba);
    png_image_free(&im);
    return rc;
}
#else
static int png_decode(struct cx *cx, const uint8_t *p, size_t n, struct image *out)
{
    (void)p, (void)n, (void)out;
    return err_set(cx, E_UNSUPPORTED, "this program was built without libpng");
}
#endif

/* ---- JPEG ---- */

#ifdef OT_HAVE_libjpeg
/* libjpeg leaves by longjmp on an error. */
struct jpeg_reader {
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr err;
    jmp_buf out;
};

static void jpeg_failed(j_common_ptr d)
{
    longjmp(((struct jpeg_reader *)d->client_data)->out, 1);
}

static void jpeg_quiet(j_common_ptr d)
{
    (void)d;
}

static int jpeg_rows(struct cx *cx, struct jpeg_reader *r, const uint8_t *p, size_t n, struct image *out)
{
    jpeg_create_decompress(&r->d);
    r->d.client_data = r;
    jpeg_mem_src(&r->d, p, (unsigned long)n);
    jpeg_read_header(&r->d, TRUE);
    r->d.out_color_space = JCS_RGB;
    jpeg_start_decompress(&r->d);
    int rc = image_new(cx, r->d.output_width, r->d.output_height, out);
    while (rc > 0 && r->d.output_scanline < r->d.output_height) {
        JSAMPROW row = out->rgb + (size_t)r->d.output_scanline * r->d.output_width * 3;
        jpeg_read_scanlines(&r->d, &row, 1);
    }
    if (rc > 0)
        jpeg_finish_decompress(&r->d);
    return rc;
}

static int jpeg_decode(struct cx *cx, const uint8_t *p, size_t n, struct image *out)
{
    struct jpeg_reader *r = mem_zalloc(sizeof(*r));
    volatile int rc = 0;
    if (!r)
        return err_nomem(cx);
    r->d.err = jpeg_std_error(&r->err);
    r->err.error_exit = jpeg_failed;
    r->err.output_message = jpeg_quiet;
    r->d.client_data = r;
    *out = (struct image){0};
    if (!setjmp(r->out)) {
        rc = jpeg_rows(cx, r, p, n, out);
    } else {
        free(out->rgb);
        rc = 0;
    }
    jpeg_destroy_decompress(&r->d);
    free(r);
    return rc;
}
#else
static int jpeg_decode(struct cx *cx, const uint8_t *p, size_t n, struct image *out)
{
    (void)p, (void)n, (void)out;
    return err_set(cx, E_UNSUPPORTED, "this program was built without libjpeg");
}
#endif

/* ---- which ---- */

struct format {
    const char *magic;
    size_t offset, n;
    int (*decode)(struct cx *cx, const uint8_t *p, size_t n, struct image *out);
};

int image_decode(struct cx *cx, const uint8_t *p, size_t n, struct image *out)
{
    static const struct format formats[] = {
        {"\x89PNG\r\n\x1a\n", 0, 8, png_decode},
        {"\xff\xd8\xff", 0, 3, jpeg_decode},
        {"BM", 0, 2, bmp_decode},
        {"II*\0", 0, 4, tiff_decode},
        {"MM\0*", 0, 4, tiff_decode},
        {"WEBP", 8, 4, webp_decode},
        {"jP  \r\n\x87\n", 4, 8, jp2_decode},
        {"\xff\x4f\xff\x51", 0, 4, jp2_decode},
    };
    if (n > 8 && p[0] == 'P' && p[1] >= '1' && p[1] <= '6')
        return pnm_decode(cx, p, n, out);
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        const struct format *f = &formats[i];
        if (n >= f->offset + f->n && !memcmp(p + f->offset, f->magic, f->n))
            return f->decode(cx, p, n, out);
    }
    return 0;
}
