/* What a file is that turned out to be no ONNX model, and what to do about it. */
#ifndef OT_IO_SNIFF_H
#define OT_IO_SNIFF_H

#include <stdbool.h>

#include "base/blob.h"
#include "base/err.h"

/* Sets E_NOTONNX with the answer and returns true when the content is recognized. Reads a few KiB. Call it
 * when decoding failed or found no graph: it does not try to tell models from other files. */
bool sniff(struct cx *cx, struct file *f);
/* The same for a file that should hold a tensor; E_DATA. */
bool sniff_tensor(struct cx *cx, struct file *f);

#endif
