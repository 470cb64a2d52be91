/* What the processor and the operating system allow: instruction sets, cores. */
#include "cpu.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

/* --- instruction sets */

#if defined(__x86_64__) || defined(__i386__)

/* Which register files the operating system saves: XCR0. */
static uint64_t saved_state(void)
{
    uint32_t lo, hi;

    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static bool has(unsigned reg, unsigned bits)
{
    return (reg & bits) == bits;
}

static unsigned detect(void)
{
    enum { YMM = 0x6, ZMM = 0xe6 }; /* SSE and AVX state; with opmask, upper halves, registers 16 to 31 */
    unsigned a, b, c, d, flags = 0;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C))
        return 0;
    uint64_t state = saved_state();
    if ((state & YMM) != YMM || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !has(b, bit_AVX2))
        return 0;
    flags = CPU_AVX2;
    if ((state & ZMM) == ZMM &&
        has(b, bit_AVX512F | bit_AVX512CD | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL)) {
        flags |= CPU_AVX512;
        if (has(c, bit_AVX512VNNI))
            flags |= CPU_VNNI;
    }
    return flags;
}

const char *cpu_brand(void)
{
    static _Thread_local unsigned words[13];
    const char *text = (const char *)words;

    for (unsigned i = 0; i < 3; i++)
        if (!__get_cpuid(0x80000002 + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                         &words[4 * i + 3]))
            return "unknown";
    text += strspn(text, " ");
    return *text ? text : "unknown";
}

#else

static unsigned detect(void)
{
#ifdef __aarch64__
    return CPU_NEON; /* part of the base architecture */
#else
    return 0;
#endif
}

const char *cpu_brand(void)
{
    return "unknown";
}

#endif

unsigned cpu_flags(void)
{
    enum { KNOWN = 1u << 31 };
    static atomic_uint cached;
    unsigned flags = atomic_load_explicit(&cached, memory_order_relaxed);

    if (!flags) {
        flags = detect() | (unsigned)KNOWN;
        atomic_store_explicit(&cached, flags, memory_order_relaxed);
    }
    return flags & ~(unsigned)KNOWN;
}

/* Weakest first. */
static const struct {
    const char *name;
    unsigned mask;
} levels[] = {
    {"c", 0},
    {"neon", CPU_NEON},
    {"avx2", CPU_AVX2},
    {"avx512", CPU_AVX2 | CPU_AVX512},
    {"vnni", CPU_AVX2 | CPU_AVX512 | CPU_VNNI},
};
enum { LEVELS = sizeof levels / sizeof *levels };

int cpu_mask_parse(const char *name, unsigned *mask)
{
    if (strcmp(name, "all") == 0) {
        *mask = CPU_AVX2 | CPU_AVX512 | CPU_VNNI | CPU_NEON;
        return 0;
    }
    for (int i = 0; i < LEVELS; i++)
        if (strcmp(name, levels[i].name) == 0) {
            *mask = levels[i].mask;
            return 0;
        }
    return -1;
}

const char *cpu_mask_name(unsigned mask)
{
    int i = LEVELS - 1;

    while ((levels[i].mask & mask) != levels[i].mask)
        i--;
    return levels[i].name;
}

/* --- what the container allows */

/* The number that a file under /sys or /proc begins with; false for "max" and for no file. */
static bool read_number(const char *path, unsigned long long *out, unsigned long long *second)
{
    FILE *f = fopen(path, "re");

    if (!f)
        return false;
    int got = fscanf(f, "%llu %llu", out, second ? second : &(unsigned long long){0});
    fclose(f);
    return got >= 1 + (second != NULL);
}

/* Value of the line "key value" of a file such as memory.stat or /proc/meminfo; 0 if there is none. */
static unsigned long long read_key(const char *path, const char *key)
{
    char name[64];
    unsigned long long v, found = 0;
    FILE *f = fopen(path, "re");

    if (!f)
        return 0;
    while (fscanf(f, "%63s %llu%*[^\n]", name, &v) == 2)
        if (strcmp(name, key) == 0) {
            found = v;
            break;
        }
    fclose(f);
    return found;
}

/* The folder of this process's cgroup for a v1 controller, or of the v2 one for NULL, below its mount point.
 */
static bool cgroup_path(const char *controller, char *out, size_t size)
{
    char line[4096];
    bool found = false;
    FILE *f = fopen("/proc/self/cgroup", "re");

    if (!f)
        return false;
    while (!found && fgets(line, sizeof line, f)) {
        char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        path[strcspn(path, "\n")] = 0;
        names++;
        if (!controller) {
            found = !*names;
        } else {
            for (char *save, *n = strtok_r(names, ",", &save); n && !found; n = strtok_r(NULL, ",", &save))
                found = strcmp(n, controller) == 0;
        }
        if (found)
            snprintf(out, size, "%s", path);
    }
    fclose(f);
    return found;
}

/* Calls fn for each cgroup folder from this process's up to the root: each one's limit holds. Inside a
 * container the path may be the host's and name nothing; the mount point then is our own group. */
