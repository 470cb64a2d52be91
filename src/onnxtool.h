/* The public face of libonnxtool. */
#ifndef ONNXTOOL_H
#define ONNXTOOL_H

#ifdef __cplusplus
extern "C" {
#endif

#define OT_API __attribute__((visibility("default")))

/* "major.minor.patch" of the library, static. */
OT_API const char *ot_version(void);

#ifdef __cplusplus
}
#endif

#endif
