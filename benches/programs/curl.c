/* A delete with libcurl and cJSON: one easy handle that keeps its connection, what
 * does not change set once. */

#include "worker.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <string.h>

struct client {
  CURL *curl;
  const char *endpoint, *sdkappid, *usersig;
  char *identifier;
  char reply[16 * 1024];
  size_t held;
};

static size_t receive(char *bytes, size_t size, size_t count, void *state) {
  struct client *client = state;
  size_t length = size * count;
  if (length > sizeof client->reply - client->held) return 0;
  memcpy(client->reply + client->held, bytes, length);
  client->held += length;
  return length;
}

static void delete_lists(struct client *client, const char *account, const char *const *names, int count) {
  char url[1024];
  long status = 0;
  cJSON *reply, *request = cJSON_CreateObject();
  char *body;
  CURLcode code;
  cJSON_AddStringToObject(request, "From_Account", account);
  cJSON_AddItemToObject(request, "GroupName", cJSON_CreateStringArray(names, count));
  body = cJSON_PrintUnformatted(request);
  cJSON_Delete(request);
  snprintf(url, sizeof url, "%s/v4/sns/group_delete?sdkappid=%s&identifier=%s&usersig=%s&random=%lu&contenttype=json",
           client->endpoint, client->sdkappid, client->identifier, client->usersig, (unsigned long)random());
  client->held = 0;
  curl_easy_setopt(client->curl, CURLOPT_URL, url);
  curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, body);
  curl_easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
  code = curl_easy_perform(client->curl);
  free(body);
  if (code != CURLE_OK) worker_fail(curl_easy_strerror(code));
  curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
  reply = cJSON_ParseWithLength(client->reply, client->held);
  if (status != 200 || !reply || strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(reply, "ActionStatus")), "OK") ||
      cJSON_GetNumberValue(cJSON_GetObjectItem(reply, "ErrorCode")) != 0)
    worker_fail("curl: refused");
  cJSON_Delete(reply);
}

static void call(void *state) {
  const char *names[] = {"Family"};
  delete_lists(state, "alice", names, 1);
}

int main(void) {
  static struct client client;
  struct curl_slist *headers = NULL;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  client.curl = curl_easy_init();
  client.endpoint = worker_setting("IMGROUP_ENDPOINT");
  client.sdkappid = worker_setting("IMGROUP_SDKAPPID");
  client.usersig = worker_setting("BENCH_USERSIG");
  client.identifier = curl_easy_escape(client.curl, worker_setting("IMGROUP_IDENTIFIER"), 0);
  headers = curl_slist_append(headers, "Content-Type: application/json");
  curl_easy_setopt(client.curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(client.curl, CURLOPT_WRITEFUNCTION, receive);
  curl_easy_setopt(client.curl, CURLOPT_WRITEDATA, &client);
  curl_easy_setopt(client.curl, CURLOPT_TIMEOUT_MS, 15000L);
  curl_easy_setopt(client.curl, CURLOPT_NOSIGNAL, 1L);
  if (getenv("IMGROUP_CA_FILE")) curl_easy_setopt(client.curl, CURLOPT_CAINFO, getenv("IMGROUP_CA_FILE"));
  worker_run(call, &client);
  curl_easy_cleanup(client.curl);
  curl_slist_free_all(headers);
  curl_free(client.identifier);
  curl_global_cleanup();
  return 0;
}
