/* Reference convolutions of one element type: T the type, FN and FN_T the names, ROW and AT of the helpers.
 * Three axes. Includes nothing. */

/* Adds input plane x under its taps w to outputs [w0, w0 + n) of row (od, oh). */
static void ROW(const struct conv_params *p, const T *x, const T *w, int64_t row, int64_t w0, int64_t n,
                T *acc)
{
    for (int64_t tap = 0; tap < conv_taps(p); tap++) {
        int64_t tw = tap % p->kernel[2], th = tap / p->kernel[2] % p->kernel[1];
        int64_t id = conv_pos(p, 0, row / p->out[1], tap / p->kernel[2] / p->kernel[1]);
        int64_t ih = conv_pos(p, 1, row % p->out[1], th), lo, hi;
        if (!conv_inside(p, 0, id) || !conv_inside(p, 1, ih))
            continue;
        const T *line = x + (id * p->in[1] + ih) * p->in[2];
        conv_range(p, 2, tw, &lo, &hi);
        lo = lo < w0 ? w0 : lo;
        hi = hi > w0 + n ? w0 + n : hi;
        T f = w[tap];
        if (p->stride[2] == 1)
            for (int64_t o = lo; o < hi; o++)
                acc[o - w0] += f * line[o + tw * p->dilation[2] - p->pad[2]];
        else
            for (int64_t o = lo; o < hi; o++)
                acc[o - w0] += f * line[conv_pos(p, 2, o, tw)];
    }
}

void FN(const struct conv_params *p, const void *x, const void *w, const void *bias, void *y, int64_t p0,
        int64_t p1)
{
    int64_t cig = p->ci / p->groups, cog = p->co / p->groups, taps = conv_taps(p);
    for (int64_t q = p0; q < p1; q++) {
        int64_t img = q / p->co, co = q % p->co;
        const T *xg = (const T *)x + (img * p->ci + co / cog * cig) * conv_in_plane(p);
        const T *wc = (const T *)w + co * cig * taps;
        T *yp = (T *)y + q * conv_out_plane(p), acc[REF_CHUNK];
        for (int64_t row = 0; row < p->out[0] * p->out[1]; row++)
            for (int64_t w0 = 0; w0 < p->out[2]; w0 += REF_CHUNK) {
                int64_t n = p->out[2] - w0 < REF_CHUNK ? p->out[2] - w0 : REF_CHUNK;
                for (int64_t j = 0; j < n; j++)
                    acc[j] = 0;
                for (int64_t c = 0; c < cig; c++)
                    ROW(p, xg + c * conv_in_plane(p), wc + c * taps, row, w0, n, acc);
                for (int64_t j = 0; j < n; j++)
                    yp[row * p->out[2] + w0 + j] = acc[j] + (bias ? ((const T *)bias)[co] : 0);
            }
    }
}

/* What input plane x adds to output (o[0], o[1], o[2]) of the transposed convolution. */
static T AT(const struct conv_params *p, const T *x, const T *w, const int64_t o[3])
{
    T s = 0;
    for (int64_t tap = 0; tap < conv_taps(p); tap++) {
        int64_t t[3] = {tap / p->kernel[2] / p->kernel[1], tap / p->kernel[2] % p->kernel[1],
                        tap % p->kernel[2]};
        int64_t at = 0;
        bool hit = true;
        for (int ax = 0; ax < 3; ax++) {
            int64_t pos = o[ax] + p->pad[ax] - t[ax] * p->dilation[ax];
            hit = hit && pos >= 0 && pos % p->stride[ax] == 0 && pos / p->stride[ax] < p->in[ax];
            at = at * p->in[ax] + (hit ? pos / p->stride[ax] : 0);
        }
        if (hit)
            s += w[tap] * x[at];
    }
    return s;
}

void FN_T(const struct conv_params *p, const void *x, const void *w, const void *bias, void *y, int64_t p0,
          int64_t p1)
{
    int64_t cig = p->ci / p->groups, cog = p->co / p->groups, taps = conv_taps(p);
    for (int64_t q = p0; q < p1; q++) {
        int64_t img = q / p->co, co = q % p->co, c0 = co / cog * cig;
        for (int64_t i = 0; i < conv_out_plane(p); i++) {
            int64_t o[3] = {i / p->out[2] / p->out[1], i / p->out[2] % p->out[1], i % p->out[2]};
            T s = 0;
            for (int64_t c = 0; c < cig; c++)
                s += AT(p, (const T *)x + (img * p->ci + c0 + c) * conv_in_plane(p),
                        (const T *)w + ((c0 + c) * cog + co % cog) * taps, o);
            ((T *)y)[q * conv_out_plane(p) + i] = s + (bias ? ((const T *)bias)[co] : 0);
        }
    }
}

#undef T
#undef FN
#undef FN_T
#undef ROW
#undef AT
