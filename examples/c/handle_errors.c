/* What to do about each class of failure.
 *
 *   cc handle_errors.c $(pkg-config --cflags --libs imgroup) -o handle_errors
 *   ./handle_errors alice Family                   (IMGROUP_… set as for all)
 *
 * The exit status is the class, 0 for success.
 */

#include <stdio.h>
#include <stdlib.h>

#include <imgroup.h>

/* The library has repeated already what it may: this is about what is left. */
static void handle(const imgroup_error *error) {
  switch (imgroup_error_class(error)) {
  case IMGROUP_CLASS_ARGUMENT:
    puts("a mistake in the program or its data: mend it, do not repeat");
    break;
  case IMGROUP_CLASS_NETWORK:
    puts("the service was not reached: repeat later");
    break;
  case IMGROUP_CLASS_DEADLINE:
    puts("no answer in time: allow more, or repeat later");
    break;
  case IMGROUP_CLASS_CANCELLED:
    puts("cancelled by ourselves: nothing to do");
    break;
  case IMGROUP_CLASS_THROTTLED:
    puts("over the quota of the app: put it into a queue and slow down");
    break;
  case IMGROUP_CLASS_AUTH:
    puts("key, identifier or package of the app: tell an operator");
    break;
  case IMGROUP_CLASS_NOT_FOUND:
    puts("no such account: take it off the books");
    break;
  case IMGROUP_CLASS_SERVER:
    puts("the service failed: repeat later, and tell its support");
    break;
  case IMGROUP_CLASS_INTERNAL:
    puts("this process is out of something: tell an operator");
    break;
  default:
    puts("a class newer than this program");
  }

  /* Apart from the class: may it have happened all the same? Deleting twice does
   * no harm; before creating again, read what is there. */
  if (imgroup_error_outcome(error) == IMGROUP_OUTCOME_UNKNOWN)
    puts("it may have been applied all the same");
  printf("worth repeating unchanged: %s\n",
         imgroup_error_is_retryable(error) ? "yes" : "no");

  /* With host and random the vendor's support finds the request. */
  printf("code %d %s, HTTP %d, %u attempts, host %s, random %u\n",
         (int)imgroup_error_code(error), imgroup_error_name(error),
         (int)imgroup_error_http_status(error),
         (unsigned)imgroup_error_attempts(error), imgroup_error_host(error),
         (unsigned)imgroup_error_random(error));
  printf("%s\n", imgroup_error_message(error));
}

int main(int argc, char **argv) {
  imgroup_config *config = NULL;
  imgroup_client *client = NULL;
  imgroup_error *error = NULL;
  int status = 0;

  if (argc != 3) {
    fprintf(stderr, "usage: %s ACCOUNT LIST\n", argv[0]);
    return 100;
  }
  const char *const names[] = {argv[2]};

  if (imgroup_config_from_env(&config, &error) != IMGROUP_OK ||
      imgroup_client_new(config, &client, &error) != IMGROUP_OK ||
      imgroup_delete_lists(client, argv[1], names, 1, NULL, NULL, &error) !=
          IMGROUP_OK) {
    handle(error);
    status = imgroup_error_class(error);
  }

  imgroup_error_free(error);
  imgroup_client_free(client);
  imgroup_config_free(config);
  return status;
}
