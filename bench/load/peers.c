/* Sockets and WebSocket frames (RFC 6455) as a client: masked text out, unmasked frames in. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static char input[(1u << 18) + MAX_FRAME];

static void watch(Load *load, Peer *peer, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = peer};
    if (epoll_ctl(load->epoll_fd, operation, peer->fd, &event) != 0)
        fail("epoll_ctl: %s", strerror(errno));
}

static void keep(char **place, uint32_t *len, uint32_t *cap, const void *bytes, size_t count) {
    if (*len + count > *cap) {
        *cap = (uint32_t)(*len + count + 256);
        *place = realloc(*place, *cap);
        if (*place == NULL)
            fail("out of memory");
    }
    memmove(*place + *len, bytes, count);
    *len += (uint32_t)count;
}

void start_peer(Load *load, Peer *peer) {
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(load->options.port),
                             .sin_addr.s_addr = load->options.address};
    int one = 1;
    peer->began_ns = now_ns();
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (peer->fd < 0)
        fail("socket: %s", strerror(errno));
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(peer->fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    peer->stage = CONNECTING;
    load->started++;
    watch(load, peer, EPOLL_CTL_ADD, EPOLLOUT);
}

void close_peer(Load *load, Peer *peer, const char *why) {
    if (peer->stage == CLOSED)
        return;
    if (load->lost++ < 5)
        fprintf(stderr, "load: socket %u lost in stage %d: %s\n", peer->index, peer->stage, why);
    if (peer->stage == READY)
        load->ready--;
    close(peer->fd);
    peer->stage = CLOSED;
}

static void flush(Load *load, Peer *peer) {
    ssize_t done = write(peer->fd, peer->out, peer->out_len);
    if (done < 0 && errno != EAGAIN) {
        close_peer(load, peer, strerror(errno));
        return;
    }
    bool waited = peer->out_len > 0 && done < 0;
    if (done > 0) {
        peer->out_len -= (uint32_t)done;
        memmove(peer->out, peer->out + done, peer->out_len);
        waited = peer->out_len > 0;
    }
    watch(load, peer, EPOLL_CTL_MOD, waited ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void write_bytes(Load *load, Peer *peer, const char *bytes, size_t len) {
    ssize_t done = peer->out_len > 0 ? 0 : write(peer->fd, bytes, len);
    if (done < 0 && errno != EAGAIN) {
        close_peer(load, peer, strerror(errno));
        return;
    }
    size_t written = done > 0 ? (size_t)done : 0;
    if (written == len)
        return;
    keep(&peer->out, &peer->out_len, &peer->out_cap, bytes + written, len - written);
    watch(load, peer, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void send_frame(Load *load, Peer *peer, unsigned char opcode, const char *data, size_t len) {
    char frame[2048];
    if (len + 8 > sizeof frame)
        fail("a frame of %zu bytes is not foreseen", len);
    uint32_t key = (uint32_t)random_bits();
    size_t head = len < 126 ? 2 : 4;
    frame[0] = (char)(0x80 | opcode);
    frame[1] = (char)(0x80 | (len < 126 ? len : 126));
    if (head == 4) {
        frame[2] = (char)(len >> 8);
        frame[3] = (char)len;
    }
    memcpy(frame + head, &key, 4);
    for (size_t i = 0; i < len; i++)
        frame[head + 4 + i] = (char)(data[i] ^ frame[head + (i & 3)]);
    write_bytes(load, peer, frame, head + 4 + len);
}

void send_text(Load *load, Peer *peer, const char *text, size_t len) {
    send_frame(load, peer, 1, text, len);
}

static void upgrade(Load *load, Peer *peer) {
    char head[512];
    int len = snprintf(head, sizeof head,
                       "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                       "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                       load->options.port);
    peer->stage = UPGRADING;
    watch(load, peer, EPOLL_CTL_MOD, EPOLLIN);
    write_bytes(load, peer, head, (size_t)len);
}

static size_t read_answer(Load *load, Peer *peer, const char *bytes, size_t len) {
    const char *end = memmem(bytes, len, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    if (len < 12 || memcmp(bytes, "HTTP/1.1 101", 12) != 0) {
        close_peer(load, peer, "the server did not upgrade to WebSocket");
        return len;
    }
    on_upgraded(load, peer);
    return (size_t)(end - bytes) + 4;
}

/* Reads one frame. Returns its size, 0 if it is not all there. Messages in fragments are not foreseen. */
static size_t read_frame(Load *load, Peer *peer, const char *bytes, size_t len, uint64_t now) {
    const unsigned char *b = (const unsigned char *)bytes;
    if (len < 2)
        return 0;
    size_t head = 2, size = b[1] & 127u;
    if (size == 126) {
        if (len < 4)
            return 0;
        head = 4;
        size = (size_t)b[2] << 8 | b[3];
    } else if (size == 127) {
        if (len < 10)
            return 0;
        head = 10;
        size = 0;
        for (int i = 2; i < 10; i++)
            size = size << 8 | b[i];
    }
    if (size > MAX_FRAME || (b[1] & 0x80) || !(b[0] & 0x80)) {
        close_peer(load, peer, "a masked, fragmented or too large frame");
        return len;
    }
    if (len < head + size)
        return 0;
    switch (b[0] & 15) {
    case 1: on_text(load, peer, bytes + head, size, now); break;
    case 8: close_peer(load, peer, "the server closed"); break;
    case 9: send_frame(load, peer, 10, bytes + head, size); break;
    default: load->frames_other++;
    }
    return head + size;
}

static void receive(Load *load, Peer *peer) {
    size_t have = peer->rest_len;
    memcpy(input, peer->rest, have);
    ssize_t got = read(peer->fd, input + have, sizeof input - have);
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN)
            return;
        close_peer(load, peer, got == 0 ? "end of stream" : strerror(errno));
        return;
    }
    uint64_t now = now_ns();
    size_t len = have + (size_t)got, at = 0;
    load->bytes_in += (uint64_t)got;
    load->reads++;
    while (at < len && peer->stage != CLOSED) {
        size_t used = peer->stage == UPGRADING ? read_answer(load, peer, input + at, len - at)
                                               : read_frame(load, peer, input + at, len - at, now);
        if (used == 0)
            break;
        at += used;
    }
    peer->rest_len = 0;
    if (peer->stage != CLOSED && at < len)
        keep(&peer->rest, &peer->rest_len, &peer->rest_cap, input + at, len - at);
}

void turn(Load *load, int timeout_ms) {
    struct epoll_event events[512];
    int count = epoll_wait(load->epoll_fd, events, 512, timeout_ms);
    for (int i = 0; i < count; i++) {
        Peer *peer = events[i].data.ptr;
        if (peer == NULL || peer->stage == CLOSED)
            continue;
        if (peer->stage == CONNECTING)
            upgrade(load, peer);
        else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            receive(load, peer);
        if (peer->stage > CONNECTING && peer->out_len > 0)
            flush(load, peer);
    }
}
