/* Clock, latency histograms, and what the kernel says of processes. */
#include "load.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* xorshift64* (Vigna 2014): mask keys, ids and the choice of rooms; a fixed seed. */
uint64_t random_bits(void) {
    static uint64_t state = 0x9e3779b97f4a7c15u;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1du;
}

static unsigned bucket_of(uint64_t value) {
    if (value < 32)
        return (unsigned)value;
    unsigned exponent = 63u - (unsigned)__builtin_clzll(value);
    return (exponent - 4) * 32 + (unsigned)(value >> (exponent - 5) & 31);
}

static double middle_of(unsigned bucket) {
    if (bucket < 32)
        return bucket;
    unsigned exponent = bucket / 32 + 4;
    double width = (double)(1ull << (exponent - 5));
    return (32 + bucket % 32) * width + width / 2;
}

void record(Histogram *h, uint64_t ns) {
    h->counts[bucket_of(ns)]++;
    h->total++;
    if (ns > h->max)
        h->max = ns;
}

double percentile_ms(const Histogram *h, double share) {
    uint64_t wanted = (uint64_t)((double)h->total * share), passed = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        passed += h->counts[i];
        if (passed > wanted || (passed == h->total && passed > 0))
            return middle_of(i) / 1e6;
    }
    return 0;
}

/* proc(5): fields 14-17 of /proc/PID/stat are utime, stime (all threads) and those of waited-for children. */
double processes_cpu_s(const int *pids, unsigned count) {
    double ticks = 0;
    for (unsigned i = 0; i < count; i++) {
        char path[64], line[1024];
        snprintf(path, sizeof path, "/proc/%d/stat", pids[i]);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            fail("process %d is gone", pids[i]);
        size_t got = fread(line, 1, sizeof line - 1, file);
        fclose(file);
        line[got] = '\0';
        unsigned long u, s;
        long cu, cs;
        const char *after_name = strrchr(line, ')');
        if (after_name == NULL ||
            sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld",
                   &u, &s, &cu, &cs) != 4)
            fail("/proc/%d/stat cannot be read", pids[i]);
        ticks += (double)u + (double)s + (double)cu + (double)cs;
    }
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

long processes_rss_kib(const int *pids, unsigned count) {
    long total = 0;
    for (unsigned i = 0; i < count; i++) {
        char path[64];
        long pages = 0;
        snprintf(path, sizeof path, "/proc/%d/statm", pids[i]);
        FILE *file = fopen(path, "r");
        if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1)
            fail("process %d is gone", pids[i]);
        fclose(file);
        total += pages * (sysconf(_SC_PAGESIZE) / 1024);
    }
    return total;
}

double own_cpu_s(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}
