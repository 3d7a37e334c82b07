/* Uses a key, frees everything, wipes its own copy, and waits to be looked into.
 *
 * secrets URL DIRECTORY, the key on standard input. */
#include <fcntl.h>

#include "check.h"

int main(int count, char **arguments)
{
    if (count != 3) {
        return 2;
    }
    static char key[128];
    ssize_t length = read(0, key, sizeof key - 1);
    CHECK(length > 10);
    imgroup_config *config = NULL;
    imgroup_client *client = NULL;
    CHECK(imgroup_config_new(1400000000, "administrator", key, &config, NULL) == IMGROUP_OK);
    CHECK(imgroup_config_set_endpoint(config, arguments[1], NULL) == IMGROUP_OK);
    CHECK(imgroup_config_set_quota_directory(config, arguments[2], NULL) == IMGROUP_OK);
    CHECK(imgroup_client_new(config, &client, NULL) == IMGROUP_OK);
    const char *names[] = {"Family"};
    for (int round = 0; round < 5; round++) {
        CHECK(imgroup_delete_lists(client, "alice", names, 1, NULL, NULL, NULL) == IMGROUP_OK);
    }
    imgroup_client_free(client);
    imgroup_config_free(config);
    volatile char *wiped = key;
    for (size_t index = 0; index < sizeof key; index++) {
        wiped[index] = 0;
    }
    printf(failed ? "failed\n" : "ready\n");
    fflush(stdout);
    /* Until the parent has looked. */
    char byte;
    (void)!read(0, &byte, 1);
    return failed != 0;
}
