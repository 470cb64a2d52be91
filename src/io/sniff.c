/* What a file is that is no ONNX model. */
#include "io/sniff.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"
#include "io/decode.h"
#include "io/safetensors.h"

#include "onnx.pb-c.h"

enum { HEAD = 4096 };

struct magic {
    size_t off;
    const char *bytes;
    size_t n;
    const char *what;
};

#define M(off, bytes, what)                                                                                  \
    {                                                                                                        \
        off, bytes, sizeof(bytes) - 1, what                                                                  \
    }

static const struct magic magics[] = {
    M(0, "version https://git-lfs",
      "a Git LFS pointer, not the model itself: run 'git lfs pull', or download the file again"),
    M(0, "\x1f\x8b", "gzip-compressed data: unpack it first (gunzip, or tar xzf)"),
    M(0, "BZh", "bzip2-compressed data: unpack it first (bunzip2)"),
    M(0,
      "\xfd"
      "7zXZ",
      "xz-compressed data: unpack it first (unxz)"),
    M(0, "\x28\xb5\x2f\xfd", "zstd-compressed data: unpack it first (unzstd)"),
    M(0, "7z\xbc\xaf", "a 7-Zip archive: unpack it first"),
    M(257, "ustar", "a tar archive: unpack it first (tar xf)"),
    M(4, "TFL3", "a TensorFlow Lite model: convert it with tf2onnx (python -m tf2onnx.convert --tflite)"),
    M(4, "ORTM",
      "an ORT-format model, which only ONNX Runtime reads: use the .onnx file that it was made from"),
    M(0, "ptrt", "a TensorRT engine, built for one GPU: use the .onnx file that it was made from"),
    M(0, "ftrt", "a TensorRT engine, built for one GPU: use the .onnx file that it was made from"),
    M(0, "\x89HDF\r\n\x1a\n", "an HDF5 file, perhaps a Keras model: convert it with tf2onnx"),
    M(0, "\x93NUMPY", "a numpy array, not a model"),
    M(0, "GGUF", "a GGUF model of llama.cpp: look for an ONNX export of the model"),
    M(0, "%PDF", "a PDF document, not a model"),
    M(0,
      "\x7f"
      "ELF",
      "an ELF program or library, not a model"),
    M(0, "\x89PNG", "a PNG image, not a model"),
    M(0, "\xff\xd8\xff", "a JPEG image, not a model"),
};

static const char unzip_advice[] = "a zip archive: unpack it and give the .onnx file inside";

static bool holds(const uint8_t *p, size_t n, const char *text)
{
    return memmem(p, n, text, strlen(text)) != NULL;
}

/* A zip archive: what the first member is called tells whose it is. */
static const char *sniff_zip(const uint8_t *p, size_t n)
{
    if (n < 4 || memcmp(p, "PK", 2) || !(p[2] == 3 || p[2] == 5) || p[3] != p[2] + 1)
        return NULL;
    if (holds(p, n, "constants.pkl") || holds(p, n, "/code/"))
        return "a TorchScript archive: export the model in PyTorch with torch.onnx.export";
    if (holds(p, n, "data.pkl") || holds(p, n, "/byteorder"))
        return "a PyTorch checkpoint: build the model in PyTorch, load it, and use torch.onnx.export";
    if (holds(p, n, "config.json") && holds(p, n, "keras"))
        return "a Keras model: convert it with tf2onnx";
    if (holds(p, n, ".npy"))
        return "a numpy .npz archive, not a model";
    return unzip_advice;
}

static const char *sniff_safetensors(const uint8_t *p, size_t n, uint64_t size)
{
    return safetensors_likely(p, n, size) ? "a safetensors file: weights only, without a graph. Export the "
                                            "model from the program that made "
                                            "it"
                                          : NULL;
}

static const char *sniff_pickle(const uint8_t *p, size_t n)
{
    if (n < 3 || p[0] != 0x80 || p[1] < 2 || p[1] > 5)
        return NULL;
    if (holds(p, n, "torch") || (n > 12 && p[2] == 0x8a))
        return "an old PyTorch checkpoint (a pickle): load it in PyTorch and use torch.onnx.export";
    return "a Python pickle: export the model from the program that made it";
}

static bool is_text(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] < 32 && !isspace(p[i]) && p[i] != 27)
            return false;
    return n > 0;
}

static bool starts(const uint8_t *p, size_t n, const char *text)
{
    return n >= strlen(text) && !strncasecmp((const char *)p, text, strlen(text));
}

