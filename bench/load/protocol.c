/* Engine.IO 4 and Socket.IO 5 as far as a client of these workloads needs them. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOIN_ACK 0u               /* message numbers, which are ack ids too, start at 1 */

static bool starts(const char *text, size_t len, const char *with) {
    size_t n = strlen(with);
    return len >= n && memcmp(text, with, n) == 0;
}

void on_upgraded(Load *load, Peer *peer) {
    (void)load;
    peer->stage = OPENING;
}

static void log_in(Load *load, Peer *peer) {
    char packet[1500];
    int len = peer->token == NULL ? snprintf(packet, sizeof packet, "40")
                                  : snprintf(packet, sizeof packet, "40{\"token\":\"%s\"}", peer->token);
    peer->stage = LOGGING_IN;
    send_text(load, peer, packet, (size_t)len);
}

static void be_ready(Load *load, Peer *peer, uint64_t now) {
    peer->stage = READY;
    load->ready++;
    record(&load->opened, now - peer->began_ns);
}

/* In Hubbub a socket is in all rooms of its user; the hubs that everybody writes have a "join" event. */
static void on_connected(Load *load, Peer *peer, uint64_t now) {
    if (peer->stage != LOGGING_IN)
        return;
    if (load->options.dialect == DIALECT_HUBBUB || peer->room == NULL) {
        be_ready(load, peer, now);
        return;
    }
    char packet[256];
    int len = snprintf(packet, sizeof packet, "42%u[\"join\",{\"room\":\"%s\"}]", JOIN_ACK, peer->room);
    peer->stage = JOINING;
    send_text(load, peer, packet, (size_t)len);
}

static void on_ack_packet(Load *load, Peer *peer, const char *text, size_t len, uint64_t now) {
    char *data;
    unsigned long number = strtoul(text, &data, 10);   /* ends at '[', so never past the frame */
    if (number == JOIN_ACK && peer->stage == JOINING)
        be_ready(load, peer, now);
    else
        on_ack(load, peer, (uint32_t)number, data, len - (size_t)(data - text), now);
}

void on_text(Load *load, Peer *peer, const char *text, size_t len, uint64_t now) {
    const char *event = load->options.dialect == DIALECT_HUBBUB ? "42[\"room:event\"" : "42[\"m\"";
    if (starts(text, len, event))
        on_delivery(load, peer, text, len, now);
    else if (starts(text, len, "43") && memchr(text, '[', len) != NULL)
        on_ack_packet(load, peer, text + 2, len - 2, now);
    else if (starts(text, len, "2"))
        send_text(load, peer, "3", 1);
    else if (peer->stage == OPENING && starts(text, len, "0"))
        log_in(load, peer);
    else if (starts(text, len, "40"))
        on_connected(load, peer, now);
    else if (starts(text, len, "44") || starts(text, len, "41"))
        close_peer(load, peer, starts(text, len, "44") ? "login refused" : "disconnected");
    else
        load->frames_other++;
}
