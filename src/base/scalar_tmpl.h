/* The scalar and bulk conversions of one element type; dtype.c includes this once a type, with
 *   NAME  the row's name            T  what an element is in memory
 * and, where the C conversion is not the right one,
 *   TO_F64(x) TO_F32(x) TO_I64(x)   the value of an element x
 *   FROM_F64(v) FROM_F32(v) FROM_I64(v)   an element of that value
 * All are undefined again at the end. Elements are copied out, since a file's bytes may not be aligned. */
#ifndef TO_F64
#define TO_F64(x) ((double)(x))
#endif
#ifndef TO_F32
#define TO_F32(x) ((float)TO_F64(x))
#endif
#ifndef TO_I64
#define TO_I64(x) f64_to_i64(TO_F64(x))
#endif
#ifndef FROM_F32
#define FROM_F32(v) FROM_F64((double)(v))
#endif
#ifndef FROM_I64
#define FROM_I64(v) FROM_F64(i64_to_odd_f64(v))
#endif

#define CAT_(a, b) a##_##b
#define CAT(a, b)  CAT_(a, b)

static double CAT(load_f64, NAME)(const void *p)
{
    T x;

    memcpy(&x, p, sizeof x);
    return TO_F64(x);
}

static void CAT(store_f64, NAME)(void *p, double v)
{
    T x = FROM_F64(v);

    memcpy(p, &x, sizeof x);
}

static int64_t CAT(load_i64, NAME)(const void *p)
{
    T x;

    memcpy(&x, p, sizeof x);
    return TO_I64(x);
}

static void CAT(store_i64, NAME)(void *p, int64_t v)
{
    T x = FROM_I64(v);

    memcpy(p, &x, sizeof x);
}

static void CAT(to_f32, NAME)(const void *src, float *dst, size_t n)
{
    const char *p = src;

    for (size_t i = 0; i < n; i++) {
        T x;
        memcpy(&x, p + i * sizeof x, sizeof x);
        dst[i] = TO_F32(x);
    }
}

static void CAT(from_f32, NAME)(const float *src, void *dst, size_t n)
{
    char *p = dst;

    for (size_t i = 0; i < n; i++) {
        T x = FROM_F32(src[i]);
        memcpy(p + i * sizeof x, &x, sizeof x);
    }
}

#undef CAT
#undef CAT_
#undef NAME
#undef T
#undef TO_F64
#undef TO_F32
#undef TO_I64
#undef FROM_F64
#undef FROM_F32
#undef FROM_I64
