/* A careless caller. Every function of the header meets NULL in every place, the
 * handles of every other type, lengths that cannot be true, texts that are no
 * text, and frees while other threads are inside. Each gives a clear error or
 * what the header promises, and no pointer is followed that need not be. */

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

#include "check.h"

#define ARGUMENT IMGROUP_E_INVALID_ARGUMENT
#define CONFIG_FAULT IMGROUP_E_CONFIG
#define THREADS 64

/* What stands where a handle is expected: each type, and no handle at all. */
enum { NOTHING, CONFIG, CLIENT, CALL, RESPONSE, JOB, ERROR, ZEROS, ODD, KINDS };
static void *kinds[KINDS];

static imgroup_config *config;
static imgroup_client *client;
static imgroup_call *call;
static imgroup_job *job;
static const char *name_a[] = {"a"};

/* Outputs hold this before a call: a failure sets them to NULL. */
static char poison[64];
static imgroup_config *new_config;
static imgroup_client *made_client;
static imgroup_call *new_call;
static imgroup_job *made_job;
static imgroup_response *reply;
static char *text;

static imgroup_error *error, **out;

static void poisoned(void) {
  new_config = (void *)poison;
  made_client = (void *)poison;
  new_call = (void *)poison;
  made_job = (void *)poison;
  reply = (void *)poison;
  text = poison;
}

static int untouched_or_null(const void *output) { return output == NULL || output == (void *)poison; }

/* The call gave `expected` and a message about `parameter`; nothing was sent. */
static void refused(int line, int32_t code, int32_t expected, const char *parameter) {
  const char *message = imgroup_error_message(error);
  size_t length = strlen(parameter);
  int named = strncmp(message, parameter, length) == 0 && (message[length] == ':' || message[length] == '[');
  if (code == expected && imgroup_error_code(error) == expected && named &&
      imgroup_error_class(error) == IMGROUP_CLASS_ARGUMENT &&
      imgroup_error_outcome(error) == IMGROUP_OUTCOME_NOT_SENT && untouched_or_null(new_config) &&
      untouched_or_null(made_client) && untouched_or_null(new_call) && untouched_or_null(made_job) &&
      untouched_or_null(reply) && untouched_or_null(text)) {
    passed++;
  } else {
    failed++;
    fprintf(stderr, "%s:%d: %d \"%s\", not %d about %s\n", __FILE__, line, (int)code, message, (int)expected,
            parameter);
  }
  imgroup_error_free(error);
  error = NULL;
}

/* A call that is refused, with a place for the error and without. */
#define REFUSED(expected, parameter, ...)               \
  do {                                                  \
    poisoned();                                         \
    out = &error;                                       \
    refused(__LINE__, __VA_ARGS__, expected, parameter); \
    poisoned();                                         \
    out = NULL;                                         \
    CHECK((__VA_ARGS__) == (expected));                 \
  } while (0)

/* A call on `wrong` in place of a handle of `type`; `first` is 1 where NULL is
 * allowed. */
#define WRONG(type, first, parameter, ...)                       \
  do {                                                           \
    int kind_;                                                   \
    for (kind_ = (first); kind_ < KINDS; kind_++) {              \
      void *wrong = kinds[kind_];                                \
      if (kind_ != (type)) REFUSED(IMGROUP_E_HANDLE, parameter, __VA_ARGS__); \
    }                                                            \
  } while (0)

/* What cannot fail answers as for nothing. */
#define ANSWERS(type, ...)                          \
  do {                                              \
    int kind_;                                      \
    for (kind_ = 0; kind_ < KINDS; kind_++) {       \
      void *wrong = kinds[kind_];                   \
      if (kind_ != (type)) CHECK(__VA_ARGS__);      \
    }                                               \
  } while (0)

#define IGNORES(type, ...) ANSWERS(type, ((__VA_ARGS__), 1))

