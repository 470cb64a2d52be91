/* Recurrent cells over the vector type. */
#include "kern/kern.h"
#include "kern/tmpl/v_math.h"
#include "kern/tmpl/v_names.h"

static inline vf load(const float *p, size_t m)
{
    return m == VN ? v_load(p) : v_load_n(p, m);
}

static inline void save(float *p, vf x, size_t m)
{
    if (m == VN)
        v_store(p, x);
    else
        v_store_n(p, x, m);
}

static inline vf limit(vf x, float clip)
{
    return clip <= 0 ? x : v_min(v_set1(clip), v_max(v_set1(-clip), x));
}

void VNAME(lstm)(const float *gates, const float *peephole, float *c, float *h, size_t n, float clip)
{
    for (size_t j = 0; j < n; j += VN) {
        size_t m = n - j < VN ? n - j : VN;
        vf i = load(gates + j, m), o = load(gates + n + j, m), f = load(gates + 2 * n + j, m);
        vf g = v_tanh(limit(load(gates + 3 * n + j, m), clip)), old = load(c + j, m);
        if (peephole) {
            i = v_add(i, v_mul(load(peephole + j, m), old));
            f = v_add(f, v_mul(load(peephole + 2 * n + j, m), old));
        }
        i = v_sigmoid(limit(i, clip));
        f = v_sigmoid(limit(f, clip));
        vf v = v_add(v_mul(f, old), v_mul(i, g));
        if (peephole)
            o = v_add(o, v_mul(load(peephole + n + j, m), v));
        save(c + j, v, m);
        save(h + j, v_mul(v_sigmoid(limit(o, clip)), v_tanh(v)), m);
    }
}

void VNAME(gru)(const float *zr, const float *hx, const float *hr, bool r_applied, float *h, size_t n,
                float clip)
{
    vf one = v_set1(1.0f);
    for (size_t j = 0; j < n; j += VN) {
        size_t m = n - j < VN ? n - j : VN;
        vf z = v_sigmoid(limit(load(zr + j, m), clip));
        vf r = r_applied ? one : v_sigmoid(limit(load(zr + n + j, m), clip));
        vf t = v_tanh(limit(v_add(load(hx + j, m), v_mul(r, load(hr + j, m))), clip));
        save(h + j, v_add(v_mul(v_sub(one, z), t), v_mul(z, load(h + j, m))), m);
    }
}
