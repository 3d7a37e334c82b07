/* Runs one case of tests/cases.json through the C ABI: cases INDEX QUOTA_DIRECTORY.
 * The endpoint comes from the environment where the case names none. */

#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <imgroup.h>

#include "cases.h"

static int64_t answer(void *userdata, const char *command) {
  (void)command;
  return *(const int *)userdata;
}

static void *cancel_later(void *call) {
  const struct timespec pause = {0, 100 * 1000000};
  nanosleep(&pause, NULL);
  imgroup_call_cancel(call);
  return NULL;
}

static void print_response(const imgroup_response *reply) {
  size_t length = 0;
  const char *body = imgroup_response_body(reply, &length);
  printf("\"attempts\":%" PRIu32 ",\"was_ambiguous\":%s", imgroup_response_attempts(reply),
         imgroup_response_was_ambiguous(reply) ? "true" : "false");
  if (imgroup_response_has_sequence(reply))
    printf(",\"sequence\":\"%" PRIu64 "\"", imgroup_response_sequence(reply));
  else
    printf(",\"sequence\":null");
  printf(",\"lists\":[");
  for (size_t i = 0; i < imgroup_response_list_count(reply); i++) {
    printf("%s{\"friend_count\":%" PRIu64, i ? "," : "", imgroup_response_list_friend_count(reply, i));
    print_member("name", imgroup_response_list_name(reply, i));
    printf(",\"members\":[");
    for (size_t m = 0; m < imgroup_response_member_count(reply, i); m++) {
      if (m)
        putchar(',');
      print_text(imgroup_response_member(reply, i, m));
    }
    printf("]}");
  }
  printf("],\"results\":[");
  for (size_t i = 0; i < imgroup_response_result_count(reply); i++) {
    printf("%s{\"code\":%" PRId32, i ? "," : "", imgroup_response_result_code(reply, i));
    print_member("account", imgroup_response_result_account(reply, i));
    putchar('}');
  }
  printf("],\"body\":");
  print_text_of(body, length);
}

static void print_error(const imgroup_error *error) {
  printf("\"attempts\":%" PRIu32 ",\"retryable\":%s,\"http_status\":%" PRId32, imgroup_error_attempts(error),
         imgroup_error_is_retryable(error) ? "true" : "false", imgroup_error_http_status(error));
  print_member("name", imgroup_error_name(error));
  print_member("class", imgroup_class_name(imgroup_error_class(error)));
  print_member("outcome", imgroup_outcome_name(imgroup_error_outcome(error)));
  print_member("display", imgroup_error_display(error));
  print_member("message", imgroup_error_message(error));
}

static imgroup_config *configure(const struct test_case *test, const char *quota_directory) {
  imgroup_config *config = NULL;
  imgroup_error *error = NULL;
  const char *endpoint = test->endpoint ? test->endpoint : getenv("IMGROUP_ENDPOINT");
  if (imgroup_config_new(test->sdkappid, test->identifier, test->secret_key, &config, &error) ||
      imgroup_config_set_endpoint(config, endpoint, &error) ||
      imgroup_config_set_quota_directory(config, quota_directory, &error) ||
      (test->ca_file && imgroup_config_set_ca_file(config, test->ca_file, &error)) ||
      (test->max_attempts != UNSET &&
       imgroup_config_set_max_attempts(config, (uint32_t)test->max_attempts, &error)) ||
      (test->attempt_timeout_ms != UNSET &&
       imgroup_config_set_attempt_timeout_ms(config, (uint32_t)test->attempt_timeout_ms, &error)) ||
      (test->quota_callback != UNSET &&
       imgroup_config_set_quota_callback(config, answer, (void *)&test->quota_callback, NULL, &error))) {
    fprintf(stderr, "%s\n", imgroup_error_message(error));
    exit(2);
  }
  return config;
}

static int32_t run(const struct test_case *test, imgroup_client *client, imgroup_call *call, imgroup_response **reply,
                   char **text, imgroup_error **error) {
  if (strcmp(test->function, "delete_lists") == 0)
    return imgroup_delete_lists(client, test->account, test->names, test->names_len, call, reply, error);
  if (strcmp(test->function, "add_lists") == 0)
    return imgroup_add_lists(client, test->account, test->names, test->names_len, test->friends, test->friends_len,
                             call, reply, error);
  if (strcmp(test->function, "get_lists") == 0)
    return imgroup_get_lists(client, test->account, test->names, test->names_len, test->with_members, call, reply,
                             error);
  if (strcmp(test->function, "request") == 0)
    return imgroup_request(client, test->command, test->body, test->body_len,
                           test->idempotent ? IMGROUP_REQUEST_IDEMPOTENT : 0, call, reply, error);
  if (strcmp(test->function, "usersig") == 0)
    return imgroup_usersig(test->sdkappid, test->identifier, test->secret_key, test->ttl_s, test->issued_at,
                           (const uint8_t *)test->userbuf, test->userbuf_len, text, error);
  fprintf(stderr, "no function %s\n", test->function);
  exit(2);
}

int main(int argc, char **argv) {
  imgroup_client *client = NULL;
  imgroup_call *call = NULL;
  imgroup_response *reply = NULL;
  imgroup_error *error = NULL;
  imgroup_config *config = NULL;
  char *text = NULL;
  pthread_t canceller;
  int cancels = 0;
  int32_t code = IMGROUP_OK;

  if (argc != 3)
    return 2;
  const struct test_case *test = &cases[atoi(argv[1])];
  if (strcmp(test->function, "usersig") != 0) {
    config = configure(test, argv[2]);
    if (imgroup_client_new(config, &client, &error) != IMGROUP_OK || imgroup_call_new(&call, &error) != IMGROUP_OK) {
      fprintf(stderr, "%s\n", imgroup_error_message(error));
      return 2;
    }
    if (test->timeout_ms != UNSET)
      code = imgroup_call_set_timeout_ms(call, (uint32_t)test->timeout_ms, &error);
    if (code == IMGROUP_OK && test->ignore_missing)
      code = imgroup_call_set_ignore_missing(call, 1, &error);
    if (strcmp(test->shutdown, "before") == 0)
      imgroup_client_shutdown(client);
    if (strcmp(test->cancel, "before") == 0)
      imgroup_call_cancel(call);
    if (strcmp(test->cancel, "after_100_ms") == 0)
      cancels = pthread_create(&canceller, NULL, cancel_later, call) == 0;
  }
  if (code == IMGROUP_OK)
    code = run(test, client, call, &reply, &text, &error);
  if (cancels)
    pthread_join(canceller, NULL);

  printf("{\"code\":%" PRId32 ",", code);
  if (code != IMGROUP_OK) {
    print_error(error);
  } else if (text != NULL) {
    printf("\"text\":");
    print_text(text);
  } else {
    print_response(reply);
  }
  puts("}");

  imgroup_string_free(text);
  imgroup_response_free(reply);
  imgroup_error_free(error);
  imgroup_call_free(call);
  imgroup_client_free(client);
  imgroup_config_free(config);
  return 0;
}
