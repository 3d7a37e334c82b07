/* One client, many threads; cancel, shutdown and free from others. */

#include <pthread.h>
#include <time.h>

#include "check.h"

#define THREADS 16
#define ROUNDS 8

static imgroup_client *client;
static pthread_barrier_t barrier;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Each thread creates, reads and deletes lists of its own account. */
static void *worker(void *argument) {
  char account[16];
  const char *names[] = {"One", "Two"};
  intptr_t good = 0;
  int round;
  snprintf(account, sizeof account, "user%d", (int)(intptr_t)argument);
  for (round = 0; round < ROUNDS; round++) {
    imgroup_response *reply = NULL;
    good += imgroup_add_lists(client, account, names, 2, NULL, 0, NULL, NULL, NULL) == IMGROUP_OK;
    good += imgroup_get_lists(client, account, NULL, 0, 0, NULL, &reply, NULL) == IMGROUP_OK &&
            imgroup_response_list_count(reply) == 2;
    imgroup_response_free(reply);
    good += imgroup_delete_lists(client, account, names, 2, NULL, NULL, NULL) == IMGROUP_OK;
  }
  return (void *)good;
}

/* A call that the emulator leaves without an answer. */
static void *blocked(void *call) {
  const char *names[] = {"Family"};
  imgroup_error *error = NULL;
  int32_t code;
  pthread_barrier_wait(&barrier);
  code = imgroup_delete_lists(client, "alice", names, 1, call, NULL, &error);
  if (imgroup_error_outcome(error) != IMGROUP_OUTCOME_UNKNOWN) code = 1;
  imgroup_error_free(error);
  return (void *)(intptr_t)code;
}

/* Starts a blocked call, gives it time to get there, ends it by `end`. */
static intptr_t ended_by(void (*end)(imgroup_call *), imgroup_call *call, double *took) {
  struct timespec pause = {0, 300 * 1000 * 1000};
  pthread_t thread;
  void *code;
  control("POST", "faults", "{\"kind\":\"silence\",\"times\":1}");
  pthread_create(&thread, NULL, blocked, call);
  pthread_barrier_wait(&barrier);
  nanosleep(&pause, NULL);
  *took = now();
  end(call);
  pthread_join(thread, &code);
  *took = now() - *took;
  return (intptr_t)code;
}

static void shut_down(imgroup_call *call) {
  (void)call;
  imgroup_client_shutdown(client);
}

static void free_first(imgroup_call *call) {
  imgroup_client *freed = client;
  imgroup_client_free(freed);
  imgroup_call_cancel(call);
}

int main(void) {
  pthread_t threads[THREADS];
  imgroup_call *call = NULL;
  char accounts[600] = "{\"Accounts\":[\"user0\"";
  double took;
  intptr_t i;
  seed();
  client = new_client();
  pthread_barrier_init(&barrier, NULL, 2);
  for (i = 1; i < THREADS; i++) sprintf(accounts + strlen(accounts), ",\"user%d\"", (int)i);
  strcat(accounts, "]}");
  CHECK(imgroup_request(client, "v4/im_open_login_svc/multiaccount_import", accounts, strlen(accounts),
                        IMGROUP_REQUEST_IDEMPOTENT, NULL, NULL, NULL) == IMGROUP_OK);
  for (i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, worker, (void *)i);
  for (i = 0; i < THREADS; i++) {
    void *good;
    pthread_join(threads[i], &good);
    CHECK((intptr_t)good == 3 * ROUNDS);
  }

  CHECK(imgroup_call_new(&call, NULL) == IMGROUP_OK);
  CHECK(ended_by(imgroup_call_cancel, call, &took) == IMGROUP_E_CANCELLED);
  CHECK(took < 0.5);
  /* Sticky, until it is reset. */
  CHECK(imgroup_get_lists(client, "alice", NULL, 0, 0, call, NULL, NULL) == IMGROUP_E_CANCELLED);
  imgroup_call_reset(call);
  CHECK(imgroup_get_lists(client, "alice", NULL, 0, 0, call, NULL, NULL) == IMGROUP_OK);

  CHECK(ended_by(shut_down, call, &took) == IMGROUP_E_SHUTDOWN);
  CHECK(took < 0.5);
  imgroup_client_free(client);

  /* Freed while a call is inside: the call goes on until it is ended. */
  client = new_client();
  CHECK(ended_by(free_first, call, &took) == IMGROUP_E_CANCELLED);
  imgroup_call_free(call);
  pthread_barrier_destroy(&barrier);
  return report();
}
