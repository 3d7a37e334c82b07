/* The smallest use of the whole library: one call of each kind, from an
 * installed tree. Prints what the runner compares. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <imgroup.h>

int main(void) {
  imgroup_config *config = NULL;
  imgroup_client *client = NULL;
  imgroup_response *reply = NULL;
  imgroup_error *error = NULL;
  const char *const names[] = {"Family", "Work"};
  int32_t code;

  if (imgroup_version_number() != IMGROUP_VERSION_NUMBER)
    return 2;
  code = imgroup_config_from_env(&config, &error);
  if (code == IMGROUP_OK)
    code = imgroup_client_new(config, &client, &error);
  if (code == IMGROUP_OK)
    code = imgroup_add_lists(client, "alice", names, 2, NULL, 0, NULL, NULL, &error);
  if (code == IMGROUP_OK)
    code = imgroup_delete_lists(client, "alice", names, 1, NULL, NULL, &error);
  if (code == IMGROUP_OK)
    code = imgroup_get_lists(client, "alice", NULL, 0, 0, NULL, &reply, &error);
  if (code != IMGROUP_OK)
    fprintf(stderr, "%s\n", imgroup_error_message(error));
  else
    printf("%s %s\n", imgroup_version(), imgroup_response_list_name(reply, 0));

  imgroup_response_free(reply);
  imgroup_error_free(error);
  imgroup_client_free(client);
  imgroup_config_free(config);
  return code == IMGROUP_OK ? 0 : 1;
}
