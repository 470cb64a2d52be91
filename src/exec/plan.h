/* The memory of one run: shapes of all values for one binding of the input shapes, and where they lie. */
#ifndef OT_EXEC_PLAN_H
#define OT_EXEC_PLAN_H

#include "exec/exec.h"

struct plan {
    struct arena arena;
    int64_t *key; /* shapes and types of inputs and captures */
    size_t nkey;
    uint64_t used;    /* clock of the latest run */
    struct tensor *t; /* by slot; dims and data set where planned */
    uint32_t nslots;
    uint8_t *known;            /* by slot: shape known from the binding */
    const struct tensor ***in; /* per step */
    struct tensor ***out;
    uint8_t *own;     /* by slot: made by a step; inputs, captures and constants are borrowed */
    uint8_t *ready;   /* per step: all inputs and outputs known, nothing to infer */
    uint64_t *offset; /* by slot: place in the block; UINT64_MAX: not in it */
    uint32_t *root;   /* by slot: the slot whose buffer it shares (itself: none) */
    uint32_t *alias;  /* views of inputs and captures: addresses set at each run */
    uint32_t nalias;
    struct blob *block;
    uint64_t block_size;
    uint64_t naive_size; /* what it would be without sharing */
};

/* Finds or makes the plan for the tensors that are in *t by slot (inputs and captures). */
int plan_get(struct cx *cx, struct prog *p, const struct tensor *ins, const struct tensor *const *caps,
             struct plan **out);
void plan_free(struct exec *ex, struct plan *pl);

/* memory.c: assigns root, offset and block_size from sizes and lifetimes. Linear but for the free list. */
int plan_memory(struct cx *cx, const struct prog *p, struct plan *pl);

#endif
