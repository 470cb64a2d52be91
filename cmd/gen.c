/* Manual pages and completions, from the same rows as the parser's. */
#include "cmd.h"

int gen_write(struct app *app, const char *what, const char *dir)
{
    (void)what;
    (void)dir;
    return cmd_usage(app, "not here yet");
}
