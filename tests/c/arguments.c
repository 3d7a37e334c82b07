/* Every kind of bad argument: an error that names the parameter and the rule,
 * before anything is sent. */

#include "check.h"

#define X31 "0123456789012345678901234567890"
#define X33 X31 "12"

static imgroup_error *error;

/* One row: the call gave `code` and a message; nothing was sent. */
static void row(int32_t code, int32_t expected, const char *message) {
  CHECK(code == expected);
  CHECK(imgroup_error_code(error) == code);
  CHECK_TEXT(imgroup_error_message(error), message);
  CHECK(imgroup_error_class(error) == IMGROUP_CLASS_ARGUMENT);
  CHECK(imgroup_error_outcome(error) == IMGROUP_OUTCOME_NOT_SENT);
  CHECK(imgroup_error_attempts(error) == 0 && !imgroup_error_is_retryable(error));
  imgroup_error_free(error);
  error = NULL;
}

#define BAD IMGROUP_E_INVALID_ARGUMENT
#define DELETE(account, names, count) \
  imgroup_delete_lists(client, account, names, count, NULL, NULL, &error)

static void calls(imgroup_client *client) {
  const char *good[] = {"a"}, *empty[] = {"a", ""}, *long_name[] = {X31}, *null_name[] = {"a", NULL};
  const char *many[33], *latin1[] = {"a", "caf\xe9"}, *control_character[] = {"a\tb"};
  char big[70000];
  int i;
  for (i = 0; i < 33; i++) many[i] = "a";
  memset(big, 'x', sizeof big - 1);
  big[sizeof big - 1] = 0;

  row(DELETE(NULL, good, 1), BAD, "account: must not be NULL");
  row(DELETE("", good, 1), BAD, "account: must be 1 to 32 bytes, not 0");
  row(DELETE(X33, good, 1), BAD, "account: must be 1 to 32 bytes, not 33");
  row(DELETE(big, good, 1), BAD, "account: must be at most 65536 bytes");
  row(DELETE("\xff", good, 1), IMGROUP_E_INVALID_UTF8, "account: must be UTF-8, which byte 0 is not");
  row(DELETE("alice", NULL, 0), BAD, "names: must be 1 to 32 names, not 0");
  row(DELETE("alice", NULL, 2), BAD, "names: must not be NULL, as 2 are announced");
  row(DELETE("alice", many, 33), BAD, "names: must be 1 to 32 names, not 33");
  row(DELETE("alice", good, SIZE_MAX), BAD, "names: must be at most 4096, not 18446744073709551615");
  row(DELETE("alice", empty, 2), BAD, "names[1]: must be 1 to 30 bytes, not 0");
  row(DELETE("alice", long_name, 1), BAD, "names[0]: must be 1 to 30 bytes, not 31");
  row(DELETE("alice", null_name, 2), BAD, "names[1]: must not be NULL");
  row(DELETE("alice", latin1, 2), IMGROUP_E_INVALID_UTF8, "names[1]: must be UTF-8, which byte 3 is not");
  row(imgroup_add_lists(client, "alice", control_character, 1, NULL, 0, NULL, NULL, &error), BAD,
      "names[0]: must not contain control characters");
  row(imgroup_add_lists(client, "alice", good, 1, empty, 2, NULL, NULL, &error), BAD,
      "friends[1]: must be 1 to 32 bytes, not 0");
  row(imgroup_get_lists(client, "alice", many, 33, 0, NULL, NULL, &error), BAD,
      "names: must be 0 to 32 names, not 33");
  row(imgroup_request(client, "v4/sns", "{}", 2, 0, NULL, NULL, &error), BAD,
      "command: must be v4/<service>/<command>");
  row(imgroup_request(client, "v4/sns/a?b", "{}", 2, 0, NULL, NULL, &error), BAD,
      "command: must be v4/<service>/<command>");
  row(imgroup_request(client, "v4/sns/friend_get", "[]", 2, 0, NULL, NULL, &error), BAD,
      "body: must be a JSON object; send {} for nothing");
  row(imgroup_request(client, "v4/sns/friend_get", NULL, 2, 0, NULL, NULL, &error), BAD,
      "body: must not be NULL");
  row(imgroup_request(client, "v4/sns/friend_get", "{}", SIZE_MAX, 0, NULL, NULL, &error), BAD,
      "body: must be at most 16777216 bytes, not 18446744073709551615");
  row(imgroup_request(client, "v4/sns/friend_get", "{}", 2, 6, NULL, NULL, &error), BAD,
      "flags: has unknown bits: 0x6");
}

