/* The load generator: many Socket.IO clients over WebSocket in one thread, on loopback only.
 *
 * Stages of a run: open all sockets, warm up, measure, drain (every message must have been acknowledged
 * and delivered to each member once), report as one JSON object on standard output.
 */
#ifndef HUBBUB_BENCH_LOAD_H
#define HUBBUB_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_SOCKETS 20000u
#define MAX_INFLIGHT 4096u
#define MAX_SECONDS 120.0
#define MAX_PIDS 16u
#define MAX_FRAME (4u << 20)      /* a frame from the server above this ends the run */
#define BODY_CHARS 120u           /* text of a message, as the issue says */
#define NUMBER_DIGITS 10u         /* each body begins with '#' and the message's number */

/* ---- options.c ---- */
typedef enum { DIALECT_PLAIN, DIALECT_HUBBUB } Dialect;
typedef enum { WORK_ROOM, WORK_PAIRS, WORK_IDLE } Work;

typedef struct {
    Work work;
    Dialect dialect;
    uint32_t address;             /* network order, always in 127/8 */
    uint16_t port;
    unsigned sockets, senders, inflight, opening;
    double rate;                  /* messages a second; 0: closed loop */
    double warmup_s, window_s, hold_s;
    bool until_all;               /* in flight until all members have it, not only until its ack */
    const char *logins;           /* file: one line "token room" for each socket; NULL: none */
    int pids[MAX_PIDS];           /* processes whose CPU time and memory are read */
    unsigned pid_count;
} Options;

Options parse_options(int argc, char **argv);

/* ---- measures.c ---- */
#define HISTOGRAM_BUCKETS 2048u   /* 32 for each power of two: values are right to 3 % */
typedef struct {
    uint64_t counts[HISTOGRAM_BUCKETS], total, max;
} Histogram;

uint64_t now_ns(void);
uint64_t random_bits(void);
void record(Histogram *h, uint64_t ns);
double percentile_ms(const Histogram *h, double share);
double processes_cpu_s(const int *pids, unsigned count);
long processes_rss_kib(const int *pids, unsigned count);
double own_cpu_s(void);

/* ---- peers.c: sockets, WebSocket frames ---- */
typedef enum { CLOSED, CONNECTING, UPGRADING, OPENING, LOGGING_IN, JOINING, READY } Stage;

typedef struct {
    int fd;
    Stage stage;
    uint32_t index;
    const char *token, *room;
    char *rest, *out;             /* bytes of an unfinished frame; bytes not yet written */
    uint32_t rest_len, rest_cap, out_len, out_cap;
    uint64_t began_ns;
} Peer;

typedef struct {
    Options options;
    Peer *peers;
    int epoll_fd, timer_fd;
    unsigned started, ready, lost;
    uint64_t frames_other, bytes_in, reads;
    Histogram opened;             /* connect() to logged in */
} Load;

void start_peer(Load *load, Peer *peer);
void close_peer(Load *load, Peer *peer, const char *why);
void send_text(Load *load, Peer *peer, const char *text, size_t len);
void turn(Load *load, int timeout_ms);    /* one epoll_wait and what it brought */

/* ---- protocol.c: Engine.IO and Socket.IO ---- */
void on_upgraded(Load *load, Peer *peer);
void on_text(Load *load, Peer *peer, const char *text, size_t len, uint64_t now);

/* ---- messages.c: what is in flight, and the count of who got what ---- */
typedef struct {
    uint64_t sent, acked, delivered, window_acked, window_delivered;
    uint64_t duplicates, strays, refused;
    Histogram ack, delivery;
} Tally;

extern Tally tally;
void messages_begin(Load *load);
void messages_pump(Load *load);           /* launch what the closed loop allows */
void messages_due(Load *load, uint64_t due_ns);   /* launch one that is due by the clock */
void messages_window(bool open);
void messages_stop(void);
uint64_t messages_open(void);             /* not yet acknowledged or not yet with everybody */
uint64_t messages_missing(void);          /* deliveries still owed */
void on_ack(Load *load, Peer *peer, uint32_t number, const char *data, size_t len, uint64_t now);
void on_delivery(Load *load, Peer *peer, const char *text, size_t len, uint64_t now);

void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
