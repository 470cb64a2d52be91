/* Memory of this process, as the kernel counts it. */
#ifndef OT_BASE_RSS_H
#define OT_BASE_RSS_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes resident now, and at most since the last rss_forget_peak() (or the start); 0: not known. */
uint64_t rss_now(void);
uint64_t rss_peak(void);
/* Begins a new peak; false where the kernel cannot. */
bool rss_forget_peak(void);

#endif
