/* The floor: a request that was built beforehand, over one socket. Nothing that
 * gets a reply is faster. */

#include "worker.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define END "\"ErrorDisplay\":\"\"}"

struct floor {
  int socket;
  SSL *tls;
  char request[1024], reply[4096];
  int length;
};

static void call(void *state) {
  struct floor *floor = state;
  size_t held = 0, end = sizeof END - 1;
  long count = floor->tls ? SSL_write(floor->tls, floor->request, floor->length)
                          : write(floor->socket, floor->request, (size_t)floor->length);
  if (count != floor->length) worker_fail("floor: not sent");
  do {
    char *to = floor->reply + held;
    size_t room = sizeof floor->reply - held;
    count = floor->tls ? SSL_read(floor->tls, to, (int)room) : read(floor->socket, to, room);
    if (count <= 0) worker_fail("floor: no reply");
    held += (size_t)count;
  } while (held < end || memcmp(floor->reply + held - end, END, end));
  if (memcmp(floor->reply, "HTTP/1.1 200", 12)) worker_fail("floor: refused");
}

int main(void) {
  static struct floor floor;
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
  char scheme[8], host[256], port[8];
  static const char body[] = "{\"From_Account\":\"alice\",\"GroupName\":[\"Family\"]}";
  int one = 1;
  if (sscanf(worker_setting("IMGROUP_ENDPOINT"), "%7[a-z]://%255[^:]:%7[0-9]", scheme, host, port) != 3 ||
      getaddrinfo(host, port, &hints, &found))
    worker_fail("floor: no such host");
  floor.socket = socket(found->ai_family, SOCK_STREAM, 0);
  if (connect(floor.socket, found->ai_addr, found->ai_addrlen)) worker_fail("floor: no connection");
  freeaddrinfo(found);
  setsockopt(floor.socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (!strcmp(scheme, "https")) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_file(context, worker_setting("IMGROUP_CA_FILE")) != 1) worker_fail("floor: no CA");
    floor.tls = SSL_new(context);
    if (!SSL_set1_host(floor.tls, host) || !SSL_set_tlsext_host_name(floor.tls, host) ||
        !SSL_set_fd(floor.tls, floor.socket) || SSL_connect(floor.tls) != 1)
      worker_fail("floor: no TLS");
  }
  floor.length = snprintf(floor.request, sizeof floor.request,
                          "POST /v4/sns/group_delete?sdkappid=%s&identifier=%s&usersig=%s&random=1234567890"
                          "&contenttype=json HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\n"
                          "Content-Length: %zu\r\n\r\n%s",
                          worker_setting("IMGROUP_SDKAPPID"), worker_setting("IMGROUP_IDENTIFIER"),
                          worker_setting("BENCH_USERSIG"), host, port, sizeof body - 1, body);
  worker_run(call, &floor);
  return 0;
}
