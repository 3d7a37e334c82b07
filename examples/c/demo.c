/* Friend lists of one account: created, read, deleted, read again.
 *
 * Takes its settings from the environment (IMGROUP_SDKAPPID and its like), so it
 * talks to the local emulator in `make demo` and to the real service elsewhere:
 *
 *   demo [ACCOUNT]        default: imgroup-demo
 *
 * ACCOUNT and ACCOUNT-friend are imported into the app if they are not there. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imgroup.h"

static imgroup_error *error;

/* Ends the program with what went wrong. */
static void must(int32_t code, const char *what) {
  if (code == IMGROUP_OK) return;
  fprintf(stderr, "%s failed: %s (%s, outcome %s)\n  %s\n", what,
          imgroup_error_name(error), imgroup_class_name(imgroup_error_class(error)),
          imgroup_outcome_name(imgroup_error_outcome(error)),
          imgroup_error_message(error));
  exit(1);
}

static void row(const char *step, const char *lists, const imgroup_response *reply) {
  char sequence[24] = "-";
  if (imgroup_response_has_sequence(reply))
    snprintf(sequence, sizeof sequence, "%" PRIu64, imgroup_response_sequence(reply));
  printf("%-12s  %-46s  %8s  %8" PRIu32 "\n", step, lists, sequence,
         imgroup_response_attempts(reply));
}

/* Any command of the REST API goes through imgroup_request. */
static void request(imgroup_client *client, const char *command, const char *body) {
  must(imgroup_request(client, command, body, strlen(body),
                       IMGROUP_REQUEST_IDEMPOTENT, NULL, NULL, &error),
       command);
}

static void read_lists(imgroup_client *client, const char *account) {
  imgroup_response *reply = NULL;
  char text[512] = "(none)";
  size_t used = 0;
  must(imgroup_get_lists(client, account, NULL, 0, 1, NULL, &reply, &error), "reading");
  for (size_t i = 0; i < imgroup_response_list_count(reply) && used < sizeof text; i++) {
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%s (%" PRIu64 ")",
                             i ? ", " : "", imgroup_response_list_name(reply, i),
                             imgroup_response_list_friend_count(reply, i));
  }
  row("read", text, reply);
  imgroup_response_free(reply);
}

int main(int argc, char **argv) {
  const char *account = argc > 1 ? argv[1] : "imgroup-demo";
  const char *names[] = {"Family", "Work", "Book club"};
  const char *away[] = {"Family", "Work"};
  char friend[40], body[400];
  imgroup_config *config = NULL;
  imgroup_client *client = NULL;
  imgroup_call *call = NULL;
  imgroup_response *reply = NULL;

  must(imgroup_config_from_env(&config, &error), "configuration");
  must(imgroup_client_new(config, &client, &error), "client");
  imgroup_config_free(config);

  /* Both accounts have to exist, and be friends, before lists can hold one. */
  snprintf(friend, sizeof friend, "%.24s-friend", account);
  snprintf(body, sizeof body, "{\"Accounts\":[\"%s\",\"%s\"]}", account, friend);
  request(client, "v4/im_open_login_svc/multiaccount_import", body);
  snprintf(body, sizeof body,
           "{\"From_Account\":\"%s\",\"AddFriendItem\":[{\"To_Account\":\"%s\","
           "\"AddSource\":\"AddSource_Type_Demo\"}]}",
           account, friend);
  request(client, "v4/sns/friend_import", body);

  /* What an earlier run may have left is no reason to fail. */
  must(imgroup_call_new(&call, &error), "call");
  must(imgroup_call_set_ignore_missing(call, 1, &error), "call");
  must(imgroup_delete_lists(client, account, names, 3, call, NULL, &error), "tidying up");

  printf("%-12s  %-46s  %8s  %8s\n", account, "friend lists (members)", "sequence", "requests");
  printf("%-12s  %-46s  %8s  %8s\n", "------------", "----------------------------------------------",
         "--------", "--------");
  {
    const char *friends[] = {friend};
    must(imgroup_add_lists(client, account, names, 3, friends, 1, NULL, &reply, &error), "creating");
    row("created", "Family, Work, Book club", reply);
    imgroup_response_free(reply);
  }
  read_lists(client, account);
  must(imgroup_delete_lists(client, account, away, 2, NULL, &reply, &error), "deleting");
  row("deleted", "Family, Work", reply);
  imgroup_response_free(reply);
  read_lists(client, account);
  must(imgroup_delete_lists(client, account, names, 3, call, &reply, &error), "deleting the rest");
  row("deleted", "Family, Work, Book club (missing ones ignored)", reply);
  imgroup_response_free(reply);
  read_lists(client, account);

  imgroup_call_free(call);
  imgroup_client_free(client);
  return 0;
}