static void each_cgroup(const char *mount, const char *controller, void (*fn)(const char *dir, void *arg),
                        void *arg)
{
    char path[2048], dir[2304];

    if (!cgroup_path(controller, path, sizeof path))
        return;
    for (;;) {
        size_t n = strlen(path);
        while (n && path[n - 1] == '/')
            path[--n] = 0;
        snprintf(dir, sizeof dir, "%s%s", mount, path);
        fn(dir, arg);
        char *slash = strrchr(path, '/');
        if (!slash)
            break;
        *slash = 0;
    }
}

/* v2: cpu.max holds "quota period" or "max period". arg: cores, lowered. */
static void cpu_quota_v2(const char *dir, void *arg)
{
    char file[2400];
    unsigned long long quota, period;
    int *cores = arg;

    snprintf(file, sizeof file, "%s/cpu.max", dir);
    if (read_number(file, &quota, &period) && period && (quota + period - 1) / period < (unsigned)*cores)
        *cores = (int)((quota + period - 1) / period);
}

static void cpu_quota_v1(const char *dir, void *arg)
{
    char file[2400];
    unsigned long long quota, period;
    int *cores = arg;

    snprintf(file, sizeof file, "%s/cpu.cfs_period_us", dir);
    if (!read_number(file, &period, NULL) || !period)
        return;
    snprintf(file, sizeof file, "%s/cpu.cfs_quota_us", dir);
    /* -1, no quota, reads as a huge unsigned number. */
    if (read_number(file, &quota, NULL) && quota < UINT32_MAX &&
        (quota + period - 1) / period < (unsigned)*cores)
        *cores = (int)((quota + period - 1) / period);
}

int cpu_count(void)
{
    cpu_set_t *set;
    int cores = 0;

    /* The mask may be larger than cpu_set_t's 1024 bits. */
    for (int bits = 1024; !cores && bits <= 1 << 17; bits *= 4) {
        set = CPU_ALLOC((size_t)bits);
        if (!set)
            break;
        if (sched_getaffinity(0, CPU_ALLOC_SIZE((size_t)bits), set) == 0)
            cores = CPU_COUNT_S(CPU_ALLOC_SIZE((size_t)bits), set);
        CPU_FREE(set);
    }
    if (cores < 1)
        cores = 1;
    each_cgroup("/sys/fs/cgroup", NULL, cpu_quota_v2, &cores);
    each_cgroup("/sys/fs/cgroup/cpu", "cpu", cpu_quota_v1, &cores);
    return cores < 1 ? 1 : cores;
}

/* What is left below a limit: pages of files can be dropped, so they do not count as used; shared memory
 * does. */
static unsigned long long left_of(unsigned long long limit, unsigned long long used, unsigned long long file,
                                  unsigned long long shared)
{
    unsigned long long droppable = file > shared ? file - shared : 0;

    used = used > droppable ? used - droppable : 0;
    return limit > used ? limit - used : 0;
}

/* arg: bytes, lowered. */
static void memory_v2(const char *dir, void *arg)
{
    char file[2400];
    unsigned long long limit, used, *bytes = arg;

    snprintf(file, sizeof file, "%s/memory.max", dir);
    if (!read_number(file, &limit, NULL))
        return;
    snprintf(file, sizeof file, "%s/memory.current", dir);
    if (!read_number(file, &used, NULL))
        used = 0;
    snprintf(file, sizeof file, "%s/memory.stat", dir);
    limit = left_of(limit, used, read_key(file, "file"), read_key(file, "shmem"));
    if (limit < *bytes)
        *bytes = limit;
}

static void memory_v1(const char *dir, void *arg)
{
    char file[2400];
    unsigned long long limit, used, *bytes = arg;

    snprintf(file, sizeof file, "%s/memory.limit_in_bytes", dir);
    if (!read_number(file, &limit, NULL))
        return;
    snprintf(file, sizeof file, "%s/memory.usage_in_bytes", dir);
    if (!read_number(file, &used, NULL))
        used = 0;
    snprintf(file, sizeof file, "%s/memory.stat", dir);
    limit = left_of(limit, used, read_key(file, "total_cache"), read_key(file, "total_shmem"));
    if (limit < *bytes)
        *bytes = limit;
}

/* Room in the address space, where `ulimit -v` bounds it. */
static unsigned long long address_space_left(void)
{
    struct rlimit lim;
    unsigned long long pages = 0;

    if (getrlimit(RLIMIT_AS, &lim) || lim.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    read_number("/proc/self/statm", &pages, NULL);
    return left_of(lim.rlim_cur, pages * (unsigned long long)sysconf(_SC_PAGESIZE), 0, 0);
}

size_t cpu_memory_limit(void)
{
    unsigned long long bytes = read_key("/proc/meminfo", "MemAvailable:") * 1024;
    unsigned long long space = address_space_left();

    if (!bytes)
        bytes = (unsigned long long)sysconf(_SC_PHYS_PAGES) * (unsigned long long)sysconf(_SC_PAGESIZE);
    each_cgroup("/sys/fs/cgroup", NULL, memory_v2, &bytes);
    each_cgroup("/sys/fs/cgroup/memory", "memory", memory_v1, &bytes);
    if (space < bytes)
        bytes = space;
    return bytes > SIZE_MAX ? SIZE_MAX : (size_t)bytes;
}