static const char *sniff_markup(const uint8_t *p, size_t n)
{
    if (p[0] != '<')
        return NULL;
    if (starts(p, n, "<!doctype html") || starts(p, n, "<html") || holds(p, n, "<html"))
        return "an HTML page, perhaps a login or error page: download the file itself (its 'raw' link)";
    if (holds(p, n, "<net "))
        return "an OpenVINO model: use the .onnx file that it was made from";
    if (starts(p, n, "<?xml"))
        return "an XML document, not a model";
    return strchr("[{<", p[0]) && holds(p, n, "ir_version")
               ? "a model in ONNX's text form: convert it with onnx.parser.parse_model and onnx.save"
               : NULL;
}

static const char *sniff_text(const uint8_t *p, size_t n)
{
    const char *what;

    while (n && (isspace(*p) || *p == 0xef || *p == 0xbb || *p == 0xbf)) {
        p++;
        n--;
    }
    if (!n || !is_text(p, n))
        return NULL;
    what = sniff_markup(p, n);
    if (what)
        return what;
    if (starts(p, n, "ir_version:") || (holds(p, n, "ir_version:") && holds(p, n, "graph")))
        return "a model in protobuf's text or ONNX's text form: read it with google.protobuf.text_format or "
               "onnx.parser, and use onnx.save";
    if (*p == '{' || *p == '[')
        return holds(p, n, "\"graph\"") || holds(p, n, "irVersion")
                   ? "JSON, perhaps a model in JSON form: read it with google.protobuf.json_format and use "
                     "onnx.save"
                   : "JSON, not a model";
    return "plain text, not a model";
}

static bool decodes(struct file *f, const ProtobufCMessageDescriptor *desc, const void **msg, struct arena *a)
{
    struct cx quiet;
    void *m;
    int r;

    cx_init(&quiet);
    r = pb_decode(&quiet, f, 0, f->size, desc, a, &m);
    cx_fini(&quiet);
    *msg = m;
    return !r && ((const ProtobufCMessage *)m)->n_unknown_fields == 0;
}

/* The small messages that test data sets consist of. */
static const char *sniff_value(struct file *f)
{
    struct arena a = {.limit = 64 << 20};
    const char *what = NULL;
    const void *msg;

    if (decodes(f, &onnx__tensor_proto__descriptor, &msg, &a)) {
        const Onnx__TensorProto *t = msg;

        if (t->has_data_type && dtype_info(t->data_type)->name)
            what = "a single tensor (TensorProto), not a model: give it as an input with --input NAME=FILE";
    }
    if (!what && decodes(f, &onnx__graph_proto__descriptor, &msg, &a)) {
        const Onnx__GraphProto *g = msg;

        if (g->n_node && g->node[0]->op_type && g->n_output)
            what = "a bare graph (GraphProto) without a model around it: wrap it with onnx.helper.make_model";
    }
    arena_free(&a);
    return what;
}

static const char *sniff_magic(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
        const struct magic *m = &magics[i];

        if (n >= m->off + m->n && !memcmp(p + m->off, m->bytes, m->n))
            return m->what;
    }
    return NULL;
}

/* What the first bytes say; NULL: nothing. */
static const char *sniff_head(struct file *f)
{
    uint8_t head[HEAD];
    size_t n = f->size < HEAD ? (size_t)f->size : HEAD;
    const char *what;
    struct cx quiet;
    int r;

    cx_init(&quiet);
    r = file_read(&quiet, f, 0, head, n);
    cx_fini(&quiet);
    if (r < 0)
        return NULL;
    what = sniff_magic(head, n);
    if (!what)
        what = sniff_zip(head, n);
    if (!what)
        what = sniff_pickle(head, n);
    if (!what)
        what = sniff_safetensors(head, n, f->size);
    return what ? what : sniff_text(head, n);
}

bool sniff(struct cx *cx, struct file *f)
{
    const char *what;

    if (!f->size) {
        err_set(cx, E_NOTONNX, "%s is empty: a download or an export that did not finish?", f->path);
        return true;
    }
    what = sniff_head(f);
    if (!what)
        what = sniff_value(f);
    if (!what)
        return false;
    err_set(cx, E_NOTONNX, "%s is %s", f->path, what);
    return true;
}

bool sniff_tensor(struct cx *cx, struct file *f)
{
    const char *what = f->size ? sniff_head(f) : "empty";
    size_t n;

    if (!what)
        return false;
    /* The advice behind the name is about models. */
    n = strcspn(what, ":,(");
    while (n && what[n - 1] == ' ')
        n--;
    err_set(cx, E_DATA, "%s is %.*s, not a tensor: give a .npy or .pb file", f->path, (int)n, what);
    return true;
}
