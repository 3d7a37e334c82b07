/* The little that the C tests share: checks that count, and orders to the
 * emulator. */

#ifndef CHECK_H
#define CHECK_H

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "imgroup.h"

static int passed, failed;

#define CHECK(condition)                                               \
  do {                                                                 \
    if (condition) {                                                   \
      passed++;                                                        \
    } else {                                                           \
      failed++;                                                        \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);  \
    }                                                                  \
  } while (0)

#define CHECK_TEXT(actual, expected)                                            \
  do {                                                                          \
    const char *actual_ = (actual), *expected_ = (expected);                    \
    if (actual_ && strcmp(actual_, expected_) == 0) {                           \
      passed++;                                                                 \
    } else {                                                                    \
      failed++;                                                                 \
      fprintf(stderr, "%s:%d: is \"%s\", not \"%s\"\n", __FILE__, __LINE__,     \
              actual_ ? actual_ : "(NULL)", expected_);                         \
    }                                                                           \
  } while (0)

/* The runner's own last line. */
static inline int report(void) {
  printf("%d passed, %d failed\n", passed, failed);
  return failed ? 1 : 0;
}

/* Sends a control request to the emulator at IMGROUP_ENDPOINT. */
static inline void control(const char *method, const char *path, const char *body) {
  const char *endpoint = getenv("IMGROUP_ENDPOINT");
  struct sockaddr_in address = {0};
  char request[4096], reply[256] = "";
  unsigned port = 0;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (!endpoint || sscanf(endpoint, "http://127.0.0.1:%u", &port) != 1) abort();
  address.sin_port = htons((unsigned short)port);
  snprintf(request, sizeof request,
           "%s /_emulator/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
           "Content-Length: %zu\r\n\r\n%s",
           method, path, strlen(body), body);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
      send(fd, request, strlen(request), MSG_NOSIGNAL) < 0 ||
      recv(fd, reply, sizeof reply - 1, MSG_WAITALL) <= 0 || !strstr(reply, " 20")) {
    fprintf(stderr, "control %s %s: %s\n", method, path, reply);
    abort();
  }
  close(fd);
}

/* A client for the emulator, as the environment describes it. */
static inline imgroup_client *new_client(void) {
  imgroup_config *config = NULL;
  imgroup_client *client = NULL;
  CHECK(imgroup_config_from_env(&config, NULL) == IMGROUP_OK);
  CHECK(imgroup_client_new(config, &client, NULL) == IMGROUP_OK);
  imgroup_config_free(config);
  return client;
}

/* Alice and bob, friends, and two lists of alice's at sequence 2. */
static inline void seed(void) {
  control("POST", "reset", "");
  control("PUT", "state",
          "{\"accounts\":{\"bob\":{},\"alice\":{"
          "\"friends\":[{\"account\":\"bob\",\"lists\":[\"Family\"]}],"
          "\"lists\":[\"Family\",\"Work\"],\"sequences\":{\"lists\":2}}}}");
}

#endif
