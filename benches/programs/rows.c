/* One request a row, as a program does that knows no bulk job: rows of a CSV on
 * standard input, 64 threads on one client, at so many requests a second. Prints the
 * nanoseconds it took and the number of requests. */

#include "worker.h"

#include <pthread.h>
#include <string.h>

#include "imgroup.h"

#define THREADS 64
#define LINE 80

static imgroup_client *client;
static char (*rows)[LINE];
static size_t count, next;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *work(void *argument) {
  for (;;) {
    const char *names[1];
    char *comma;
    size_t row;
    int32_t code;
    pthread_mutex_lock(&lock);
    row = next++;
    pthread_mutex_unlock(&lock);
    if (row >= count) return argument;
    comma = strchr(rows[row], ',');
    *comma = 0;
    names[0] = comma + 1;
    code = imgroup_delete_lists(client, rows[row], names, 1, NULL, NULL, NULL);
    if (code != IMGROUP_OK) worker_fail(imgroup_code_name(code));
  }
}

int main(int argc, char **argv) {
  imgroup_config *config = NULL;
  pthread_t threads[THREADS];
  size_t room = 0;
  long long begin;
  int i;
  /* The library uses nine tenths of what it is told. */
  double quota = argc > 1 ? atof(argv[1]) / 0.9 : 0;
  if (imgroup_config_from_env(&config, NULL) || imgroup_config_set_quota(config, (uint32_t)(quota + 0.5), NULL) ||
      imgroup_client_new(config, &client, NULL))
    worker_fail("rows: no client");
  imgroup_config_free(config);
  for (;;) {
    if (count == room) {
      room = room ? 2 * room : 1024;
      rows = realloc(rows, room * sizeof *rows);
      if (!rows) worker_fail("rows: no memory");
    }
    if (!fgets(rows[count], LINE, stdin)) break;
    rows[count][strcspn(rows[count], "\n")] = 0;
    /* The first line is a header. */
    if (count || strcmp(rows[0], "account,list")) count++;
  }
  begin = worker_now(CLOCK_MONOTONIC);
  for (i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work, NULL);
  for (i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  printf("%lld %zu\n", worker_now(CLOCK_MONOTONIC) - begin, count);
  imgroup_client_free(client);
  free(rows);
  return 0;
}
