/* Command line. Everything is bounded, and only loopback addresses are accepted as a target. */
#include "load.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

static double number(const char *name, const char *text, double low, double high) {
    char *end;
    double value = strtod(text, &end);
    if (*end != '\0' || !(value >= low && value <= high))
        fail("--%s must lie within %g and %g, not %s", name, low, high, text);
    return value;
}

static uint32_t loopback(const char *text) {
    struct in_addr address;
    if (inet_pton(AF_INET, text, &address) != 1 || ntohl(address.s_addr) >> 24 != 127)
        fail("--host %s: only loopback addresses (127.x.x.x) are accepted", text);
    return address.s_addr;
}

static int choice(const char *name, const char *text, const char *const *names) {
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], text) == 0)
            return i;
    fail("--%s: unknown value %s", name, text);
}

static void check(const Options *o) {
    if (o->port == 0)
        fail("--port is missing");
    if (o->senders > o->sockets)
        fail("--senders is larger than --sockets");
    if (o->work == WORK_PAIRS && o->sockets % 2 != 0)
        fail("--sockets must be even for pairs");
    if (o->dialect == DIALECT_HUBBUB && o->logins == NULL)
        fail("--logins is needed: Hubbub asks for a token");
}

Options parse_options(int argc, char **argv) {
    static const char *const works[] = {"room", "pairs", "idle", NULL};
    static const char *const dialects[] = {"plain", "hubbub", NULL};
    static const char *const untils[] = {"ack", "all", NULL};
    static const struct option table[] = {
        {"work", 1, 0, 'w'},     {"dialect", 1, 0, 'd'}, {"host", 1, 0, 'h'},    {"port", 1, 0, 'p'},
        {"sockets", 1, 0, 'n'},  {"senders", 1, 0, 's'}, {"inflight", 1, 0, 'i'}, {"opening", 1, 0, 'o'},
        {"rate", 1, 0, 'r'},     {"warmup", 1, 0, 'u'},  {"window", 1, 0, 'm'},  {"hold", 1, 0, 'k'},
        {"until", 1, 0, 'a'},    {"logins", 1, 0, 'l'},  {"pid", 1, 0, 'q'},     {0, 0, 0, 0}};
    Options o = {.address = htonl(0x7f000001), .sockets = 1, .senders = 1, .inflight = 1, .opening = 64,
                 .warmup_s = 1, .window_s = 4, .hold_s = 1};
    int index = 0;
    for (int c; (c = getopt_long(argc, argv, "", table, &index)) != -1;) {
        const char *name = c == '?' ? "" : table[index].name;
        switch (c) {
        case 'w': o.work = (Work)choice(name, optarg, works); break;
        case 'd': o.dialect = (Dialect)choice(name, optarg, dialects); break;
        case 'a': o.until_all = choice(name, optarg, untils) == 1; break;
        case 'h': o.address = loopback(optarg); break;
        case 'p': o.port = (uint16_t)number(name, optarg, 1, 65535); break;
        case 'n': o.sockets = (unsigned)number(name, optarg, 1, MAX_SOCKETS); break;
        case 's': o.senders = (unsigned)number(name, optarg, 1, MAX_SOCKETS); break;
        case 'i': o.inflight = (unsigned)number(name, optarg, 1, MAX_INFLIGHT); break;
        case 'o': o.opening = (unsigned)number(name, optarg, 1, 1000); break;
        case 'r': o.rate = number(name, optarg, 0, 10000); break;
        case 'u': o.warmup_s = number(name, optarg, 0, MAX_SECONDS); break;
        case 'm': o.window_s = number(name, optarg, 0.1, MAX_SECONDS); break;
        case 'k': o.hold_s = number(name, optarg, 0, MAX_SECONDS); break;
        case 'l': o.logins = optarg; break;
        case 'q':
            if (o.pid_count == MAX_PIDS)
                fail("at most %u --pid", MAX_PIDS);
            o.pids[o.pid_count++] = (int)number(name, optarg, 1, 1 << 30);
            break;
        default: fail("unknown option");
        }
    }
    check(&o);
    return o;
}