/* Each kind of bytes that is not UTF-8. */
static const char *const not_utf8[] = {
    "\xff", "caf\xe9", "\x80", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xf8\x88\x80\x80\x80"};

#define NOT_UTF8(parameter, ...)                                                      \
  do {                                                                                \
    size_t text_;                                                                     \
    for (text_ = 0; text_ < sizeof not_utf8 / sizeof *not_utf8; text_++) {            \
      const char *bad = not_utf8[text_];                                              \
      const char *bads[2] = {"a", NULL};                                              \
      bads[1] = bad;                                                                  \
      (void)bads;                                                                     \
      REFUSED(IMGROUP_E_INVALID_UTF8, parameter, __VA_ARGS__);                        \
    }                                                                                 \
  } while (0)

static int dropped;
static void drop(void *userdata) { ++*(int *)userdata; }

/* ---- NULL and wrong handles */

static void handles(void) {
  size_t length = 7;

  REFUSED(ARGUMENT, "identifier", imgroup_config_new(1, NULL, "k", &new_config, out));
  REFUSED(ARGUMENT, "secret_key", imgroup_config_new(1, "a", NULL, &new_config, out));
  REFUSED(ARGUMENT, "config", imgroup_config_new(1, "a", "k", NULL, out));
  REFUSED(ARGUMENT, "config", imgroup_config_new(0, NULL, NULL, NULL, out));
  REFUSED(ARGUMENT, "config", imgroup_config_from_env(NULL, out));

  WRONG(CONFIG, 0, "config", imgroup_config_set_region(wrong, "sgp", out));
  WRONG(CONFIG, 0, "config", imgroup_config_set_endpoint(wrong, "https://a", out));
  WRONG(CONFIG, 0, "config", imgroup_config_set_backup_endpoint(wrong, "https://a", out));
  WRONG(CONFIG, 0, "config", imgroup_config_set_ca_file(wrong, "", out));
  WRONG(CONFIG, 0, "config", imgroup_config_set_proxy(wrong, "", out));
  WRONG(CONFIG, 0, "config", imgroup_config_set_quota_directory(wrong, "/dev/shm", out));
  WRONG(CONFIG, 0, "config", imgroup_config_set_quota_redis(wrong, "redis://a", out));
  WRONG(CONFIG, 0, "config", imgroup_config_set_timeout_ms(wrong, 1, out));
  WRONG(CONFIG, 0, "config", imgroup_config_set_attempt_timeout_ms(wrong, 1, out));
  WRONG(CONFIG, 0, "config", imgroup_config_set_resolve_timeout_ms(wrong, 1, out));
  WRONG(CONFIG, 0, "config", imgroup_config_set_connect_timeout_ms(wrong, 1, out));
  WRONG(CONFIG, 0, "config", imgroup_config_set_max_attempts(wrong, 1, out));
  WRONG(CONFIG, 0, "config", imgroup_config_set_usersig_ttl_s(wrong, 60, out));
  WRONG(CONFIG, 0, "config", imgroup_config_set_max_reply_bytes(wrong, 1024, out));
  WRONG(CONFIG, 0, "config", imgroup_config_set_quota(wrong, 1, out));
  WRONG(CONFIG, 0, "config", imgroup_config_set_quota_share(wrong, 1, out));
  WRONG(CONFIG, 0, "config", imgroup_config_set_quota_callback(wrong, NULL, NULL, NULL, out));
  WRONG(CONFIG, 0, "config", imgroup_config_set_log_callback(wrong, 1, NULL, NULL, NULL, out));
  WRONG(CONFIG, 0, "config", imgroup_client_new(wrong, &made_client, out));
  IGNORES(CONFIG, imgroup_config_free(wrong));

  /* The userdata is taken over in any case, and given back once. */
  CHECK(imgroup_config_set_quota_callback(NULL, NULL, &dropped, drop, NULL) == IMGROUP_E_HANDLE && dropped == 1);
  CHECK(imgroup_config_set_log_callback(NULL, 1, NULL, &dropped, drop, NULL) == IMGROUP_E_HANDLE && dropped == 2);
  CHECK(imgroup_config_set_log_callback(config, 0, NULL, &dropped, drop, NULL) == ARGUMENT && dropped == 3);
  CHECK(imgroup_config_set_quota_callback(config, NULL, &dropped, drop, NULL) == IMGROUP_OK && dropped == 4);
  CHECK(imgroup_config_set_log_callback(config, 1, NULL, &dropped, drop, NULL) == IMGROUP_OK && dropped == 5);
  CHECK(imgroup_config_set_quota_callback(config, NULL, NULL, NULL, NULL) == IMGROUP_OK);
  CHECK(imgroup_config_set_log_callback(config, 1, NULL, NULL, NULL, NULL) == IMGROUP_OK);

  REFUSED(ARGUMENT, "region", imgroup_config_set_region(config, NULL, out));
  REFUSED(ARGUMENT, "url", imgroup_config_set_endpoint(config, NULL, out));
  REFUSED(ARGUMENT, "url", imgroup_config_set_backup_endpoint(config, NULL, out));
  REFUSED(ARGUMENT, "path", imgroup_config_set_ca_file(config, NULL, out));
  REFUSED(ARGUMENT, "url", imgroup_config_set_proxy(config, NULL, out));
  REFUSED(ARGUMENT, "path", imgroup_config_set_quota_directory(config, NULL, out));
  REFUSED(ARGUMENT, "url", imgroup_config_set_quota_redis(config, NULL, out));

  REFUSED(ARGUMENT, "client", imgroup_client_new(config, NULL, out));
  WRONG(CLIENT, 0, "client", imgroup_delete_lists(wrong, "a", name_a, 1, NULL, &reply, out));
  WRONG(CLIENT, 0, "client", imgroup_add_lists(wrong, "a", name_a, 1, NULL, 0, NULL, &reply, out));
  WRONG(CLIENT, 0, "client", imgroup_get_lists(wrong, "a", NULL, 0, 0, NULL, &reply, out));
  WRONG(CLIENT, 0, "client", imgroup_request(wrong, "v4/sns/friend_get", "{}", 2, 0, NULL, &reply, out));
  WRONG(CLIENT, 0, "client", imgroup_client_stats(wrong, &text, out));
  WRONG(CALL, 1, "call", imgroup_delete_lists(client, "a", name_a, 1, wrong, &reply, out));
  WRONG(CALL, 1, "call", imgroup_add_lists(client, "a", name_a, 1, NULL, 0, wrong, &reply, out));
  WRONG(CALL, 1, "call", imgroup_get_lists(client, "a", NULL, 0, 0, wrong, &reply, out));
  WRONG(CALL, 1, "call", imgroup_request(client, "v4/sns/friend_get", "{}", 2, 0, wrong, &reply, out));
  IGNORES(CLIENT, imgroup_client_shutdown(wrong));
  IGNORES(CLIENT, imgroup_client_free(wrong));

  REFUSED(ARGUMENT, "account", imgroup_delete_lists(client, NULL, name_a, 1, NULL, &reply, out));
  REFUSED(ARGUMENT, "names", imgroup_delete_lists(client, "a", NULL, 1, NULL, &reply, out));
  REFUSED(ARGUMENT, "account", imgroup_add_lists(client, NULL, name_a, 1, NULL, 0, NULL, &reply, out));
  REFUSED(ARGUMENT, "names", imgroup_add_lists(client, "a", NULL, 1, NULL, 0, NULL, &reply, out));
  REFUSED(ARGUMENT, "friends", imgroup_add_lists(client, "a", name_a, 1, NULL, 1, NULL, &reply, out));
  REFUSED(ARGUMENT, "account", imgroup_get_lists(client, NULL, NULL, 0, 0, NULL, &reply, out));
  REFUSED(ARGUMENT, "names", imgroup_get_lists(client, "a", NULL, 1, 0, NULL, &reply, out));
  REFUSED(ARGUMENT, "command", imgroup_request(client, NULL, "{}", 2, 0, NULL, &reply, out));
  REFUSED(ARGUMENT, "body", imgroup_request(client, "v4/sns/friend_get", NULL, 2, 0, NULL, &reply, out));
  REFUSED(ARGUMENT, "text", imgroup_client_stats(client, NULL, out));
  REFUSED(IMGROUP_E_HANDLE, "client", imgroup_delete_lists(NULL, NULL, NULL, 0, NULL, NULL, out));
  REFUSED(IMGROUP_E_HANDLE, "client", imgroup_add_lists(NULL, NULL, NULL, 0, NULL, 0, NULL, NULL, out));
  REFUSED(IMGROUP_E_HANDLE, "client", imgroup_get_lists(NULL, NULL, NULL, 0, 0, NULL, NULL, out));
  REFUSED(IMGROUP_E_HANDLE, "client", imgroup_request(NULL, NULL, NULL, 0, 0, NULL, NULL, out));

  REFUSED(ARGUMENT, "call", imgroup_call_new(NULL, out));
  WRONG(CALL, 0, "call", imgroup_call_set_timeout_ms(wrong, 1, out));
  WRONG(CALL, 0, "call", imgroup_call_set_ignore_missing(wrong, 1, out));
  IGNORES(CALL, imgroup_call_cancel(wrong));
  IGNORES(CALL, imgroup_call_reset(wrong));
  IGNORES(CALL, imgroup_call_free(wrong));

  WRONG(CLIENT, 0, "client", imgroup_job_new(wrong, 1, "none", &made_job, out));
  REFUSED(ARGUMENT, "journal", imgroup_job_new(client, 1, NULL, &made_job, out));
  REFUSED(ARGUMENT, "journal", imgroup_job_new(client, 1, "", &made_job, out));
  REFUSED(ARGUMENT, "job", imgroup_job_new(client, 1, "none", NULL, out));
  REFUSED(ARGUMENT, "job", imgroup_job_new(NULL, 0, NULL, NULL, out));
  WRONG(JOB, 0, "job", imgroup_job_set_partition(wrong, 1, 1, out));
  WRONG(JOB, 0, "job", imgroup_job_set_max_deletes(wrong, 1, out));
  WRONG(JOB, 0, "job", imgroup_job_set_max_failures(wrong, 1, out));
  WRONG(JOB, 0, "job", imgroup_job_set_connections(wrong, 1, out));
  WRONG(JOB, 0, "job", imgroup_job_set_give_up_ms(wrong, 1000, out));
  WRONG(JOB, 0, "job", imgroup_job_set_input_file(wrong, "none", "csv", out));
  WRONG(JOB, 0, "job", imgroup_job_set_progress(wrong, NULL, NULL, NULL, out));
  WRONG(JOB, 0, "job", imgroup_job_push(wrong, "a", "a", out));
  WRONG(JOB, 0, "job", imgroup_job_run(wrong, out));
  WRONG(JOB, 0, "job", imgroup_job_report(wrong, &text, out));
  WRONG(JOB, 0, "job", imgroup_job_write_report(wrong, "none", out));
  WRONG(JOB, 0, "job", imgroup_job_write_failed(wrong, "none", NULL, NULL, out));
  WRONG(JOB, 0, "job", imgroup_job_write_lists(wrong, "none", NULL, out));
  IGNORES(JOB, imgroup_job_pause(wrong));
  IGNORES(JOB, imgroup_job_cancel(wrong));
  ANSWERS(JOB, imgroup_job_count(wrong, IMGROUP_JOB_ROWS) == 0);
  ANSWERS(JOB, imgroup_job_stopped_by(wrong) == NULL);
  IGNORES(JOB, imgroup_job_free(wrong));
  CHECK(imgroup_job_set_progress(NULL, NULL, &dropped, drop, NULL) == IMGROUP_E_HANDLE && dropped == 6);
  CHECK(imgroup_job_set_progress(job, NULL, &dropped, drop, NULL) == IMGROUP_OK && dropped == 7);
  REFUSED(ARGUMENT, "path", imgroup_job_set_input_file(job, NULL, "csv", out));
  REFUSED(ARGUMENT, "format", imgroup_job_set_input_file(job, "none", "xml", out));
  REFUSED(ARGUMENT, "account", imgroup_job_push(job, NULL, "a", out));
  REFUSED(ARGUMENT, "list", imgroup_job_push(job, "a", NULL, out));
  REFUSED(ARGUMENT, "input", imgroup_job_run(job, out));
  REFUSED(ARGUMENT, "job", imgroup_job_report(job, &text, out));
  REFUSED(ARGUMENT, "text", imgroup_job_report(job, NULL, out));
  REFUSED(ARGUMENT, "path", imgroup_job_write_report(job, NULL, out));
  REFUSED(ARGUMENT, "path", imgroup_job_write_failed(job, NULL, NULL, NULL, out));
  REFUSED(ARGUMENT, "job", imgroup_job_write_failed(job, "none", NULL, NULL, out));
  REFUSED(ARGUMENT, "format", imgroup_job_write_failed(job, "none", "", NULL, out));
  REFUSED(ARGUMENT, "path", imgroup_job_write_lists(job, NULL, NULL, out));

  ANSWERS(ERROR, imgroup_error_code(wrong) == 0);
  ANSWERS(ERROR, *imgroup_error_name(wrong) == 0);
  ANSWERS(ERROR, *imgroup_error_message(wrong) == 0);
  ANSWERS(ERROR, *imgroup_error_display(wrong) == 0);
  ANSWERS(ERROR, imgroup_error_class(wrong) == 0);
  ANSWERS(ERROR, imgroup_error_outcome(wrong) == 0);
  ANSWERS(ERROR, imgroup_error_is_retryable(wrong) == 0);
  ANSWERS(ERROR, imgroup_error_http_status(wrong) == 0);
  ANSWERS(ERROR, imgroup_error_attempts(wrong) == 0);
  ANSWERS(ERROR, *imgroup_error_host(wrong) == 0);
  ANSWERS(ERROR, imgroup_error_random(wrong) == 0);
  IGNORES(ERROR, imgroup_error_free(wrong));

  ANSWERS(RESPONSE, imgroup_response_sequence(wrong) == 0);
  ANSWERS(RESPONSE, imgroup_response_has_sequence(wrong) == 0);
  ANSWERS(RESPONSE, imgroup_response_attempts(wrong) == 0);
  ANSWERS(RESPONSE, imgroup_response_was_ambiguous(wrong) == 0);
  ANSWERS(RESPONSE, imgroup_response_body(wrong, NULL) == NULL);
  ANSWERS(RESPONSE, imgroup_response_body(wrong, &length) == NULL && length == 0);
  ANSWERS(RESPONSE, imgroup_response_list_count(wrong) == 0);
  ANSWERS(RESPONSE, imgroup_response_list_name(wrong, 0) == NULL);
  ANSWERS(RESPONSE, imgroup_response_list_friend_count(wrong, 0) == 0);
  ANSWERS(RESPONSE, imgroup_response_member_count(wrong, 0) == 0);
  ANSWERS(RESPONSE, imgroup_response_member(wrong, 0, 0) == NULL);
  ANSWERS(RESPONSE, imgroup_response_result_count(wrong) == 0);
  ANSWERS(RESPONSE, imgroup_response_result_account(wrong, 0) == NULL);
  ANSWERS(RESPONSE, imgroup_response_result_code(wrong, 0) == 0);
  ANSWERS(RESPONSE, imgroup_response_result_info(wrong, 0) == NULL);
  IGNORES(RESPONSE, imgroup_response_free(wrong));

  REFUSED(ARGUMENT, "identifier", imgroup_usersig(1, NULL, "k", 60, 0, NULL, 0, &text, out));
  REFUSED(ARGUMENT, "secret_key", imgroup_usersig(1, "a", NULL, 60, 0, NULL, 0, &text, out));
  REFUSED(ARGUMENT, "userbuf", imgroup_usersig(1, "a", "k", 60, 0, NULL, 1, &text, out));
  REFUSED(ARGUMENT, "text", imgroup_usersig(1, "a", "k", 60, 0, NULL, 0, NULL, out));
  REFUSED(ARGUMENT, "text", imgroup_usersig(0, NULL, NULL, 0, 0, NULL, 0, NULL, out));
  imgroup_string_free(NULL);
}

/* ---- lengths and numbers that cannot be true */

static void lengths(const void *forbidden) {
  const size_t lengths[] = {4097, SIZE_MAX / 8 + 2, SIZE_MAX / 2 + 1, SIZE_MAX};
  const char *const *names = forbidden;
  const char *body = forbidden;
  const void *odd = (const char *)(const void *)name_a + 1;
  imgroup_response *response = kinds[RESPONSE];
  size_t i;
  for (i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    size_t length = lengths[i];
    REFUSED(ARGUMENT, "names", imgroup_delete_lists(client, "a", names, length, NULL, &reply, out));
    REFUSED(ARGUMENT, "names", imgroup_add_lists(client, "a", names, length, NULL, 0, NULL, &reply, out));
    REFUSED(ARGUMENT, "friends", imgroup_add_lists(client, "a", name_a, 1, names, length, NULL, &reply, out));
    REFUSED(ARGUMENT, "names", imgroup_get_lists(client, "a", names, length, 1, NULL, &reply, out));
    REFUSED(ARGUMENT, "names", imgroup_delete_lists(client, "a", NULL, length, NULL, &reply, out));
    if (i > 0) {
      REFUSED(ARGUMENT, "body", imgroup_request(client, "v4/sns/a", body, length, 0, NULL, &reply, out));
      REFUSED(ARGUMENT, "body", imgroup_request(client, "v4/sns/a", NULL, length, 0, NULL, &reply, out));
      REFUSED(ARGUMENT, "userbuf", imgroup_usersig(1, "a", "k", 60, 0, forbidden, length, &text, out));
    }
    CHECK(imgroup_response_list_name(response, length) == NULL);
    CHECK(imgroup_response_list_friend_count(response, length) == 0);
    CHECK(imgroup_response_member_count(response, length) == 0);
    CHECK(imgroup_response_member(response, length, 0) == NULL);
    CHECK(imgroup_response_member(response, 0, length) == NULL);
    CHECK(imgroup_response_result_account(response, length) == NULL);
    CHECK(imgroup_response_result_code(response, length) == 0);
    CHECK(imgroup_response_result_info(response, length) == NULL);
  }

  /* Of length 0, nothing is read. */
  REFUSED(ARGUMENT, "names", imgroup_delete_lists(client, "a", names, 0, NULL, &reply, out));
  REFUSED(ARGUMENT, "names", imgroup_add_lists(client, "a", names, 0, names, 0, NULL, &reply, out));
  REFUSED(ARGUMENT, "body", imgroup_request(client, "v4/sns/a", body, 0, 0, NULL, &reply, out));
  REFUSED(ARGUMENT, "body", imgroup_request(client, "v4/sns/a", NULL, 0, 0, NULL, &reply, out));
  CHECK(imgroup_get_lists(client, "alice", names, 0, 0, NULL, NULL, NULL) == IMGROUP_OK);
  CHECK(imgroup_usersig(1, "a", "k", 60, 0, forbidden, 0, &text, NULL) == IMGROUP_OK);
  imgroup_string_free(text);

  /* An array of pointers that does not stand where pointers stand. */
  REFUSED(ARGUMENT, "names", imgroup_delete_lists(client, "a", odd, 1, NULL, &reply, out));
  REFUSED(ARGUMENT, "friends", imgroup_add_lists(client, "a", name_a, 1, odd, 1, NULL, &reply, out));
  REFUSED(ARGUMENT, "names", imgroup_get_lists(client, "a", odd, 1, 0, NULL, &reply, out));

  REFUSED(CONFIG_FAULT, "timeout_ms", imgroup_config_set_timeout_ms(config, UINT32_MAX, out));
  REFUSED(CONFIG_FAULT, "attempt_timeout_ms", imgroup_config_set_attempt_timeout_ms(config, UINT32_MAX, out));
  REFUSED(CONFIG_FAULT, "resolve_timeout_ms", imgroup_config_set_resolve_timeout_ms(config, UINT32_MAX, out));
  REFUSED(CONFIG_FAULT, "connect_timeout_ms", imgroup_config_set_connect_timeout_ms(config, UINT32_MAX, out));
  REFUSED(CONFIG_FAULT, "max_attempts", imgroup_config_set_max_attempts(config, UINT32_MAX, out));
  REFUSED(CONFIG_FAULT, "usersig_ttl_s", imgroup_config_set_usersig_ttl_s(config, UINT32_MAX, out));
  REFUSED(CONFIG_FAULT, "max_reply_bytes", imgroup_config_set_max_reply_bytes(config, UINT32_MAX, out));
  REFUSED(CONFIG_FAULT, "quota", imgroup_config_set_quota(config, UINT32_MAX, out));
  REFUSED(CONFIG_FAULT, "quota_share", imgroup_config_set_quota_share(config, strtod("nan", NULL), out));
  REFUSED(CONFIG_FAULT, "quota_share", imgroup_config_set_quota_share(config, strtod("inf", NULL), out));
  REFUSED(CONFIG_FAULT, "quota_share", imgroup_config_set_quota_share(config, -1, out));
  REFUSED(ARGUMENT, "level", imgroup_config_set_log_callback(config, INT32_MIN, NULL, NULL, NULL, out));
  REFUSED(ARGUMENT, "level", imgroup_config_set_log_callback(config, INT32_MAX, NULL, NULL, NULL, out));
  REFUSED(ARGUMENT, "timeout_ms", imgroup_call_set_timeout_ms(call, UINT32_MAX, out));
  REFUSED(ARGUMENT, "command", imgroup_job_new(client, 0, "none", &made_job, out));
  REFUSED(ARGUMENT, "command", imgroup_job_new(client, INT32_MAX, "none", &made_job, out));
  REFUSED(ARGUMENT, "partition", imgroup_job_set_partition(job, 0, 1, out));
  REFUSED(ARGUMENT, "partition", imgroup_job_set_partition(job, 1, UINT32_MAX, out));
  REFUSED(ARGUMENT, "max_failures", imgroup_job_set_max_failures(job, strtod("nan", NULL), out));
  REFUSED(ARGUMENT, "max_failures", imgroup_job_set_max_failures(job, -1, out));
  REFUSED(ARGUMENT, "connections", imgroup_job_set_connections(job, UINT32_MAX, out));
  REFUSED(ARGUMENT, "give_up_ms", imgroup_job_set_give_up_ms(job, UINT32_MAX, out));
  CHECK(imgroup_job_count(job, INT32_MIN) == 0 && imgroup_job_count(job, INT32_MAX) == 0);
  REFUSED(ARGUMENT, "flags", imgroup_request(client, "v4/sns/a", "{}", 2, UINT32_MAX, NULL, &reply, out));
  REFUSED(ARGUMENT, "issued_at", imgroup_usersig(1, "a", "k", 60, INT64_MIN, NULL, 0, &text, out));
  REFUSED(ARGUMENT, "ttl_s", imgroup_usersig(1, "a", "k", UINT32_MAX, 0, NULL, 0, &text, out));

  CHECK_TEXT(imgroup_code_name(INT32_MIN), "UNKNOWN");
  CHECK_TEXT(imgroup_code_name(INT32_MAX), "UNKNOWN");
  CHECK(*imgroup_class_name(imgroup_code_class(INT32_MIN)) != 0);
  CHECK(*imgroup_class_name(imgroup_code_class(INT32_MAX)) != 0);
  CHECK_TEXT(imgroup_class_name(INT32_MIN), "");
  CHECK_TEXT(imgroup_class_name(INT32_MAX), "");
  CHECK_TEXT(imgroup_outcome_name(INT32_MIN), "");
  CHECK_TEXT(imgroup_outcome_name(INT32_MAX), "");
  CHECK(imgroup_version() != NULL && imgroup_version_number() > 0);
}

/* ---- texts that are no text */

static void texts(void) {
  char *identifier;
  NOT_UTF8("identifier", imgroup_config_new(1, bad, "k", &new_config, out));
  NOT_UTF8("secret_key", imgroup_config_new(1, "a", bad, &new_config, out));
  NOT_UTF8("region", imgroup_config_set_region(config, bad, out));
  NOT_UTF8("url", imgroup_config_set_endpoint(config, bad, out));
  NOT_UTF8("url", imgroup_config_set_backup_endpoint(config, bad, out));
  NOT_UTF8("path", imgroup_config_set_ca_file(config, bad, out));
  NOT_UTF8("url", imgroup_config_set_proxy(config, bad, out));
  NOT_UTF8("path", imgroup_config_set_quota_directory(config, bad, out));
  NOT_UTF8("url", imgroup_config_set_quota_redis(config, bad, out));
  NOT_UTF8("account", imgroup_delete_lists(client, bad, name_a, 1, NULL, &reply, out));
  NOT_UTF8("names[1]", imgroup_delete_lists(client, "a", bads, 2, NULL, &reply, out));
  NOT_UTF8("account", imgroup_add_lists(client, bad, name_a, 1, NULL, 0, NULL, &reply, out));
  NOT_UTF8("names[1]", imgroup_add_lists(client, "a", bads, 2, NULL, 0, NULL, &reply, out));
  NOT_UTF8("friends[1]", imgroup_add_lists(client, "a", name_a, 1, bads, 2, NULL, &reply, out));
  NOT_UTF8("account", imgroup_get_lists(client, bad, NULL, 0, 0, NULL, &reply, out));
  NOT_UTF8("names[1]", imgroup_get_lists(client, "a", bads, 2, 0, NULL, &reply, out));
  NOT_UTF8("command", imgroup_request(client, bad, "{}", 2, 0, NULL, &reply, out));
  NOT_UTF8("body", imgroup_request(client, "v4/sns/a", bad, strlen(bad), 0, NULL, &reply, out));
  NOT_UTF8("journal", imgroup_job_new(client, 1, bad, &made_job, out));
  NOT_UTF8("path", imgroup_job_set_input_file(job, bad, NULL, out));
  NOT_UTF8("format", imgroup_job_set_input_file(job, "none", bad, out));
  NOT_UTF8("account", imgroup_job_push(job, bad, "a", out));
  NOT_UTF8("list", imgroup_job_push(job, "a", bad, out));
  NOT_UTF8("path", imgroup_job_write_report(job, bad, out));
  NOT_UTF8("path", imgroup_job_write_failed(job, bad, NULL, NULL, out));
  NOT_UTF8("format", imgroup_job_write_failed(job, "none", bad, NULL, out));
  NOT_UTF8("path", imgroup_job_write_lists(job, bad, NULL, out));
  NOT_UTF8("identifier", imgroup_usersig(1, bad, "k", 60, 0, NULL, 0, &text, out));
  NOT_UTF8("secret_key", imgroup_usersig(1, "a", bad, 60, 0, NULL, 0, &text, out));

  /* The environment is text of a caller too. */
  identifier = strdup(getenv("IMGROUP_IDENTIFIER"));
  setenv("IMGROUP_IDENTIFIER", "\xff", 1);
  REFUSED(IMGROUP_E_INVALID_UTF8, "IMGROUP_IDENTIFIER", imgroup_config_from_env(&new_config, out));
  setenv("IMGROUP_IDENTIFIER", identifier, 1);
  free(identifier);
}

/* ---- threads */

static imgroup_client *shared;
static pthread_barrier_t entered;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int to_wait_for, given_back;

/* Asked inside a call, before its request: so the call has entered. */
static int64_t acquire(void *userdata, const char *command) {
  int waits;
  (void)userdata, (void)command;
  pthread_mutex_lock(&lock);
  waits = to_wait_for > 0;
  to_wait_for -= waits;
  pthread_mutex_unlock(&lock);
  if (waits) pthread_barrier_wait(&entered);
  return 0;
}

static void give_back(void *userdata) {
  (void)userdata;
  pthread_mutex_lock(&lock);
  given_back++;
  pthread_mutex_unlock(&lock);
}

/* One of the four calls, on an account of the thread's own. */
static void *one_call(void *number) {
  static const char *const old_list[] = {"Old"}, *const new_list[] = {"New"};
  int n = (int)(intptr_t)number;
  char account[16], body[64];
  imgroup_response *response = NULL;
  imgroup_error *why = NULL;
  int32_t code;
  snprintf(account, sizeof account, "u%d", n);
  snprintf(body, sizeof body, "{\"From_Account\":\"%s\"}", account);
  switch (n % 4) {
    case 0: code = imgroup_delete_lists(shared, account, old_list, 1, NULL, &response, &why); break;
    case 1: code = imgroup_add_lists(shared, account, new_list, 1, NULL, 0, NULL, &response, &why); break;
    case 2: code = imgroup_get_lists(shared, account, NULL, 0, 1, NULL, &response, &why); break;
    default:
      code = imgroup_request(shared, "v4/sns/group_get", body, strlen(body), IMGROUP_REQUEST_IDEMPOTENT, NULL,
                             &response, &why);
  }
  if ((response != NULL) != (code == IMGROUP_OK) || imgroup_error_code(why) != code) code = 1;
  imgroup_response_free(response);
  imgroup_error_free(why);
  return (void *)(intptr_t)code;
}

/* `count` threads are inside their calls when `end` comes. */
static void all_inside(int count, const char *fault, void (*end)(void), int32_t expected) {
  pthread_t threads[THREADS];
  imgroup_config *own = NULL;
  char state[4000] = "{\"accounts\":{\"alice\":{}";
  int i, good = 0;
  for (i = 0; i < THREADS; i++) sprintf(state + strlen(state), ",\"u%d\":{\"lists\":[\"Old\"]}", i);
  strcat(state, "}}");
  control("POST", "reset", "");
  control("PUT", "state", state);
  control("POST", "faults", fault);
  pthread_barrier_init(&entered, NULL, (unsigned)count + 1);
  to_wait_for = count;
  given_back = 0;
  CHECK(imgroup_config_from_env(&own, NULL) == IMGROUP_OK);
  CHECK(imgroup_config_set_quota_callback(own, acquire, NULL, give_back, NULL) == IMGROUP_OK);
  CHECK(imgroup_client_new(own, &shared, NULL) == IMGROUP_OK);
  imgroup_config_free(own);
  for (i = 0; i < count; i++) CHECK(pthread_create(&threads[i], NULL, one_call, (void *)(intptr_t)i) == 0);
  pthread_barrier_wait(&entered);
  end();
  for (i = 0; i < count; i++) {
    void *code;
    pthread_join(threads[i], &code);
    good += (int32_t)(intptr_t)code == expected;
  }
  CHECK(good == count);
  CHECK(given_back == 1);
  pthread_barrier_destroy(&entered);
}

static void free_alone(void) { imgroup_client_free(shared); }

static void *shut_down(void *unused) {
  imgroup_client_shutdown(shared);
  return unused;
}

/* Two threads shut down at once, then the client is freed under its calls. */
static void shutdown_and_free(void) {
  pthread_t other;
  CHECK(pthread_create(&other, NULL, shut_down, NULL) == 0);
  imgroup_client_shutdown(shared);
  pthread_join(other, NULL);
  imgroup_client_free(shared);
}

/* Each thread's every call on one client, with the client's own numbers between. */
static void *mixed(void *number) {
  static const char *const names[] = {"New", "Newer"};
  char account[16];
  intptr_t good = 0;
  int round;
  snprintf(account, sizeof account, "u%d", (int)(intptr_t)number);
  for (round = 0; round < 2; round++) {
    imgroup_response *response = NULL;
    char *numbers = NULL;
    good += imgroup_add_lists(shared, account, names, 2, NULL, 0, NULL, NULL, NULL) == IMGROUP_OK;
    good += imgroup_client_stats(shared, &numbers, NULL) == IMGROUP_OK;
    good += imgroup_get_lists(shared, account, names, 2, 0, NULL, &response, NULL) == IMGROUP_OK &&
            imgroup_response_list_count(response) == 2;
    good += imgroup_get_lists(shared, account, NULL, SIZE_MAX, 0, NULL, NULL, NULL) == ARGUMENT;
    good += imgroup_delete_lists(shared, account, names, 2, NULL, NULL, NULL) == IMGROUP_OK;
    imgroup_response_free(response);
    imgroup_string_free(numbers);
  }
  return (void *)good;
}

static void many_threads(void) {
  pthread_t threads[THREADS];
  int i, good = 0;
  shared = new_client();
  for (i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, mixed, (void *)(intptr_t)i) == 0);
  for (i = 0; i < THREADS; i++) {
    void *count;
    pthread_join(threads[i], &count);
    good += (int)(intptr_t)count;
  }
  CHECK(good == THREADS * 10);
  imgroup_client_free(shared);
}

