/* A delete with this library. */

#include "worker.h"

#include "imgroup.h"

static void call(void *client) {
  const char *names[] = {"Family"};
  imgroup_response *reply = NULL;
  int32_t code = imgroup_delete_lists(client, "alice", names, 1, NULL, &reply, NULL);
  if (code != IMGROUP_OK) worker_fail(imgroup_code_name(code));
  imgroup_response_free(reply);
}

int main(void) {
  imgroup_config *config = NULL;
  imgroup_client *client = NULL;
  if (imgroup_config_from_env(&config, NULL) || imgroup_config_set_quota(config, 1000000, NULL) ||
      imgroup_client_new(config, &client, NULL))
    worker_fail("imgroup: no client");
  imgroup_config_free(config);
  worker_run(call, client);
  imgroup_client_free(client);
  return 0;
}
