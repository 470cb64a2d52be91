/* Common advice, set right: see advice.c. */
#ifndef CMD_ADVICE_H
#define CMD_ADVICE_H

struct advice {
    const char *said, *truth;
    const char *command; /* shows it, in testdata/targets */
    const char *prints;  /* an extended regular expression that its output matches */
};

/* The last one is empty. */
extern const struct advice advices[];

/* The format of files that --facts and --target take. */
struct facts_key {
    const char *key, *meaning;
};
extern const char facts_example[];
extern const struct facts_key facts_keys[];

#endif
