/* Tensors written out by hand: "[[1, 2.5], [3, -4]]", "7", "[true, false]", "[\"a\", \"b\"]". */
#ifndef OT_IO_INLINE_TENSOR_H
#define OT_IO_INLINE_TENSOR_H

#include <stdbool.h>

#include "base/err.h"
#include "base/tensor.h"

/* Whether text begins as a tensor written out does: with a bracket, a quote, a sign or a digit, or it is a
 * word that stands for a value (true, false, nan, inf). File names may begin so too: ask for the file first
 * unless it is a bracket. */
bool inline_tensor_likely(const char *text);
/* Elements of type dt (all but complex), row by row; the nesting is the shape, brackets on one level hold
 * equally many. Fewer levels than rank (the model's; negative: unknown) get axes of 1 in front. Integers are
 * exact and must be in the range of dt. E_DATA with the place of what is wrong. */
int inline_tensor_parse(struct cx *cx, const char *text, enum dtype dt, int rank, struct tensor *out);

#endif
