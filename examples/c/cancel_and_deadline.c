/* Gives a call a deadline of its own, and cancels another from a second thread.
 *
 *   cc -pthread cancel_and_deadline.c $(pkg-config --cflags --libs imgroup)
 *   ./a.out alice 300                               (IMGROUP_… set as for all)
 *
 * Against a service that answers in time, both calls just succeed.
 */

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <imgroup.h>

struct canceller {
  imgroup_call *call;
  long ms;
};

/* Any thread may cancel, whatever the call is waiting for. */
static void *cancel_later(void *argument) {
  const struct canceller *canceller = argument;
  const struct timespec pause = {canceller->ms / 1000,
                                 canceller->ms % 1000 * 1000000};
  nanosleep(&pause, NULL);
  imgroup_call_cancel(canceller->call);
  return NULL;
}

static void report(const char *what, int32_t code, imgroup_error *error) {
  if (code == IMGROUP_OK)
    printf("%s: ok\n", what);
  else
    printf("%s: %s, %s\n", what, imgroup_error_name(error),
           imgroup_outcome_name(imgroup_error_outcome(error)));
  imgroup_error_free(error);
}

int main(int argc, char **argv) {
  imgroup_config *config = NULL;
  imgroup_client *client = NULL;
  imgroup_call *call = NULL;
  imgroup_error *error = NULL;

  if (argc != 3) {
    fprintf(stderr, "usage: %s ACCOUNT MILLISECONDS\n", argv[0]);
    return EXIT_FAILURE;
  }
  const char *account = argv[1];
  long ms = strtol(argv[2], NULL, 10);

  if (imgroup_config_from_env(&config, &error) != IMGROUP_OK ||
      imgroup_client_new(config, &client, &error) != IMGROUP_OK ||
      imgroup_call_new(&call, &error) != IMGROUP_OK ||
      imgroup_call_set_timeout_ms(call, (uint32_t)ms, &error) != IMGROUP_OK) {
    fprintf(stderr, "%s\n", imgroup_error_message(error));
    imgroup_error_free(error);
    return EXIT_FAILURE;
  }

  int32_t code =
      imgroup_get_lists(client, account, NULL, 0, 0, call, NULL, &error);
  report("with a deadline", code, error);

  /* The same control serves the next call, now with the client's own deadline. */
  (void)imgroup_call_set_timeout_ms(call, 0, NULL);
  struct canceller canceller = {call, ms};
  pthread_t thread;
  if (pthread_create(&thread, NULL, cancel_later, &canceller) != 0)
    return EXIT_FAILURE;
  code = imgroup_get_lists(client, account, NULL, 0, 0, call, NULL, &error);
  pthread_join(thread, NULL);
  report("with a canceller", code, error);

  /* Cancelled is sticky: without this, later calls with it fail at once. */
  imgroup_call_reset(call);

  imgroup_call_free(call);
  imgroup_client_free(client);
  imgroup_config_free(config);
  return EXIT_SUCCESS;
}
