#include "utf8.h"

#include <stdbool.h>

static bool tail(const char *p, size_t at, int32_t *c)
{
    unsigned char b = (unsigned char)p[at];
    *c = *c << 6 | (b & 0x3f);
    return (b & 0xc0) == 0x80;
}

int32_t utf8_get(const char *p, size_t n, size_t *len)
{
    static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char b = (unsigned char)p[0];
    size_t want = b < 0x80 ? 1 : b >> 5 == 6 ? 2 : b >> 4 == 14 ? 3 : b >> 3 == 30 ? 4 : 0;
    int32_t c = want < 2 ? b : b & (0x7f >> want);
    *len = 1;
    if (!want || want > n)
        return UTF8_BAD;
    for (size_t i = 1; i < want; i++)
        if (!tail(p, i, &c))
            return UTF8_BAD;
    if (c < least[want] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return UTF8_BAD;
    *len = want;
    return c;
}

size_t utf8_put(int32_t c, char *out)
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(lead[n] | c);
    return n;
}

struct case_range {
    int32_t lo, hi, step, delta;
};

static const struct case_range lower[] = {
#define LOWER(lo, hi, step, delta) {lo, hi, step, delta},
#define UPPER(lo, hi, step, delta)
#include "unicase.def"
#undef LOWER
#undef UPPER
};

static const struct case_range upper[] = {
#define LOWER(lo, hi, step, delta)
#define UPPER(lo, hi, step, delta) {lo, hi, step, delta},
#include "unicase.def"
#undef LOWER
#undef UPPER
};

static int32_t change(const struct case_range *r, size_t n, int32_t c)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (c > r[mid].hi)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == n || c < r[lo].lo || (c - r[lo].lo) % r[lo].step)
        return c;
    return c + r[lo].delta;
}

int32_t uni_lower(int32_t c)
{
    return change(lower, sizeof(lower) / sizeof(lower[0]), c);
}

int32_t uni_upper(int32_t c)
{
    return change(upper, sizeof(upper) / sizeof(upper[0]), c);
}
