/* A client that was used before a fork works on both sides of it, and neither
 * side reads the other's replies.
 *
 * fork URL KEY DIRECTORY ROUNDS [REDIS]. The accounts "parent" and "child" have one list
 * each, of their own name. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "check.h"

static imgroup_client *client;
static atomic_int stop;

/* Whether the lists of an account are those of that account. */
static int reads(const char *account)
{
    imgroup_response *response = NULL;
    imgroup_error *error = NULL;
    int32_t code = imgroup_get_lists(client, account, NULL, 0, 0, NULL, &response, &error);
    int right = code == IMGROUP_OK && imgroup_response_list_count(response) == 1 &&
                strcmp(imgroup_response_list_name(response, 0), account) == 0;
    if (!right) {
        fprintf(stderr, "%d, %s: %d %s\n", (int)getpid(), account, code, imgroup_error_message(error));
    }
    imgroup_response_free(response);
    imgroup_error_free(error);
    return right;
}

static void *keep_reading(void *wrong)
{
    while (!atomic_load(&stop)) {
        if (!reads("parent")) {
            *(int *)wrong += 1;
        }
    }
    return NULL;
}

static void child(int rounds)
{
    /* A child that hangs is ended by this. */
    alarm(20);
    for (int round = 0; round < rounds; round++) {
        if (!reads("child")) {
            _exit(1);
        }
    }
    imgroup_client_free(client);
    _exit(0);
}

static int ended_well(pid_t pid)
{
    int status = 0;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int count, char **arguments)
{
    if (count != 5 && count != 6) {
        return 2;
    }
    imgroup_config *config = NULL;
    CHECK(imgroup_config_new(1400000000, "administrator", arguments[2], &config, NULL) == IMGROUP_OK);
    CHECK(imgroup_config_set_endpoint(config, arguments[1], NULL) == IMGROUP_OK);
    CHECK(imgroup_config_set_quota_directory(config, arguments[3], NULL) == IMGROUP_OK);
    CHECK(imgroup_config_set_quota(config, 1000000, NULL) == IMGROUP_OK);
    if (count == 6) {
        CHECK(imgroup_config_set_quota_redis(config, arguments[5], NULL) == IMGROUP_OK);
    }
    CHECK(imgroup_client_new(config, &client, NULL) == IMGROUP_OK);
    imgroup_config_free(config);

    /* Create, call, fork, call, free, on both sides at once. */
    CHECK(reads("parent"));
    pid_t children[4];
    for (int index = 0; index < 4; index++) {
        children[index] = fork();
        if (children[index] == 0) {
            child(20);
        }
    }
    for (int round = 0; round < 20; round++) {
        CHECK(reads("parent"));
    }
    for (int index = 0; index < 4; index++) {
        CHECK(ended_well(children[index]));
    }

    /* Fork while other threads hold whatever locks there are. */
    pthread_t threads[3];
    int wrong[3] = {0, 0, 0};
    for (int index = 0; index < 3; index++) {
        CHECK(pthread_create(&threads[index], NULL, keep_reading, &wrong[index]) == 0);
    }
    for (int round = 0; round < atoi(arguments[4]); round++) {
        pid_t pid = fork();
        if (pid == 0) {
            child(1);
        }
        CHECK(ended_well(pid));
    }
    /* A grandchild. */
    pid_t pid = fork();
    if (pid == 0) {
        alarm(20);
        pid_t inner = reads("child") ? fork() : -1;
        if (inner == 0) {
            child(2);
        }
        _exit(inner > 0 && ended_well(inner) && reads("child") ? 0 : 1);
    }
    CHECK(ended_well(pid));
    atomic_store(&stop, 1);
    for (int index = 0; index < 3; index++) {
        CHECK(pthread_join(threads[index], NULL) == 0);
        CHECK(wrong[index] == 0);
    }
    CHECK(reads("parent"));
    imgroup_client_free(client);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
