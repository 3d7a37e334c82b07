/* Deletes friend lists of an account.
 *
 *   cc delete_lists.c $(pkg-config --cflags --libs imgroup) -o delete_lists
 *   ./delete_lists alice Family Work
 *
 * Credentials and host come from IMGROUP_SDKAPPID, IMGROUP_IDENTIFIER,
 * IMGROUP_SECRET_KEY and IMGROUP_REGION.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <imgroup.h>

int main(int argc, char **argv) {
  imgroup_config *config = NULL;
  imgroup_client *client = NULL;
  imgroup_response *reply = NULL;
  imgroup_error *error = NULL;
  int status = EXIT_FAILURE;

  if (argc < 3) {
    fprintf(stderr, "usage: %s ACCOUNT LIST...\n", argv[0]);
    return status;
  }
  const char *const *names = (const char *const *)argv + 2;
  size_t names_len = (size_t)argc - 2;

  if (imgroup_config_from_env(&config, &error) != IMGROUP_OK ||
      imgroup_client_new(config, &client, &error) != IMGROUP_OK ||
      imgroup_delete_lists(client, argv[1], names, names_len, NULL, &reply,
                           &error) != IMGROUP_OK) {
    fprintf(stderr, "%s: %s\n", imgroup_error_name(error),
            imgroup_error_message(error));
  } else {
    printf("deleted; the lists of %s are at sequence %" PRIu64 "\n", argv[1],
           imgroup_response_sequence(reply));
    status = EXIT_SUCCESS;
  }

  imgroup_response_free(reply);
  imgroup_error_free(error);
  imgroup_client_free(client);
  imgroup_config_free(config);
  return status;
}
