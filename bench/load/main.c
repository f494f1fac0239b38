/* A run: open, warm up, measure, drain, report. */
#include "load.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define OPEN_LIMIT_S 90.0
#define DRAIN_LIMIT_S 15.0
#define QUIET_S 0.2               /* after the drain, so that doubles have time to come */
#define WATCHDOG_S 400u

typedef struct {
    uint64_t at_ns;
    double server_cpu_s, own_cpu_s;
    uint64_t reads;
} Mark;

static Load load;

static Mark mark(void) {
    const Options *o = &load.options;
    return (Mark){.at_ns = now_ns(), .server_cpu_s = processes_cpu_s(o->pids, o->pid_count),
                  .own_cpu_s = own_cpu_s(), .reads = load.reads};
}

static void read_logins(void) {
    const Options *o = &load.options;
    FILE *file = o->logins == NULL ? NULL : fopen(o->logins, "r");
    if (o->logins != NULL && file == NULL)
        fail("%s: %s", o->logins, strerror(errno));
    for (unsigned i = 0; i < o->sockets; i++) {
        char token[1100], room[100], shared[16];
        Peer *peer = &load.peers[i];
        peer->index = i;
        if (file != NULL) {
            if (fscanf(file, "%1099s %99s", token, room) != 2)
                fail("%s has no line %u of the form \"token room\"", o->logins, i + 1);
            peer->token = strdup(token);
            peer->room = strcmp(room, "-") == 0 ? NULL : strdup(room);
        } else if (o->work != WORK_IDLE) {
            snprintf(shared, sizeof shared, "r%u", o->work == WORK_PAIRS ? i / 2 : 0);
            peer->room = strdup(shared);
        }
    }
    if (file != NULL)
        fclose(file);
}

static void open_all(void) {
    const Options *o = &load.options;
    uint64_t limit = now_ns() + (uint64_t)(OPEN_LIMIT_S * 1e9);
    while (load.ready + load.lost < o->sockets) {
        while (load.started < o->sockets && load.started - load.ready - load.lost < o->opening)
            start_peer(&load, &load.peers[load.started]);
        turn(&load, 100);
        if (now_ns() > limit)
            fail("only %u of %u sockets were ready after %g s", load.ready, o->sockets, OPEN_LIMIT_S);
    }
    if (load.lost > 0)
        fail("%u of %u sockets could not be opened", load.lost, o->sockets);
}

/* Lets the workload run until `end_ns`, launching by the clock if there is a rate. */
static void run_until(uint64_t end_ns, uint64_t *due_ns) {
    for (uint64_t now; (now = now_ns()) < end_ns;) {
        uint64_t wake = end_ns;
        if (load.options.rate > 0 && load.options.work != WORK_IDLE) {
            for (; *due_ns <= now; *due_ns += (uint64_t)(1e9 / load.options.rate))
                messages_due(&load, *due_ns);
            wake = *due_ns < end_ns ? *due_ns : end_ns;
        } else if (load.options.work != WORK_IDLE) {
            messages_pump(&load);
        }
        now = now_ns();
        turn(&load, wake > now ? (int)((wake - now) / 1000000) : 0);
    }
}

static void drain(void) {
    uint64_t limit = now_ns() + (uint64_t)(DRAIN_LIMIT_S * 1e9);
    messages_stop();
    while (messages_open() > 0 && now_ns() < limit)
        turn(&load, 100);
    uint64_t quiet = now_ns() + (uint64_t)(QUIET_S * 1e9);
    while (now_ns() < quiet)
        turn(&load, 20);
}

static void print_histogram(const char *name, const Histogram *h) {
    printf(",\"%s\":{\"count\":%llu,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name,
           (unsigned long long)h->total, percentile_ms(h, .5), percentile_ms(h, .9), percentile_ms(h, .99),
           (double)h->max / 1e6);
}

static void report(const Mark *from, const Mark *to, long rss_before_kib) {
    const Options *o = &load.options;
    double wall = (double)(to->at_ns - from->at_ns) / 1e9;
    printf("{\"sockets\":%u,\"wall_s\":%.4f,\"server_cpu_s\":%.2f,\"generator_share\":%.3f,\"reads\":%llu",
           o->sockets, wall, to->server_cpu_s - from->server_cpu_s, (to->own_cpu_s - from->own_cpu_s) / wall,
           (unsigned long long)(to->reads - from->reads));
    printf(",\"rss_before_kib\":%ld,\"rss_after_kib\":%ld", rss_before_kib,
           processes_rss_kib(o->pids, o->pid_count));
    printf(",\"sent\":%llu,\"acked\":%llu,\"delivered\":%llu,\"window_acked\":%llu,\"window_delivered\":%llu",
           (unsigned long long)tally.sent, (unsigned long long)tally.acked,
           (unsigned long long)tally.delivered, (unsigned long long)tally.window_acked,
           (unsigned long long)tally.window_delivered);
    printf(",\"missing\":%llu,\"duplicates\":%llu,\"strays\":%llu,\"refused\":%llu,\"lost_sockets\":%u,"
           "\"other_frames\":%llu",
           (unsigned long long)messages_missing(), (unsigned long long)tally.duplicates,
           (unsigned long long)tally.strays, (unsigned long long)tally.refused, load.lost,
           (unsigned long long)load.frames_other);
    print_histogram("open_ms", &load.opened);
    print_histogram("ack_ms", &tally.ack);
    print_histogram("delivery_ms", &tally.delivery);
    puts("}");
}

int main(int argc, char **argv) {
    struct rlimit files;
    load.options = parse_options(argc, argv);
    const Options *o = &load.options;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < o->sockets + 32)
        fail("%u sockets do not fit the limit of %lu open files", o->sockets, (unsigned long)files.rlim_cur);
    signal(SIGPIPE, SIG_IGN);
    alarm(WATCHDOG_S);
    load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load.peers = calloc(o->sockets, sizeof *load.peers);
    if (load.peers == NULL)
        fail("out of memory");
    read_logins();
    messages_begin(&load);

    long rss_before_kib = processes_rss_kib(o->pids, o->pid_count);
    Mark from = mark();
    open_all();
    Mark to = mark();
    uint64_t due_ns = now_ns();
    if (o->work == WORK_IDLE) {
        run_until(now_ns() + (uint64_t)(o->hold_s * 1e9), &due_ns);
    } else {
        run_until(now_ns() + (uint64_t)(o->warmup_s * 1e9), &due_ns);
        from = mark();
        messages_window(true);
        run_until(from.at_ns + (uint64_t)(o->window_s * 1e9), &due_ns);
        messages_window(false);
        to = mark();
        drain();
    }
    report(&from, &to, rss_before_kib);
    return load.lost + messages_missing() + tally.duplicates + tally.strays + tally.refused > 0 ? 1 : 0;
}
