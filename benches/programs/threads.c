/* Eight threads that delete, each for an account of its own, on one client
 * ("shared") or on one each ("own"): for each number on standard input so many calls
 * of every thread, and then the nanoseconds they took together. */

#include "worker.h"

#include <pthread.h>
#include <string.h>

#include "imgroup.h"

#define THREADS 8

static imgroup_client *clients[THREADS];
static int calls;

static void *work(void *argument) {
  const char *names[] = {"Family"};
  size_t number = (size_t)argument;
  char account[16];
  int i;
  snprintf(account, sizeof account, "user%zu", number);
  for (i = 0; i < calls; i++) {
    imgroup_response *reply = NULL;
    int32_t code = imgroup_delete_lists(clients[number], account, names, 1, NULL, &reply, NULL);
    if (code != IMGROUP_OK) worker_fail(imgroup_code_name(code));
    imgroup_response_free(reply);
  }
  return NULL;
}

int main(int argc, char **argv) {
  int shared = argc > 1 && !strcmp(argv[1], "shared");
  imgroup_config *config = NULL;
  size_t i;
  if (imgroup_config_from_env(&config, NULL) || imgroup_config_set_quota(config, 1000000, NULL))
    worker_fail("threads: no configuration");
  for (i = 0; i < THREADS; i++) {
    if (shared && i) {
      clients[i] = clients[0];
    } else if (imgroup_client_new(config, &clients[i], NULL)) {
      worker_fail("threads: no client");
    }
  }
  imgroup_config_free(config);
  while (scanf("%d", &calls) == 1) {
    pthread_t threads[THREADS];
    long long begin = worker_now(CLOCK_MONOTONIC), cpu = worker_cpu();
    for (i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work, (void *)i);
    for (i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    printf("%lld %lld\n", worker_cpu() - cpu, worker_now(CLOCK_MONOTONIC) - begin);
    fflush(stdout);
  }
  for (i = 0; i < (shared ? 1 : THREADS); i++) imgroup_client_free(clients[i]);
  return 0;
}