static void handles(imgroup_client *client, imgroup_config *config) {
  const char *names[] = {"a"};
  imgroup_client *other = NULL;
  imgroup_call *call = NULL;
  imgroup_response *reply = (imgroup_response *)&reply;
  void *wrong = config;
  char *text = NULL;
  CHECK(imgroup_call_new(&call, NULL) == IMGROUP_OK);

  row(imgroup_delete_lists(NULL, "alice", names, 1, NULL, &reply, &error), IMGROUP_E_HANDLE,
      "client: must not be NULL");
  CHECK(reply == NULL);
  row(imgroup_delete_lists(wrong, "alice", names, 1, NULL, NULL, &error), IMGROUP_E_HANDLE,
      "client: is a handle of another type");
  row(imgroup_delete_lists(client, "alice", names, 1, wrong, NULL, &error), IMGROUP_E_HANDLE,
      "call: is a handle of another type");
  row(imgroup_client_new(NULL, &other, &error), IMGROUP_E_HANDLE, "config: must not be NULL");
  row(imgroup_client_new((imgroup_config *)(void *)call, &other, &error), IMGROUP_E_HANDLE,
      "config: is a handle of another type");
  row(imgroup_client_new(config, NULL, &error), BAD, "client: must not be NULL");
  row(imgroup_call_new(NULL, &error), BAD, "call: must not be NULL");
  row(imgroup_call_set_timeout_ms(NULL, 1, &error), IMGROUP_E_HANDLE, "call: must not be NULL");
  row(imgroup_call_set_timeout_ms(call, 600001, &error), BAD,
      "timeout_ms: must be 1 to 600000 (0 for the client's own), not 600001");
  row(imgroup_call_set_ignore_missing(NULL, 1, &error), IMGROUP_E_HANDLE, "call: must not be NULL");
  row(imgroup_client_stats(client, NULL, &error), BAD, "text: must not be NULL");
  row(imgroup_client_stats(NULL, &text, &error), IMGROUP_E_HANDLE, "client: must not be NULL");
  /* A free of the wrong type frees nothing. */
  imgroup_response_free(wrong);
  imgroup_error_free(wrong);
  imgroup_client_free(wrong);
  imgroup_call_free(call);
}

static void settings(imgroup_config *config) {
  imgroup_config *other = NULL;
  char *text = NULL;
#define CONFIG IMGROUP_E_CONFIG
  row(imgroup_config_new(0, "a", "k", &other, &error), BAD, "sdkappid: must not be 0");
  row(imgroup_config_new(1, NULL, "k", &other, &error), BAD, "identifier: must not be NULL");
  row(imgroup_config_new(1, X33, "k", &other, &error), BAD, "identifier: must be 1 to 32 bytes, not 33");
  row(imgroup_config_new(1, "a\nb", "k", &other, &error), BAD,
      "identifier: must be printable ASCII (3 bytes given)");
  row(imgroup_config_new(1, "a", "", &other, &error), BAD, "secret_key: must be 1 to 1024 bytes, not 0");
  row(imgroup_config_new(1, "a", "k", NULL, &error), BAD, "config: must not be NULL");
  row(imgroup_config_from_env(NULL, &error), BAD, "config: must not be NULL");
  row(imgroup_config_set_region(config, "mars", &error), CONFIG,
      "region: must be one of cn, sgp, kr, jpn, ger, usa, idn, ind, ksa");
  row(imgroup_config_set_region(NULL, "sgp", &error), IMGROUP_E_HANDLE, "config: must not be NULL");
  row(imgroup_config_set_endpoint(config, "http://192.0.2.1", &error), CONFIG,
      "endpoint: plain http:// is allowed to loopback only; use https://");
  row(imgroup_config_set_backup_endpoint(config, "gopher://a", &error), CONFIG,
      "backup_endpoint: must begin with https:// (or http:// for loopback)");
  row(imgroup_config_set_endpoint(config, NULL, &error), BAD, "url: must not be NULL");
  row(imgroup_config_set_timeout_ms(config, 600001, &error), CONFIG,
      "timeout_ms: must be 1 to 600000 ms (0 for the default), not 600001");
  row(imgroup_config_set_attempt_timeout_ms(config, 600001, &error), CONFIG,
      "attempt_timeout_ms: must be 1 to 600000 ms (0 for the default), not 600001");
  row(imgroup_config_set_resolve_timeout_ms(config, 600001, &error), CONFIG,
      "resolve_timeout_ms: must be 1 to 600000 ms (0 for the default), not 600001");
  row(imgroup_config_set_connect_timeout_ms(config, 600001, &error), CONFIG,
      "connect_timeout_ms: must be 1 to 600000 ms (0 for the default), not 600001");
  row(imgroup_config_set_max_attempts(config, 6, &error), CONFIG, "max_attempts: must be 1 to 5, not 6");
  row(imgroup_config_set_usersig_ttl_s(config, 59, &error), CONFIG,
      "usersig_ttl_s: must be 60 to 1576800000 seconds, not 59");
  row(imgroup_config_set_max_reply_bytes(config, 1, &error), CONFIG,
      "max_reply_bytes: must be 1024 to 16777216, not 1");
  row(imgroup_config_set_quota(config, 1000001, &error), CONFIG, "quota: must be 1 to 1000000, not 1000001");
  row(imgroup_config_set_quota_share(config, 1.5, &error), CONFIG, "quota_share: must be 0.001 to 1, not 1.5");
  row(imgroup_config_set_quota_directory(config, "", &error), CONFIG, "quota_directory: must not be empty");
  row(imgroup_config_set_proxy(config, "socks5://a", &error), CONFIG, "proxy: must begin with http://");
  row(imgroup_config_set_log_callback(config, 5, NULL, NULL, NULL, &error), BAD, "level: must be 1 to 4, not 5");
  row(imgroup_config_set_quota_redis(config, "redis://localhost", &error), CONFIG,
      "quota_redis: this library was built without the cargo feature redis");
  row(imgroup_usersig(1, "a", "k", 0, 0, NULL, 0, &text, &error), BAD,
      "ttl_s: must be 1 to 1576800000 seconds, not 0");
  row(imgroup_usersig(1, "a", "k", 60, 0, NULL, 3, &text, &error), BAD, "userbuf: must not be NULL");
  row(imgroup_usersig(1, "a", "k", 60, -1, NULL, 0, &text, &error), BAD,
      "issued_at: must be seconds since 1970, not negative");
  row(imgroup_usersig(1, "a", "k", 60, 0, NULL, 0, NULL, &error), BAD, "text: must not be NULL");
  CHECK(text == NULL);
}

