/* What tests/c/cases.c and tests/cpp/cases.cpp share: a case of tests/cases.json,
 * as tests/installed/cases.py writes it into cases.inc, and the output, one JSON
 * object with what the call gave. The runner compares. C99 and C++. */

#ifndef CASES_H
#define CASES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What a client or a call leaves alone. */
#define UNSET (-1000)

struct test_case {
  const char *name;
  /* The client. */
  uint32_t sdkappid;
  const char *identifier, *secret_key, *endpoint, *ca_file;
  int max_attempts, attempt_timeout_ms, quota_callback;
  /* The call; what a function does not take is 0. */
  const char *function, *account, *command, *body, *userbuf;
  const char *const *names;
  size_t names_len;
  const char *const *friends;
  size_t friends_len, body_len, userbuf_len;
  int with_members, idempotent;
  uint32_t ttl_s;
  int64_t issued_at;
  int timeout_ms, ignore_missing;
  const char *cancel, *shutdown;
};

#include "cases.inc"

static inline void print_text_of(const char *text, size_t length) {
  size_t i;
  putchar('"');
  for (i = 0; i < length; i++) {
    unsigned char letter = (unsigned char)text[i];
    if (letter == '"' || letter == '\\' || letter < 0x20)
      printf("\\u%04x", letter);
    else
      putchar(letter);
  }
  putchar('"');
}

static inline void print_text(const char *text) {
  size_t length = 0;
  while (text[length] != '\0')
    length++;
  print_text_of(text, length);
}

/* A member after the first. */
static inline void print_member(const char *name, const char *text) {
  printf(",\"%s\":", name);
  print_text(text);
}

#endif
