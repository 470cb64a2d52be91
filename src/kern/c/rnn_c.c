/* Gates of recurrent cells, the reference. */
#include <math.h>

#include "kern/kern.h"

static float limit(float x, float clip)
{
    return clip <= 0 ? x : x < -clip ? -clip : x > clip ? clip : x;
}

static float sigmoid(float x)
{
    float t = expf(-fabsf(x));
    return (x < 0 ? t : 1) / (1 + t);
}

void k_f32_lstm_c(const float *gates, const float *peephole, float *c, float *h, size_t n, float clip)
{
    const float *gi = gates, *go = gi + n, *gf = go + n, *gc = gf + n;
    const float *pi = peephole, *po = pi ? pi + n : NULL, *pf = pi ? po + n : NULL;
    for (size_t j = 0; j < n; j++) {
        float i = sigmoid(limit(gi[j] + (pi ? pi[j] * c[j] : 0), clip));
        float f = sigmoid(limit(gf[j] + (pf ? pf[j] * c[j] : 0), clip));
        float v = f * c[j] + i * tanhf(limit(gc[j], clip));
        float o = sigmoid(limit(go[j] + (po ? po[j] * v : 0), clip));
        c[j] = v;
        h[j] = o * tanhf(v);
    }
}

void k_f32_gru_c(const float *zr, const float *hx, const float *hr, bool r_applied, float *h, size_t n,
                 float clip)
{
    for (size_t j = 0; j < n; j++) {
        float z = sigmoid(limit(zr[j], clip));
        float r = r_applied ? 1 : sigmoid(limit(zr[n + j], clip));
        float t = tanhf(limit(hx[j] + r * hr[j], clip));
        h[j] = (1 - z) * t + z * h[j];
    }
}
