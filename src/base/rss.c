/* Memory of this process, read from /proc. */
#include "rss.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A line "NAME:   N kB" of /proc/self/status. */
static uint64_t status_line(const char *name)
{
    char line[200];
    unsigned long long kib = 0;
    size_t len = strlen(name);
    FILE *f = fopen("/proc/self/status", "re");
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, name, len) == 0 && line[len] == ':')
            sscanf(line + len + 1, "%llu", &kib);
    fclose(f);
    return (uint64_t)kib << 10;
}

uint64_t rss_now(void)
{
    return status_line("VmRSS");
}

uint64_t rss_peak(void)
{
    uint64_t peak = status_line("VmHWM");
    struct rusage u;
    if (!peak && getrusage(RUSAGE_SELF, &u) == 0)
        peak = (uint64_t)u.ru_maxrss << 10;
    return peak;
}

/* proc(5): 5 written to clear_refs sets the peak back to what is resident. */
bool rss_forget_peak(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool done = write(fd, "5", 1) == 1;
    return close(fd) == 0 && done;
}
