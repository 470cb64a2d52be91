/* The tables of src/target/facts, as they are built into the program. */
#ifndef OT_TARGET_FACTS_DATA_H
#define OT_TARGET_FACTS_DATA_H

/* Text of the files, each behind the other, terminated. */
extern const char facts_runtimes[], facts_releases[], facts_measured[], facts_bundles[], facts_kernels_tsv[],
    facts_fixes[], facts_operators[], facts_meaning[], facts_late[], facts_bodies[];

#endif
