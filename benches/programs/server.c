/* The service of the benchmark: answers every group_delete with the documented
 * reply, over as few system calls as there are, so that it is not what is measured.
 *
 *     server [CERTIFICATE KEY]
 *
 * Prints its port, serves 127.0.0.1 (TLS 1.3 with a certificate), and ends with its
 * standard input. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY "{\"CurrentSequence\":7,\"ActionStatus\":\"OK\",\"ErrorCode\":0,\"ErrorInfo\":\"0\",\"ErrorDisplay\":\"\"}"
#define REPLY                                                                                    \
  "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: application/json\r\nContent-Length: 89\r\n" \
  "Connection: keep-alive\r\n\r\n" BODY
_Static_assert(sizeof BODY - 1 == 89, "Content-Length");
static const char WRONG[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
static const char START[] = "POST /v4/sns/group_delete?";

static SSL_CTX *context;

static long get(SSL *tls, int socket, char *to, size_t room) {
  return tls ? SSL_read(tls, to, (int)room) : read(socket, to, room);
}

static int put(SSL *tls, int socket, const char *from, size_t length) {
  return (tls ? SSL_write(tls, from, (int)length) : write(socket, from, length)) == (long)length;
}

/* The length of the first request in the buffer, 0 if it is not all there. */
static size_t request_length(char *buffer, size_t held) {
  char *end, *length;
  size_t whole;
  buffer[held] = 0;
  end = strstr(buffer, "\r\n\r\n");
  if (!end) return 0;
  length = strcasestr(buffer, "\r\ncontent-length:");
  whole = (size_t)(end + 4 - buffer) + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
  return whole <= held ? whole : 0;
}

static void *serve(void *argument) {
  char buffer[64 * 1024 + 1];
  size_t held = 0;
  int socket = (int)(intptr_t)argument;
  SSL *tls = context ? SSL_new(context) : NULL;
  if (!tls || (SSL_set_fd(tls, socket) && SSL_accept(tls) == 1)) {
    while (held < sizeof buffer - 1) {
      size_t whole;
      long count = get(tls, socket, buffer + held, sizeof buffer - 1 - held);
      if (count <= 0) break;
      held += (size_t)count;
      while ((whole = request_length(buffer, held)) > 0) {
        int right = !strncmp(buffer, START, sizeof START - 1) && memmem(buffer, whole, "\"From_Account\"", 14);
        if (!right) put(tls, socket, WRONG, sizeof WRONG - 1);
        if (!right || !put(tls, socket, REPLY, sizeof REPLY - 1)) goto end;
        held -= whole;
        memmove(buffer, buffer + whole, held);
      }
    }
  }
end:
  SSL_free(tls);
  close(socket);
  return NULL;
}

static void *wait_for_end(void *unused) {
  (void)unused;
  while (getchar() != EOF) {
  }
  exit(0);
}

int main(int argc, char **argv) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
  pthread_t thread;
  signal(SIGPIPE, SIG_IGN);
  if (argc > 2) {
    context = SSL_CTX_new(TLS_server_method());
    if (!SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(context, "TLS_AES_256_GCM_SHA384") ||
        SSL_CTX_use_certificate_chain_file(context, argv[1]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, argv[2], SSL_FILETYPE_PEM) != 1)
      return fputs("server: no certificate\n", stderr), 1;
  }
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 128) ||
      getsockname(listener, (struct sockaddr *)&address, &size))
    return perror("server"), 1;
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  pthread_create(&thread, NULL, wait_for_end, NULL);
  for (;;) {
    int accepted = accept(listener, NULL, NULL);
    if (accepted < 0) continue;
    setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)accepted)) return 1;
    pthread_detach(thread);
  }
}
