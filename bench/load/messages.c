/* Messages in flight: launching them, and counting that every member gets each of them once.
 *
 * Sockets are in groups of neighbours (one group of all, or pairs). A message's number is its ack id and
 * stands in its body; a ring of slots holds what is known of those not yet with everybody.
 */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RING 16384u               /* slots; launching waits when the oldest is still open */

typedef struct {
    uint64_t sent_ns;
    uint32_t number, first, left; /* first: index of the group's first socket; left: members who lack it */
    bool acked;
    uint64_t *seen;               /* one bit for each member of the group */
} Message;

Tally tally;
static Message ring[RING];
static uint32_t group_size, seen_words, next_number = 1;
static uint64_t flying, open_count, missing;
static bool counting, stopped;

void messages_begin(Load *load) {
    group_size = load->options.work == WORK_PAIRS ? 2 : load->options.sockets;
    seen_words = (group_size + 63) / 64;
    uint64_t *bits = calloc((size_t)RING * seen_words, sizeof *bits);
    if (bits == NULL)
        fail("out of memory");
    for (uint32_t i = 0; i < RING; i++)
        ring[i].seen = bits + (size_t)i * seen_words;
}

static Peer *choose_sender(Load *load) {
    const Options *o = &load->options;
    if (o->work == WORK_PAIRS)
        return &load->peers[random_bits() % o->sockets];
    uint32_t turn_of = next_number % o->senders;
    return &load->peers[(uint64_t)turn_of * o->sockets / o->senders];
}

/* UUIDv7 (RFC 9562, 5.7) of the system's clock. */
static void write_uuid7(char *to) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    uint64_t a = random_bits(), b = random_bits();
    sprintf(to, "%08x-%04x-7%03x-%04x-%012llx", (unsigned)(ms >> 16), (unsigned)(ms & 0xffff),
            (unsigned)(a & 0xfff), (unsigned)(0x8000 | (a >> 16 & 0x3fff)),
            (unsigned long long)(b & 0xffffffffffffull));
}

static size_t write_packet(const Load *load, const Peer *sender, char *to, size_t room) {
    char body[BODY_CHARS + 1], id[40];
    memset(body, 'x', BODY_CHARS);
    body[BODY_CHARS] = '\0';
    int head = sprintf(body, "#%0*u", (int)NUMBER_DIGITS, next_number);
    body[head] = ' ';
    if (load->options.dialect == DIALECT_PLAIN)
        return (size_t)snprintf(to, room, "42%u[\"send\",{\"room\":\"%s\",\"body\":\"%s\"}]", next_number,
                                sender->room, body);
    write_uuid7(id);
    return (size_t)snprintf(to, room,
                            "42%u[\"message:send\",{\"room_id\":\"%s\",\"client_id\":\"%s\","
                            "\"content\":{\"type\":\"text\",\"body\":\"%s\"}}]",
                            next_number, sender->room, id, body);
}

static bool launch(Load *load, uint64_t at_ns) {
    Message *m = &ring[next_number % RING];
    if (m->left > 0 || (m->number != 0 && !m->acked))
        return false;
    Peer *sender = choose_sender(load);
    if (sender->stage != READY)
        fail("a sender's socket is gone");
    char packet[1024];
    size_t len = write_packet(load, sender, packet, sizeof packet);
    *m = (Message){.sent_ns = at_ns, .number = next_number, .left = group_size, .seen = m->seen,
                   .first = sender->index / group_size * group_size};
    memset(m->seen, 0, seen_words * sizeof *m->seen);
    next_number++;
    flying++;
    open_count++;
    missing += group_size;
    tally.sent++;
    send_text(load, sender, packet, len);
    return true;
}

void messages_pump(Load *load) {
    if (load->options.rate > 0 || stopped)
        return;
    while (flying < load->options.inflight && launch(load, now_ns()))
        ;
}

void messages_due(Load *load, uint64_t due_ns) {
    if (!stopped)
        launch(load, due_ns);
}

void messages_window(bool open) { counting = open; }
void messages_stop(void) { stopped = true; }
uint64_t messages_open(void) { return open_count; }
uint64_t messages_missing(void) { return missing; }

/* A step of a message is over: `by_ack` or its last delivery. */
static void settle(const Load *load, const Message *m, bool by_ack) {
    bool whole = m->acked && m->left == 0;
    if (whole)
        open_count--;
    if (load->options.until_all ? whole : by_ack)
        flying--;
}

void on_ack(Load *load, Peer *peer, uint32_t number, const char *data, size_t len, uint64_t now) {
    (void)peer;
    Message *m = &ring[number % RING];
    if (m->number != number || m->acked) {
        tally.strays++;
        return;
    }
    if (load->options.dialect == DIALECT_HUBBUB && memmem(data, len, "\"ok\":true", 9) == NULL) {
        if (tally.refused++ < 3)
            fprintf(stderr, "load: refused: %.*s\n", (int)(len < 300 ? len : 300), data);
    }
    m->acked = true;
    tally.acked++;
    if (counting) {
        tally.window_acked++;
        record(&tally.ack, now - m->sent_ns);
    }
    settle(load, m, true);
}

/* The number that the body begins with. Frames of one run look alike, so the last place is tried first. */
static uint32_t number_in(const char *text, size_t len) {
    static size_t place;
    if (place + 2 + NUMBER_DIGITS > len || text[place] != '"' || text[place + 1] != '#') {
        const char *found = memmem(text, len, "\"#", 2);
        if (found == NULL || (size_t)(found - text) + 2 + NUMBER_DIGITS > len)
            return 0;
        place = (size_t)(found - text);
    }
    uint32_t number = 0;
    for (size_t i = 0; i < NUMBER_DIGITS; i++)
        number = number * 10 + (uint32_t)(text[place + 2 + i] - '0');
    return number;
}

void on_delivery(Load *load, Peer *peer, const char *text, size_t len, uint64_t now) {
    uint32_t number = number_in(text, len);
    Message *m = &ring[number % RING];
    uint32_t member = peer->index - m->first;
    if (number == 0 || m->number != number || member >= group_size) {
        tally.strays++;
        return;
    }
    uint64_t bit = 1ull << (member % 64);
    if (m->seen[member / 64] & bit) {
        tally.duplicates++;
        return;
    }
    m->seen[member / 64] |= bit;
    m->left--;
    missing--;
    tally.delivered++;
    if (counting) {
        tally.window_delivered++;
        record(&tally.delivery, now - m->sent_ns);
    }
    if (m->left == 0)
        settle(load, m, false);
}
