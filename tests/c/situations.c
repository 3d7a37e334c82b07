/* Deleting a list when something is wrong: each situation has its own answer,
 * with code, class, attempts, host, random and outcome. */

#include "check.h"

static const char *endpoint;

/* A client for the emulator with another key, or the same for NULL. */
static imgroup_client *client_with(const char *key) {
  imgroup_config *config = NULL;
  imgroup_client *client = NULL;
  const char *directory = getenv("IMGROUP_QUOTA_DIR");
  CHECK(imgroup_config_new(1400000000, "administrator", key ? key : getenv("IMGROUP_SECRET_KEY"),
                           &config, NULL) == IMGROUP_OK);
  CHECK(imgroup_config_set_endpoint(config, endpoint, NULL) == IMGROUP_OK);
  CHECK(!directory || imgroup_config_set_quota_directory(config, directory, NULL) == IMGROUP_OK);
  CHECK(imgroup_client_new(config, &client, NULL) == IMGROUP_OK);
  imgroup_config_free(config);
  return client;
}

typedef struct {
  const char *situation;
  const char *fault; /* ordered from the emulator, or NULL */
  const char *key;   /* another key, or NULL */
  const char *account;
  const char *name;
  size_t names_len;
  int32_t code, class_number, outcome;
  uint32_t attempts;
  const char *message; /* a part of it */
} row;

#define ARGUMENT IMGROUP_E_INVALID_ARGUMENT, IMGROUP_CLASS_ARGUMENT, IMGROUP_OUTCOME_NOT_SENT, 0

static const row rows[] = {
    {"a wrong key", NULL, "wrong", "alice", "Family", 1, 70009, IMGROUP_CLASS_AUTH,
     IMGROUP_OUTCOME_REJECTED, 1, "check that secret key and sdkappid belong together"},
    {"an expired ticket, twice", "{\"kind\":\"error\",\"code\":70001,\"times\":2}", NULL, "alice",
     "Family", 1, 70001, IMGROUP_CLASS_AUTH, IMGROUP_OUTCOME_REJECTED, 2, "the UserSig expired"},
    {"an unknown account", NULL, NULL, "nobody", "Family", 1, 30003, IMGROUP_CLASS_NOT_FOUND,
     IMGROUP_OUTCOME_REJECTED, 1, "the account does not exist"},
    {"an empty name", NULL, NULL, "alice", "", 1, ARGUMENT, "names[0]: must be 1 to 30 bytes, not 0"},
    {"a name of 31 bytes", NULL, NULL, "alice", "0123456789012345678901234567890", 1, ARGUMENT,
     "names[0]: must be 1 to 30 bytes, not 31"},
    {"33 names", NULL, NULL, "alice", "Family", 33, ARGUMENT, "names: must be 1 to 32 names, not 33"},
    {"a 502 each time", "{\"kind\":\"http\",\"status\":502,\"times\":3}", NULL, "alice", "Family", 1,
     IMGROUP_E_HTTP_STATUS, IMGROUP_CLASS_SERVER, IMGROUP_OUTCOME_UNKNOWN, 3, "HTTP status 502"},
    {"a hang-up each time", "{\"kind\":\"hang_up\",\"times\":9}", NULL, "alice", "Family", 1,
     IMGROUP_E_IO, IMGROUP_CLASS_NETWORK, IMGROUP_OUTCOME_UNKNOWN, 3,
     "the connection was closed before the reply was complete"},
};

int main(void) {
  size_t i;
  endpoint = getenv("IMGROUP_ENDPOINT");
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    const row *r = &rows[i];
    const char *names[33];
    imgroup_client *client;
    imgroup_response *reply = NULL;
    imgroup_error *error = NULL;
    size_t j;
    int sent = r->attempts > 0;
    for (j = 0; j < 33; j++) names[j] = r->name;
    seed();
    if (r->fault) control("POST", "faults", r->fault);
    client = client_with(r->key);
    CHECK(imgroup_delete_lists(client, r->account, names, r->names_len, NULL, &reply, &error) == r->code);
    printf("%-24s %s\n", r->situation, imgroup_error_message(error));
    CHECK(reply == NULL);
    CHECK(imgroup_error_code(error) == r->code);
    CHECK(imgroup_error_class(error) == r->class_number);
    CHECK(imgroup_error_outcome(error) == r->outcome);
    CHECK(imgroup_error_attempts(error) == r->attempts);
    CHECK(strstr(imgroup_error_message(error), r->message) != NULL);
    CHECK_TEXT(imgroup_error_host(error), sent ? endpoint + strlen("http://") : "");
    CHECK((imgroup_error_random(error) != 0) == sent);
    CHECK_TEXT(imgroup_error_display(error), "");
    CHECK_TEXT(imgroup_error_name(error), imgroup_code_name(r->code));
    imgroup_error_free(error);
    imgroup_client_free(client);
  }
  return report();
}
