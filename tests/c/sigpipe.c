/* SIGPIPE is at its default, which ends the process; a peer that goes away must
 * not raise it.
 *
 * sigpipe URL KEY DIRECTORY CA_FILE. The server goes away in various ways, and
 * does not read long requests. */
#include <pthread.h>
#include <signal.h>

#include "check.h"

static void *cancel_soon(void *call)
{
    usleep(60 * 1000);
    imgroup_call_cancel(call);
    return NULL;
}

int main(int count, char **arguments)
{
    if (count != 5) {
        return 2;
    }
    signal(SIGPIPE, SIG_DFL);
    imgroup_config *config = NULL;
    imgroup_client *client = NULL;
    imgroup_call *call = NULL;
    CHECK(imgroup_config_new(1400000000, "administrator", arguments[2], &config, NULL) == IMGROUP_OK);
    CHECK(imgroup_config_set_endpoint(config, arguments[1], NULL) == IMGROUP_OK);
    CHECK(imgroup_config_set_quota_directory(config, arguments[3], NULL) == IMGROUP_OK);
    CHECK(imgroup_config_set_quota(config, 1000000, NULL) == IMGROUP_OK);
    CHECK(imgroup_config_set_ca_file(config, arguments[4], NULL) == IMGROUP_OK);
    CHECK(imgroup_config_set_timeout_ms(config, 1500, NULL) == IMGROUP_OK);
    CHECK(imgroup_config_set_attempt_timeout_ms(config, 400, NULL) == IMGROUP_OK);
    CHECK(imgroup_client_new(config, &client, NULL) == IMGROUP_OK);
    CHECK(imgroup_call_new(&call, NULL) == IMGROUP_OK);
    const char *names[] = {"Family"};
    for (int round = 0; round < 30; round++) {
        int32_t code = imgroup_delete_lists(client, "alice", names, 1, NULL, NULL, NULL);
        CHECK(code == IMGROUP_OK || code == IMGROUP_E_IO || code == IMGROUP_E_DEADLINE);
    }
    /* A write that is blocked when its own side shuts the connection. */
    static char body[900 * 1000];
    memset(body, 'x', sizeof body - 1);
    memcpy(body, "{\"Filler\":\"", 11);
    memcpy(body + sizeof body - 3, "\"}", 2);
    for (int round = 0; round < 3; round++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, cancel_soon, call) == 0);
        int32_t code = imgroup_request(client, "v4/sns/friend_import", body, sizeof body - 1, 0, call, NULL, NULL);
        CHECK(code == IMGROUP_E_CANCELLED || code == IMGROUP_E_IO);
        CHECK(pthread_join(thread, NULL) == 0);
        imgroup_call_reset(call);
    }
    imgroup_call_free(call);
    imgroup_client_free(client);
    imgroup_config_free(config);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
