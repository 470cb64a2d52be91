/* Puts the tables into the program, byte by byte, through the assembler. Paths are from the folder that make
 * runs in; the Makefile says that this object depends on them. */
#include "target/facts_data.h"

#define EMBED(symbol, file)                                                                                  \
    __asm__(".section .rodata\n.globl " #symbol "\n.hidden " #symbol "\n" #symbol ":\n.incbin \"src/target/" \
            "facts/" file "\"\n.byte 0\n.previous\n")

EMBED(facts_runtimes, "runtimes.tsv");
EMBED(facts_releases, "releases.tsv");
EMBED(facts_measured, "measured.tsv");
EMBED(facts_bundles, "bundles.tsv");
EMBED(facts_kernels_tsv, "kernels.tsv");
EMBED(facts_fixes, "fixes.tsv");
EMBED(facts_operators, "operators.tsv");
EMBED(facts_meaning, "meaning.tsv");
EMBED(facts_late, "late.tsv");
EMBED(facts_bodies, "bodies.tsv");
