/* Load for a TURN server: turn_load SECONDS PAYLOAD WINDOW PEER_FD CLIENT_FD...
 *
 * The clients' sockets are connected to the server and have a channel 0x4000 to the peer, whose
 * socket sends back what it gets. Each client keeps WINDOW packets on their way, so the server is
 * asked for as much as it gives. Prints one JSON line: round trips sent and come back.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 32, MOST_CLIENTS = 64, MOST_BYTES = 2048 };
static const double STALLED_S = 0.2; /* Nothing came for so long: the window is lost. */

struct client {
    int fd;
    int on_the_way;
    double heard;
};

static char buffers[BATCH][MOST_BYTES];
static struct sockaddr_storage names[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr headers[BATCH];
static char message[MOST_BYTES];
static unsigned long sent, returned;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void prepare(int named) {
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){buffers[i], MOST_BYTES};
        memset(&headers[i], 0, sizeof headers[i]);
        headers[i].msg_hdr.msg_iov = &parts[i];
        headers[i].msg_hdr.msg_iovlen = 1;
        if (named) {
            headers[i].msg_hdr.msg_name = &names[i];
            headers[i].msg_hdr.msg_namelen = sizeof names[i];
        }
    }
}

static void send_more(struct client *client, int count, int bytes) {
    struct mmsghdr out[BATCH];
    struct iovec part = {message, bytes};
    if (count > BATCH) count = BATCH;
    memset(out, 0, sizeof out);
    for (int i = 0; i < count; i++) {
        out[i].msg_hdr.msg_iov = &part;
        out[i].msg_hdr.msg_iovlen = 1;
    }
    int done = sendmmsg(client->fd, out, count, MSG_DONTWAIT);
    if (done > 0) {
        sent += done;
        client->on_the_way += done;
    }
}

static void receive(struct client *client, int bytes) {
    prepare(0);
    int count = recvmmsg(client->fd, headers, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++)
        if ((int)headers[i].msg_len == bytes && buffers[i][0] == 0x40) {
            returned++;
            client->on_the_way--;
        }
    client->heard = now();
}

static void send_back(int peer) {
    prepare(1);
    int count = recvmmsg(peer, headers, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) parts[i].iov_len = headers[i].msg_len;
    int at = 0;
    while (at < count) {
        int done = sendmmsg(peer, headers + at, count - at, 0);
        if (done <= 0) break;
        at += done;
    }
}

int main(int count, char **words) {
    if (count < 6 || count - 5 > MOST_CLIENTS) return 2;
    double seconds = atof(words[1]);
    int payload = atoi(words[2]), window = atoi(words[3]), peer = atoi(words[4]);
    int clients = count - 5, bytes = payload + 4;
    struct client all[MOST_CLIENTS];
    struct pollfd waits[MOST_CLIENTS + 1];
    if (bytes > MOST_BYTES || window < 1) return 2;
    message[0] = 0x40;
    message[2] = payload >> 8;
    message[3] = payload & 0xff;
    double began = now();
    for (int i = 0; i < clients; i++) {
        all[i] = (struct client){atoi(words[5 + i]), 0, began};
        waits[i] = (struct pollfd){all[i].fd, POLLIN, 0};
    }
    waits[clients] = (struct pollfd){peer, POLLIN, 0};
    for (;;) {
        double time = now();
        int over = time - began > seconds;
        if (time - began > seconds + 0.5 || (over && sent == returned)) break;
        for (int i = 0; i < clients && !over; i++) {
            if (time - all[i].heard > STALLED_S) all[i].on_the_way = 0, all[i].heard = time;
            if (all[i].on_the_way <= window / 2)
                send_more(&all[i], window - all[i].on_the_way, bytes);
        }
        if (poll(waits, clients + 1, 50) < 0 && errno != EINTR) return 1;
        for (int i = 0; i < clients; i++)
            if (waits[i].revents & POLLIN) receive(&all[i], bytes);
        if (waits[clients].revents & POLLIN) send_back(peer);
    }
    printf("{\"sent\": %lu, \"returned\": %lu}\n", sent, returned);
    return 0;
}
