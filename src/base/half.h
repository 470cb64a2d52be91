/* Conversions of the narrow float types, one value at a time; formats as in IEEE 754-2008 (binary16),
 * bfloat16 (truncated binary32), OCP FP8 / the FNUZ variants, OCP MX FP4 (E2M1), FP6 and E8M0.
 * From float: round to nearest even. */
#ifndef OT_BASE_HALF_H
#define OT_BASE_HALF_H

#include <stdint.h>

float f16_to_f32(uint16_t h);
uint16_t f16_from_f32(float f);
uint16_t f16_from_f64(double d); /* one rounding, not two */
float bf16_to_f32(uint16_t h);
uint16_t bf16_from_f32(float f);
uint16_t bf16_from_f64(double d);

enum fp8_kind { FP8_E4M3FN, FP8_E4M3FNUZ, FP8_E5M2, FP8_E5M2FNUZ };
float fp8_to_f32(enum fp8_kind k, uint8_t v);
/* saturate: out-of-range values (and infinities) become the largest finite one; otherwise NaN or Inf as the
 * table in ONNX's Cast specification says. */
uint8_t fp8_from_f32(enum fp8_kind k, float f, int saturate);
uint8_t fp8_from_f64(enum fp8_kind k, double d, int saturate);
float fp4_to_f32(uint8_t v);
uint8_t fp4_from_f32(float f); /* saturates; NaN becomes 6 */
uint8_t fp4_from_f64(double d);
enum fp6_kind { FP6_E2M3, FP6_E3M2 };
float fp6_to_f32(enum fp6_kind k, uint8_t v);
uint8_t fp6_from_f32(enum fp6_kind k, float f); /* saturates; NaN becomes the largest value */
uint8_t fp6_from_f64(enum fp6_kind k, double d);
float e8m0_to_f32(uint8_t v);
/* mode: 0 up, 1 down, 2 nearest (Cast's round_mode) */
uint8_t e8m0_from_f32(float f, int saturate, int mode);
uint8_t e8m0_from_f64(double d, int saturate, int mode);

#endif
