/* A test of one's own code, with the emulator in the part of the service.
 *
 *   cc use_emulator.c $(pkg-config --cflags --libs imgroup) -o use_emulator
 *   ./use_emulator
 *
 * The command is looked for in $IMGROUP_COMMAND, then in PATH. No credentials and
 * no network are needed.
 */

#define _POSIX_C_SOURCE 200809L

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <imgroup.h>

struct emulator {
  pid_t pid;
  int input; /* The emulator ends when this is closed, also if we crash. */
  char url[64];
};

/* Starts it on a free port and waits for its ready line, one line of JSON. */
static int emulator_start(struct emulator *emulator) {
  const char *command = getenv("IMGROUP_COMMAND");
  int input[2], output[2];
  char line[1024] = "";
  if (command == NULL || *command == '\0')
    command = "imgroup";
  if (pipe(input) != 0 || pipe(output) != 0)
    return -1;

  emulator->pid = fork();
  if (emulator->pid == 0) {
    dup2(input[0], STDIN_FILENO);
    dup2(output[1], STDOUT_FILENO);
    close(input[0]);
    close(input[1]);
    close(output[0]);
    close(output[1]);
    /* What the shell is set up for must not change what is tested. */
    unsetenv("IMGROUP_SDKAPPID");
    unsetenv("IMGROUP_IDENTIFIER");
    unsetenv("IMGROUP_SECRET_KEY");
    execlp(command, command, "emulator", "--port", "0", "--seed-accounts",
           "alice,bob", "--exit-on-stdin-eof", (char *)NULL);
    perror(command);
    _exit(127);
  }
  close(input[0]);
  close(output[1]);
  emulator->input = input[1];

  FILE *ready = fdopen(output[0], "r");
  const char *found = NULL;
  if (ready != NULL && fgets(line, sizeof line, ready) != NULL)
    found = strstr(line, "\"url\":\"");
  if (found != NULL)
    sscanf(found, "\"url\":\"%63[^\"]", emulator->url);
  if (ready != NULL)
    fclose(ready);
  return found != NULL ? 0 : -1;
}

static void emulator_stop(struct emulator *emulator) {
  close(emulator->input);
  waitpid(emulator->pid, NULL, 0);
}

/* What is to be tested: it would stand in the program itself. */
static int32_t forget_colleagues(imgroup_client *client, const char *account,
                                 imgroup_error **error) {
  const char *const names[] = {"Colleagues"};
  return imgroup_delete_lists(client, account, names, 1, NULL, NULL, error);
}

int main(void) {
  struct emulator emulator;
  imgroup_config *config = NULL;
  imgroup_client *client = NULL;
  imgroup_response *reply = NULL;
  imgroup_error *error = NULL;
  const char *const names[] = {"Colleagues", "Family"};
  int32_t code;

  if (emulator_start(&emulator) != 0) {
    fprintf(stderr, "the emulator does not start: set IMGROUP_COMMAND to the "
                    "imgroup command, or put it into PATH\n");
    return EXIT_FAILURE;
  }

  /* The emulator's own app: an id and a key that are no secret. */
  code = imgroup_config_new(
      1400000000, "administrator",
      "00000000000000000000000000000000000000000000000000000000deadbeef",
      &config, &error);
  assert(code == IMGROUP_OK);
  code = imgroup_config_set_endpoint(config, emulator.url, &error);
  assert(code == IMGROUP_OK);
  code = imgroup_client_new(config, &client, &error);
  assert(code == IMGROUP_OK);

  code = imgroup_add_lists(client, "alice", names, 2, NULL, 0, NULL, NULL,
                           &error);
  assert(code == IMGROUP_OK);

  code = forget_colleagues(client, "alice", &error);
  assert(code == IMGROUP_OK);
  code = imgroup_get_lists(client, "alice", NULL, 0, 0, NULL, &reply, &error);
  assert(code == IMGROUP_OK);
  assert(imgroup_response_list_count(reply) == 1);
  assert(strcmp(imgroup_response_list_name(reply, 0), "Family") == 0);

  code = forget_colleagues(client, "nobody", &error);
  assert(imgroup_error_class(error) == IMGROUP_CLASS_NOT_FOUND);
  imgroup_error_free(error);

  imgroup_response_free(reply);
  imgroup_client_free(client);
  imgroup_config_free(config);
  emulator_stop(&emulator);
  (void)code; /* Where NDEBUG takes the assertions away. */
  puts("the tests passed");
  return EXIT_SUCCESS;
}