/* What imgroup_config_from_env reads, one variable wrong at a time. */
static void environment(void) {
  imgroup_config *config = NULL;
  static const struct {
    const char *name, *value, *message;
  } rows[] = {
      {"IMGROUP_SDKAPPID", "1400000000x", "IMGROUP_SDKAPPID: must be a whole number from 0 to 4294967295"},
      {"IMGROUP_TIMEOUT_MS", "1.5", "IMGROUP_TIMEOUT_MS: must be a whole number from 0 to 4294967295"},
      {"IMGROUP_TIMEOUT_MS", "600001", "timeout_ms: must be 1 to 600000 ms (0 for the default), not 600001"},
      {"IMGROUP_QUOTA_SHARE", "half", "IMGROUP_QUOTA_SHARE: must be a number such as 0.5"},
      {"IMGROUP_QUOTA_SHARE", "2", "quota_share: must be 0.001 to 1, not 2"},
      {"IMGROUP_REGION", "mars", "region: must be one of cn, sgp, kr, jpn, ger, usa, idn, ind, ksa"},
  };
  size_t i;
  for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const char *set = getenv(rows[i].name);
    char *before = set ? strdup(set) : NULL;
    setenv(rows[i].name, rows[i].value, 1);
    row(imgroup_config_from_env(&config, &error), IMGROUP_E_CONFIG, rows[i].message);
    CHECK(config == NULL);
    unsetenv(rows[i].name);
    if (before) setenv(rows[i].name, before, 1);
    free(before);
  }
  setenv("IMGROUP_QUOTA_SHARE", "0.25", 1);
  CHECK(imgroup_config_from_env(&config, NULL) == IMGROUP_OK);
  imgroup_config_free(config);
  unsetenv("IMGROUP_QUOTA_SHARE");
}

int main(void) {
  imgroup_config *config = NULL, *hostless = NULL;
  imgroup_client *client = NULL, *other = NULL;
  seed();
  control("DELETE", "requests", "");
  CHECK(imgroup_config_from_env(&config, NULL) == IMGROUP_OK);
  client = new_client();
  calls(client);
  handles(client, config);
  settings(config);
  environment();
  CHECK(imgroup_config_new(1, "a", "k", &hostless, NULL) == IMGROUP_OK);
  row(imgroup_client_new(hostless, &other, &error), IMGROUP_E_CONFIG, "endpoint: set a region or an endpoint");
  CHECK(imgroup_config_set_ca_file(hostless, "/nonexistent.pem", NULL) == IMGROUP_OK);
  CHECK(imgroup_config_set_region(hostless, "sgp", NULL) == IMGROUP_OK);
  CHECK(imgroup_client_new(hostless, &other, NULL) == IMGROUP_E_CONFIG && other == NULL);
  imgroup_config_free(hostless);
  imgroup_config_free(config);
  imgroup_client_free(client);
  return report();
}
