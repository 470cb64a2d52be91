/* Reading a JSON file whole. */
#ifndef OT_TARGET_JSON_FILE_H
#define OT_TARGET_JSON_FILE_H

#include <cjson/cJSON.h>

#include "base/err.h"

/* E_NOENT, E_IO, or E_DATA with the line of the mistake. The caller deletes it. */
int json_file_read(struct cx *cx, const char *path, cJSON **out);

#endif