int main(void) {
  static uint64_t zeros[8];
  imgroup_response *response = NULL;
  imgroup_error *failure = NULL;
  char journal[300];
  int zero = open("/dev/zero", O_RDONLY);
  /* Whoever looks into this crashes. */
  void *forbidden = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE, zero, 0);
  CHECK(zero >= 0 && forbidden != MAP_FAILED);
  seed();

  CHECK(imgroup_config_from_env(&config, NULL) == IMGROUP_OK);
  client = new_client();
  CHECK(imgroup_call_new(&call, NULL) == IMGROUP_OK);
  snprintf(journal, sizeof journal, "%s/misuse-%ld", getenv("IMGROUP_QUOTA_DIR"), (long)getpid());
  CHECK(imgroup_job_new(client, IMGROUP_JOB_DELETE, journal, &job, NULL) == IMGROUP_OK);
  CHECK(imgroup_get_lists(client, "alice", NULL, 0, 1, call, &response, NULL) == IMGROUP_OK);
  CHECK(imgroup_get_lists(client, "nobody", NULL, 0, 1, call, NULL, &failure) == 30003);
  kinds[CONFIG] = config;
  kinds[CLIENT] = client;
  kinds[CALL] = call;
  kinds[RESPONSE] = response;
  kinds[JOB] = job;
  kinds[ERROR] = failure;
  kinds[ZEROS] = zeros;
  kinds[ODD] = (char *)config + 1;

  handles();
  lengths(forbidden);
  texts();

  /* All of that has hurt none of them. */
  CHECK(imgroup_error_code(failure) == 30003);
  CHECK_TEXT(imgroup_response_list_name(response, 0), "Family");
  CHECK_TEXT(imgroup_response_member(response, 0, 0), "bob");
  CHECK(imgroup_get_lists(client, "alice", NULL, 0, 0, call, NULL, NULL) == IMGROUP_OK);
  imgroup_client_free(client);
  CHECK(imgroup_client_new(config, &client, NULL) == IMGROUP_OK);
  CHECK(imgroup_get_lists(client, "alice", NULL, 0, 0, call, NULL, NULL) == IMGROUP_OK);
  imgroup_error_free(failure);
  imgroup_response_free(response);
  imgroup_call_free(call);
  imgroup_job_free(job);
  imgroup_client_free(client);
  imgroup_config_free(config);

  all_inside(8, "{\"kind\":\"delay\",\"delay_ms\":200,\"times\":8}", free_alone, IMGROUP_OK);
  all_inside(THREADS, "{\"kind\":\"silence\",\"times\":64}", shutdown_and_free, IMGROUP_E_SHUTDOWN);
  control("POST", "reset", "");
  {
    char state[4000] = "{\"accounts\":{\"alice\":{}";
    int i;
    for (i = 0; i < THREADS; i++) sprintf(state + strlen(state), ",\"u%d\":{}", i);
    control("PUT", "state", strcat(state, "}}"));
  }
  many_threads();
  munmap(forbidden, 4096);
  close(zero);
  return report();
}
