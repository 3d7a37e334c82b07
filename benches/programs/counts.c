/* What the counts are taken of: for each number on standard input so many calls,
 * one after the other, and then a line on standard output. "delete" takes one list
 * from an account of its own each time; "get" reads alice's list with its member. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imgroup.h"

static void must(int32_t code) {
  if (code != IMGROUP_OK) {
    fprintf(stderr, "%s\n", imgroup_code_name(code));
    exit(1);
  }
}

int main(int argc, char **argv) {
  const char *names[] = {"Family"};
  int deletes = argc > 1 && strcmp(argv[1], "delete") == 0;
  int next = argc > 2 ? atoi(argv[2]) : 0;
  imgroup_config *config = NULL;
  imgroup_client *client = NULL;
  int calls;
  must(imgroup_config_from_env(&config, NULL));
  must(imgroup_config_set_quota(config, 1000000, NULL));
  must(imgroup_client_new(config, &client, NULL));
  imgroup_config_free(config);
  while (scanf("%d", &calls) == 1) {
    while (calls-- > 0) {
      imgroup_response *reply = NULL;
      if (deletes) {
        char account[16];
        snprintf(account, sizeof account, "u%d", next++);
        must(imgroup_delete_lists(client, account, names, 1, NULL, &reply, NULL));
      } else {
        must(imgroup_get_lists(client, "alice", names, 1, 1, NULL, &reply, NULL));
        if (imgroup_response_member_count(reply, 0) != 1) exit(1);
      }
      imgroup_response_free(reply);
    }
    puts("0");
    fflush(stdout);
  }
  imgroup_client_free(client);
  return 0;
}
