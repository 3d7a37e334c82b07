/* Orders of frees: whatever is freed first, the others live on. */

#include "check.h"

int main(void) {
  const char *names[] = {"Family"};
  imgroup_config *config = NULL;
  imgroup_client *client = NULL;
  imgroup_call *call = NULL;
  imgroup_response *reply = NULL, *other = NULL;
  imgroup_error *error = NULL;
  seed();

  /* NULL, everywhere. */
  imgroup_config_free(NULL);
  imgroup_client_free(NULL);
  imgroup_call_free(NULL);
  imgroup_response_free(NULL);
  imgroup_error_free(NULL);
  imgroup_string_free(NULL);
  imgroup_call_cancel(NULL);
  imgroup_call_reset(NULL);
  imgroup_client_shutdown(NULL);
  CHECK(imgroup_error_code(NULL) == 0 && imgroup_error_class(NULL) == 0);
  CHECK_TEXT(imgroup_error_message(NULL), "");
  CHECK_TEXT(imgroup_error_name(NULL), "");
  CHECK(imgroup_response_sequence(NULL) == 0 && imgroup_response_body(NULL, NULL) == NULL);

  /* The configuration before the client; the client before its replies. */
  CHECK(imgroup_config_from_env(&config, &error) == IMGROUP_OK);
  CHECK(imgroup_client_new(config, &client, &error) == IMGROUP_OK);
  imgroup_config_free(config);
  CHECK(imgroup_call_new(&call, &error) == IMGROUP_OK);
  CHECK(imgroup_get_lists(client, "alice", NULL, 0, 1, call, &reply, &error) == IMGROUP_OK);
  CHECK(imgroup_delete_lists(client, "alice", names, 1, call, &other, &error) == IMGROUP_OK);
  CHECK(imgroup_delete_lists(client, "nobody", names, 1, call, NULL, &error) == 30003);
  imgroup_call_free(call);
  imgroup_client_free(client);
  CHECK_TEXT(imgroup_response_list_name(reply, 0), "Family");
  CHECK(imgroup_response_sequence(other) == 3);
  CHECK(imgroup_error_code(error) == 30003);
  imgroup_error_free(error);
  imgroup_response_free(other);
  imgroup_response_free(reply);

  /* A client that never did anything, and one that is shut down twice. */
  client = new_client();
  imgroup_client_free(client);
  client = new_client();
  imgroup_client_shutdown(client);
  imgroup_client_shutdown(client);
  CHECK(imgroup_delete_lists(client, "alice", names, 1, NULL, NULL, &error) == IMGROUP_E_SHUTDOWN);
  CHECK(imgroup_error_class(error) == IMGROUP_CLASS_CANCELLED);
  imgroup_error_free(error);
  imgroup_client_free(client);
  return report();
}
