/* Creates a friend list with friends in it, and reads all lists of the account.
 *
 *   cc create_and_read.c $(pkg-config --cflags --libs imgroup) -o create_and_read
 *   ./create_and_read alice Running bob carol      (IMGROUP_… set as for all)
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <imgroup.h>

/* A friend that could not be put into the list does not fail the call. */
static void print_results(const imgroup_response *reply) {
  for (size_t i = 0; i < imgroup_response_result_count(reply); i++) {
    int32_t code = imgroup_response_result_code(reply, i);
    printf("%s: %s\n", imgroup_response_result_account(reply, i),
           code == IMGROUP_OK ? "in the list" : imgroup_code_name(code));
  }
}

static void print_lists(const imgroup_response *reply) {
  for (size_t i = 0; i < imgroup_response_list_count(reply); i++) {
    printf("%s (%" PRIu64 ")", imgroup_response_list_name(reply, i),
           imgroup_response_list_friend_count(reply, i));
    for (size_t m = 0; m < imgroup_response_member_count(reply, i); m++)
      printf(" %s", imgroup_response_member(reply, i, m));
    putchar('\n');
  }
}

int main(int argc, char **argv) {
  imgroup_config *config = NULL;
  imgroup_client *client = NULL;
  imgroup_response *created = NULL, *read = NULL;
  imgroup_error *error = NULL;
  int status = EXIT_FAILURE;

  if (argc < 3) {
    fprintf(stderr, "usage: %s ACCOUNT LIST [FRIEND...]\n", argv[0]);
    return status;
  }
  const char *const names[] = {argv[2]};
  const char *const *friends = (const char *const *)argv + 3;

  if (imgroup_config_from_env(&config, &error) != IMGROUP_OK ||
      imgroup_client_new(config, &client, &error) != IMGROUP_OK ||
      imgroup_add_lists(client, argv[1], names, 1, friends, (size_t)argc - 3,
                        NULL, &created, &error) != IMGROUP_OK ||
      imgroup_get_lists(client, argv[1], NULL, 0, 1, NULL, &read, &error) !=
          IMGROUP_OK) {
    fprintf(stderr, "%s\n", imgroup_error_message(error));
  } else {
    print_results(created);
    print_lists(read);
    status = EXIT_SUCCESS;
  }

  imgroup_response_free(created);
  imgroup_response_free(read);
  imgroup_error_free(error);
  imgroup_client_free(client);
  imgroup_config_free(config);
  return status;
}
