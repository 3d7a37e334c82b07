/* Deletes the friend lists that a file names, of as many accounts as there are.
 *
 *   cc bulk_delete.c $(pkg-config --cflags --libs imgroup) -o bulk_delete
 *   ./bulk_delete lists.csv lists.journal           (IMGROUP_… set as for all)
 *
 * lists.csv begins with the line "account,list" and names one list a line. Stopped
 * by Ctrl-C, a full disk or kill -9, the same command goes on where it was.
 */

#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <imgroup.h>

static volatile sig_atomic_t interrupted;

static void interrupt(int number) {
  (void)number;
  interrupted = 1;
}

/* Runs about ten times a second, on the thread that is inside imgroup_job_run. */
static void progress(void *userdata, const imgroup_job *job) {
  uint64_t ended = imgroup_job_count(job, IMGROUP_JOB_DONE) +
                   imgroup_job_count(job, IMGROUP_JOB_ALREADY_GONE) +
                   imgroup_job_count(job, IMGROUP_JOB_FAILED) +
                   imgroup_job_count(job, IMGROUP_JOB_UNKNOWN);
  fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " rows", ended,
          imgroup_job_count(job, IMGROUP_JOB_ROWS));
  /* What is in flight is waited for. */
  if (interrupted) imgroup_job_pause(userdata);
}

/* Says what became of the rows; gives the status of the program. */
static int conclude(const imgroup_job *job, const char *journal) {
  char path[4096];
  uint64_t rows = 0;
  printf("%" PRIu64 " deleted, %" PRIu64 " already gone, %" PRIu64
         " failed, %" PRIu64 " unknown\n",
         imgroup_job_count(job, IMGROUP_JOB_DONE),
         imgroup_job_count(job, IMGROUP_JOB_ALREADY_GONE),
         imgroup_job_count(job, IMGROUP_JOB_FAILED),
         imgroup_job_count(job, IMGROUP_JOB_UNKNOWN));
  /* They can be the input of another job, with a journal of its own. */
  snprintf(path, sizeof path, "%s.failed.csv", journal);
  if (imgroup_job_write_failed(job, path, NULL, &rows, NULL) != IMGROUP_OK)
    return EXIT_FAILURE;
  if (rows > 0) printf("the rows to look at are in %s\n", path);
  return rows > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
  imgroup_config *config = NULL;
  imgroup_client *client = NULL;
  imgroup_job *job = NULL;
  imgroup_error *error = NULL;
  int status = EXIT_FAILURE;
  struct sigaction action = {.sa_handler = interrupt};

  if (argc != 3) {
    fprintf(stderr, "usage: %s ROWS JOURNAL\n", argv[0]);
    return status;
  }
  sigaction(SIGINT, &action, NULL);

  if (imgroup_config_from_env(&config, &error) != IMGROUP_OK ||
      imgroup_client_new(config, &client, &error) != IMGROUP_OK ||
      imgroup_job_new(client, IMGROUP_JOB_DELETE, argv[2], &job, &error) !=
          IMGROUP_OK ||
      imgroup_job_set_input_file(job, argv[1], NULL, &error) != IMGROUP_OK ||
      imgroup_job_set_progress(job, progress, job, NULL, &error) !=
          IMGROUP_OK ||
      imgroup_job_run(job, &error) != IMGROUP_OK) {
    fprintf(stderr, "\n%s: %s\n", imgroup_error_name(error),
            imgroup_error_message(error));
  } else {
    fputc('\n', stderr);
    status = conclude(job, argv[2]);
  }

  imgroup_error_free(error);
  imgroup_job_free(job);
  imgroup_client_free(client);
  imgroup_config_free(config);
  return status;
}
