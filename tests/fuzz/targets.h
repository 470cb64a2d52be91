/* What broken input is thrown at. Each target reads n bytes as one kind of file, uses what comes out, and
 * says whether the library kept its promises: NULL, or what it did wrong. Crashes are the sanitizers' to
 * find. */
#ifndef TESTS_FUZZ_TARGETS_H
#define TESTS_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

/* Loads a model; what loads is verified, its small tensors are read, it is saved, loaded and saved again;
 * then checked. */
const char *target_model(const uint8_t *p, size_t n);
const char *target_npy(const uint8_t *p, size_t n);
const char *target_npz(const uint8_t *p, size_t n);
/* As each kind of value in turn. */
const char *target_value(const uint8_t *p, size_t n);

/* The status of the last load by target_model: 0, or a negative code. */
extern int target_status;

#endif
