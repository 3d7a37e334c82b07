/* Every call, when all goes well. */

#include "check.h"

int main(void) {
  const char *family[] = {"Family"}, *two[] = {"Gym", "Book club"}, *gone[] = {"Nobody's"};
  const char *friends[] = {"bob", "mallory"}, *body;
  imgroup_client *client = NULL;
  imgroup_call *call = NULL;
  imgroup_response *reply = NULL;
  imgroup_error *error = NULL;
  char *text = NULL;
  size_t length = 0;
  seed();
  client = new_client();

  /* Create, with a friend and somebody who is none. */
  CHECK(imgroup_add_lists(client, "alice", two, 2, friends, 2, NULL, &reply, &error) == IMGROUP_OK);
  CHECK(error == NULL);
  CHECK(imgroup_response_has_sequence(reply) && imgroup_response_sequence(reply) == 3);
  CHECK(imgroup_response_attempts(reply) == 1 && !imgroup_response_was_ambiguous(reply));
  CHECK(imgroup_response_result_count(reply) == 2);
  CHECK_TEXT(imgroup_response_result_account(reply, 0), "bob");
  CHECK(imgroup_response_result_code(reply, 0) == 0);
  CHECK_TEXT(imgroup_response_result_account(reply, 1), "mallory");
  CHECK(imgroup_response_result_code(reply, 1) == 30001);
  CHECK_TEXT(imgroup_response_result_info(reply, 1), "Err_SNS_GroupAdd_Friend_Not_Exist");
  CHECK(imgroup_response_result_account(reply, 2) == NULL);
  imgroup_response_free(reply);

  /* Read, with members and without. */
  CHECK(imgroup_get_lists(client, "alice", NULL, 0, 1, NULL, &reply, &error) == IMGROUP_OK);
  CHECK(imgroup_response_list_count(reply) == 4);
  CHECK_TEXT(imgroup_response_list_name(reply, 0), "Family");
  CHECK(imgroup_response_list_friend_count(reply, 0) == 1);
  CHECK(imgroup_response_member_count(reply, 0) == 1);
  CHECK_TEXT(imgroup_response_member(reply, 0, 0), "bob");
  CHECK(imgroup_response_member_count(reply, 1) == 0);
  CHECK_TEXT(imgroup_response_list_name(reply, 2), "Gym");
  CHECK(imgroup_response_list_name(reply, 4) == NULL);
  imgroup_response_free(reply);
  CHECK(imgroup_get_lists(client, "alice", family, 1, 0, NULL, &reply, NULL) == IMGROUP_OK);
  CHECK(imgroup_response_list_count(reply) == 1);
  CHECK(imgroup_response_member_count(reply, 0) == 0);
  imgroup_response_free(reply);

  /* Delete; then delete what is not there. */
  CHECK(imgroup_delete_lists(client, "alice", two, 2, NULL, &reply, &error) == IMGROUP_OK);
  CHECK(imgroup_response_sequence(reply) == 4);
  text = (char *)imgroup_response_body(reply, &length);
  CHECK(text && strlen(text) == length && text[0] == '{');
  imgroup_response_free(reply);
  CHECK(imgroup_call_new(&call, &error) == IMGROUP_OK);
  CHECK(imgroup_call_set_ignore_missing(call, 1, &error) == IMGROUP_OK);
  CHECK(imgroup_call_set_timeout_ms(call, 5000, &error) == IMGROUP_OK);
  CHECK(imgroup_delete_lists(client, "alice", gone, 1, call, &reply, &error) == IMGROUP_OK);
  imgroup_response_free(reply);
  /* The reply may be left out, and so may the error. */
  CHECK(imgroup_delete_lists(client, "alice", family, 1, call, NULL, NULL) == IMGROUP_OK);
  imgroup_call_free(call);

  /* Any other command. */
  body = "{\"From_Account\":\"alice\",\"To_Account\":[\"bob\"],\"TagList\":[\"Tag_SNS_IM_Group\"]}";
  CHECK(imgroup_request(client, "v4/sns/friend_get_list", body, strlen(body),
                        IMGROUP_REQUEST_IDEMPOTENT, NULL, &reply, &error) == IMGROUP_OK);
  CHECK(strstr(imgroup_response_body(reply, NULL), "bob") != NULL);
  imgroup_response_free(reply);

  /* Counters, and a ticket for a user. */
  CHECK(imgroup_client_stats(client, &text, &error) == IMGROUP_OK);
  CHECK(strstr(text, "\"calls\":7") != NULL);
  imgroup_string_free(text);
  CHECK(imgroup_usersig(1400000000, "alice", "key", 86400, 0, NULL, 0, &text, &error) == IMGROUP_OK);
  CHECK(strlen(text) > 100 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                           "0123456789*-_") == strlen(text));
  imgroup_string_free(text);

  imgroup_client_shutdown(client);
  imgroup_client_free(client);
  return report();
}
