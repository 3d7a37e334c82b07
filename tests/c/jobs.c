/* Jobs over many accounts: rows pushed and read, runs paused, cancelled, refused
 * and gone on with, and what each leaves behind. */

#include <dirent.h>
#include <pthread.h>
#include <time.h>

#include "check.h"

#define ACCOUNTS 24
#define PAUSED_AFTER 5

static imgroup_client *client;
static char directory[256];

/* A file of the scratch directory; good for four at a time. */
static const char *path(const char *name) {
  static char paths[4][320];
  static int next;
  char *place = paths[next++ % 4];
  snprintf(place, sizeof paths[0], "%s/%s", directory, name);
  return place;
}

static int exists(const char *name) { return access(path(name), F_OK) == 0; }

static void write_file(const char *name, const char *text) {
  FILE *file = fopen(path(name), "w");
  if (!file || fputs(text, file) < 0 || fclose(file)) abort();
}

/* What a file holds, to be freed. */
static char *read_file(const char *name) {
  FILE *file = fopen(path(name), "r");
  char *text = calloc(1, 64 * 1024);
  if (!text) abort();
  if (file && fread(text, 1, 64 * 1024 - 1, file) > 0) fclose(file);
  return text;
}

/* Removes the files of the scratch directory. */
static void sweep(void) {
  DIR *files = opendir(directory);
  struct dirent *file;
  while (files && (file = readdir(files))) remove(path(file->d_name));
  if (files) closedir(files);
}

static void milliseconds(long ms) {
  struct timespec pause = {0, 0};
  pause.tv_sec = ms / 1000;
  pause.tv_nsec = ms % 1000 * 1000000;
  nanosleep(&pause, NULL);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A client that need not wait for the pace, with another key or the right one. */
static imgroup_client *fast_client(const char *key) {
  imgroup_config *config = NULL;
  imgroup_client *made = NULL;
  const char *own = getenv("IMGROUP_SECRET_KEY");
  CHECK(imgroup_config_new(1400000000, "administrator", key ? key : own, &config, NULL) == IMGROUP_OK);
  CHECK(imgroup_config_set_endpoint(config, getenv("IMGROUP_ENDPOINT"), NULL) == IMGROUP_OK);
  CHECK(imgroup_config_set_quota_directory(config, getenv("IMGROUP_QUOTA_DIR"), NULL) == IMGROUP_OK);
  CHECK(imgroup_config_set_quota(config, 1000000, NULL) == IMGROUP_OK);
  CHECK(imgroup_client_new(config, &made, NULL) == IMGROUP_OK);
  imgroup_config_free(config);
  return made;
}

/* Accounts u0, u1, … with the lists A and B, and no file of an earlier job. */
static void begin(void) {
  char state[4000] = "{\"accounts\":{\"bob\":{}";
  int i;
  for (i = 0; i < ACCOUNTS; i++) sprintf(state + strlen(state), ",\"u%d\":{\"lists\":[\"A\",\"B\"]}", i);
  control("POST", "reset", "");
  control("PUT", "state", strcat(state, "}}"));
  sweep();
}

static imgroup_job *new_job(int32_t command, const char *journal) {
  imgroup_job *job = NULL;
  CHECK(imgroup_job_new(client, command, path(journal), &job, NULL) == IMGROUP_OK);
  CHECK(job != NULL);
  return job;
}

/* A delete job of one row an account, on one connection. */
static imgroup_job *pushed_job(void) {
  imgroup_job *job = new_job(IMGROUP_JOB_DELETE, "journal");
  char account[16];
  int i;
  CHECK(imgroup_job_set_connections(job, 1, NULL) == IMGROUP_OK);
  for (i = 0; i < ACCOUNTS; i++) {
    snprintf(account, sizeof account, "u%d", i);
    CHECK(imgroup_job_push(job, account, "A", NULL) == IMGROUP_OK);
  }
  return job;
}

/* How many lists all accounts have. */
static size_t lists_left(void) {
  size_t left = 0;
  char account[16];
  int i;
  for (i = 0; i < ACCOUNTS; i++) {
    imgroup_response *reply = NULL;
    snprintf(account, sizeof account, "u%d", i);
    CHECK(imgroup_get_lists(client, account, NULL, 0, 0, NULL, &reply, NULL) == IMGROUP_OK);
    left += imgroup_response_list_count(reply);
    imgroup_response_free(reply);
  }
  return left;
}

static uint64_t count(const imgroup_job *job, int32_t what) { return imgroup_job_count(job, what); }

/* Rows done, gone, failed, unknown: all that have ended. */
static uint64_t ended(const imgroup_job *job) {
  return count(job, IMGROUP_JOB_DONE) + count(job, IMGROUP_JOB_ALREADY_GONE) + count(job, IMGROUP_JOB_FAILED) +
         count(job, IMGROUP_JOB_UNKNOWN);
}

/* A run that gives `code`, with a message that holds `text`. */
static void runs(int line, imgroup_job *job, int32_t code, const char *text) {
  imgroup_error *error = NULL;
  int32_t given = imgroup_job_run(job, &error);
  if (given == code && imgroup_error_code(error) == code && strstr(imgroup_error_message(error), text)) {
    passed++;
  } else {
    failed++;
    fprintf(stderr, "%s:%d: %d \"%s\", not %d with \"%s\"\n", __FILE__, line, (int)given,
            imgroup_error_message(error), (int)code, text);
  }
  imgroup_error_free(error);
}

#define RUNS(job, code, text) runs(__LINE__, job, code, text)

/* The report of a job holds this. */
static void reports(int line, const imgroup_job *job, const char *part) {
  char *text = NULL;
  CHECK(imgroup_job_report(job, &text, NULL) == IMGROUP_OK);
  if (text && *text == '{' && strstr(text, part)) {
    passed++;
  } else {
    failed++;
    fprintf(stderr, "%s:%d: no %s in %s\n", __FILE__, line, part, text ? text : "(NULL)");
  }
  imgroup_string_free(text);
}

#define REPORTS(job, part) reports(__LINE__, job, part)

/* ---- rows that end */

typedef struct {
  const imgroup_job *expected;
  int told, wrong, dropped;
  uint64_t last, rows;
} watch;

static void watched(void *userdata, const imgroup_job *job) {
  watch *seen = userdata;
  uint64_t now_ended = ended(job);
  seen->told++;
  seen->wrong += job != seen->expected || now_ended < seen->last;
  seen->last = now_ended;
  seen->rows = count(job, IMGROUP_JOB_ROWS);
  /* All else has to wait for the end of the run. */
  seen->wrong += imgroup_job_stopped_by(job) != NULL || imgroup_job_report(job, NULL, NULL) != IMGROUP_E_INVALID_ARGUMENT;
}

static void dropped(void *userdata) { ((watch *)userdata)->dropped++; }

static void rows_pushed(void) {
  imgroup_client *own = client;
  watch seen = {0};
  imgroup_job *job;
  imgroup_error *error = NULL;
  begin();
  job = pushed_job();
  seen.expected = job;
  CHECK(imgroup_job_push(job, "u1", "B", NULL) == IMGROUP_OK);
  CHECK(imgroup_job_push(job, "u1", "", &error) == IMGROUP_E_INVALID_ARGUMENT);
  CHECK_TEXT(imgroup_error_message(error), "list: must be 1 to 30 bytes, not 0");
  imgroup_error_free(error);
  CHECK(imgroup_job_set_input_file(job, path("rows.csv"), NULL, NULL) == IMGROUP_E_INVALID_ARGUMENT);
  CHECK(imgroup_job_set_progress(job, watched, &seen, dropped, NULL) == IMGROUP_OK);
  CHECK(count(job, IMGROUP_JOB_ROWS) == 0 && imgroup_job_stopped_by(job) == NULL);
  CHECK(imgroup_job_report(job, NULL, NULL) == IMGROUP_E_INVALID_ARGUMENT);
  /* The job keeps its client. */
  client = fast_client(NULL);
  imgroup_client_free(own);

  RUNS(job, IMGROUP_OK, "");
  CHECK(count(job, IMGROUP_JOB_ROWS) == ACCOUNTS + 1 && count(job, IMGROUP_JOB_DONE) == ACCOUNTS + 1);
  CHECK(count(job, IMGROUP_JOB_REQUESTS) == ACCOUNTS && count(job, IMGROUP_JOB_RESUMED) == 0);
  CHECK(count(job, IMGROUP_JOB_CONNECTIONS) == 0 && count(job, IMGROUP_JOB_WAITED_MS) < 10000);
  CHECK(count(job, 0) == 0 && count(job, 11) == 0 && count(NULL, IMGROUP_JOB_ROWS) == 0);
  CHECK(imgroup_job_stopped_by(job) == NULL);
  CHECK(seen.told > 0 && seen.wrong == 0 && seen.rows == ACCOUNTS + 1 && seen.last == ACCOUNTS + 1);
  CHECK(lists_left() == ACCOUNTS - 1);
  REPORTS(job, "\"finished\":true");
  REPORTS(job, "\"deleted\":25");
  CHECK(imgroup_job_write_report(job, path("report.json"), NULL) == IMGROUP_OK);
  CHECK(exists("report.json") && exists("report.html"));
  CHECK(seen.dropped == 0);

  /* Once more: nothing is left to do. */
  RUNS(job, IMGROUP_OK, "");
  CHECK(count(job, IMGROUP_JOB_REQUESTS) == 0 && count(job, IMGROUP_JOB_RESUMED) == ACCOUNTS + 1);
  imgroup_job_free(job);
  CHECK(seen.dropped == 1);
  CHECK(exists("journal") && exists("journal.spool") && exists("journal.results"));
}

static void rows_read(void) {
  static const struct {
    const char *name, *format, *text;
  } inputs[] = {
      {"rows.csv", NULL, "list,account\nA,u1\nA,u2\n\"B\",u1\n"},
      {"rows", NULL, "account,list\nu1,A\nu2,A\nu1,B\n"},
      {"rows.tsv", NULL, "account\tlist\tand more\nu1\tA\t\nu2\tA\t\nu1\tB\t\n"},
      {"rows.txt", "jsonl", "{\"account\":\"u1\",\"list\":\"A\"}\n{\"account\":\"u2\",\"list\":\"A\"}\n"
                            "{\"account\":\"u1\",\"list\":\"B\"}\n"},
  };
  imgroup_job *job;
  size_t i;
  for (i = 0; i < sizeof inputs / sizeof *inputs; i++) {
    begin();
    write_file(inputs[i].name, inputs[i].text);
    job = new_job(IMGROUP_JOB_DELETE, "journal");
    CHECK(imgroup_job_set_input_file(job, path(inputs[i].name), inputs[i].format, NULL) == IMGROUP_OK);
    CHECK(imgroup_job_push(job, "u3", "A", NULL) == IMGROUP_E_INVALID_ARGUMENT);
    RUNS(job, IMGROUP_OK, "");
    CHECK(count(job, IMGROUP_JOB_DONE) == 3 && count(job, IMGROUP_JOB_REQUESTS) == 2);
    CHECK(lists_left() == 2 * ACCOUNTS - 3);
    imgroup_job_free(job);
  }

  /* An input with a faulty row is refused whole, and leaves no journal. */
  begin();
  write_file("rows.csv", "account,list\nu1,A\n,B\n");
  job = new_job(IMGROUP_JOB_DELETE, "journal");
  CHECK(imgroup_job_set_input_file(job, path("rows.csv"), NULL, NULL) == IMGROUP_OK);
  RUNS(job, IMGROUP_E_INVALID_ARGUMENT, "line 3: account: must be 1 to 32 bytes, not 0");
  CHECK(imgroup_job_set_input_file(job, path("none.csv"), NULL, NULL) == IMGROUP_OK);
  RUNS(job, IMGROUP_E_INVALID_ARGUMENT, "input: ");
  RUNS(job, IMGROUP_E_INVALID_ARGUMENT, "input: is not given");
  CHECK(!exists("journal") && lists_left() == 2 * ACCOUNTS);
  imgroup_job_free(job);
}

/* The failed rows of one job are the input of the next. */
static void rows_failed(void) {
  uint64_t rows = 7;
  char *text;
  imgroup_job *job;
  begin();
  job = pushed_job();
  CHECK(imgroup_job_push(job, "late", "A", NULL) == IMGROUP_OK);
  RUNS(job, IMGROUP_OK, "");
  CHECK(count(job, IMGROUP_JOB_DONE) == ACCOUNTS && count(job, IMGROUP_JOB_FAILED) == 1);
  REPORTS(job, "\"code\":30003");
  CHECK(imgroup_job_write_failed(job, path("failed.csv"), NULL, &rows, NULL) == IMGROUP_OK && rows == 1);
  CHECK(imgroup_job_write_failed(job, path("failed"), "jsonl", NULL, NULL) == IMGROUP_OK);
  CHECK(imgroup_job_write_failed(job, path("none/failed"), NULL, &rows, NULL) == IMGROUP_E_RESOURCE && rows == 0);
  imgroup_job_free(job);
  text = read_file("failed.csv");
  CHECK(strncmp(text, "account,list,line,outcome,code,reason\nlate,A,25,failed,30003,", 60) == 0);
  free(text);
  text = read_file("failed");
  CHECK(*text == '{' && strstr(text, "\"account\":\"late\""));
  free(text);

  control("PUT", "state", "{\"accounts\":{\"late\":{\"lists\":[\"A\"]}}}");
  job = new_job(IMGROUP_JOB_DELETE, "journal-2");
  CHECK(imgroup_job_set_input_file(job, path("failed.csv"), NULL, NULL) == IMGROUP_OK);
  RUNS(job, IMGROUP_OK, "");
  CHECK(count(job, IMGROUP_JOB_ROWS) == 1 && count(job, IMGROUP_JOB_DONE) == 1);
  imgroup_job_free(job);
}

static void lists_exported(void) {
  uint64_t lists = 7;
  char *text;
  imgroup_job *job;
  begin();
  job = new_job(IMGROUP_JOB_EXPORT, "journal");
  CHECK(imgroup_job_push(job, "u1", NULL, NULL) == IMGROUP_OK);
  CHECK(imgroup_job_push(job, "bob", NULL, NULL) == IMGROUP_OK);
  CHECK(imgroup_job_push(job, "u2", "A", NULL) == IMGROUP_E_INVALID_ARGUMENT);
  CHECK(imgroup_job_write_lists(job, path("lists.csv"), &lists, NULL) == IMGROUP_E_INVALID_ARGUMENT);
  CHECK(lists == 0 && !exists("lists.csv"));
  RUNS(job, IMGROUP_OK, "");
  REPORTS(job, "\"read\":2");
  CHECK(imgroup_job_write_lists(job, path("lists.csv"), &lists, NULL) == IMGROUP_OK && lists == 2);
  CHECK(imgroup_job_write_lists(job, path("none/lists.csv"), NULL, NULL) == IMGROUP_E_RESOURCE);
  imgroup_job_free(job);
  text = read_file("lists.csv");
  CHECK_TEXT(text, "account,list,friends\nu1,A,0\nu1,B,0\n");
  free(text);
}

/* Two parts do all rows, each once. */
static void parts(void) {
  char rows[1000] = "account,list\n";
  uint64_t done = 0;
  uint32_t part;
  int i;
  begin();
  for (i = 0; i < ACCOUNTS; i++) sprintf(rows + strlen(rows), "u%d,A\n", i);
  write_file("rows.csv", rows);
  for (part = 1; part <= 2; part++) {
    imgroup_job *job = new_job(IMGROUP_JOB_DELETE, part == 1 ? "journal-1" : "journal-2");
    CHECK(imgroup_job_set_partition(job, part, 2, NULL) == IMGROUP_OK);
    CHECK(imgroup_job_set_input_file(job, path("rows.csv"), NULL, NULL) == IMGROUP_OK);
    RUNS(job, IMGROUP_OK, "");
    CHECK(count(job, IMGROUP_JOB_DONE) > 0);
    done += count(job, IMGROUP_JOB_DONE);
    imgroup_job_free(job);
  }
  CHECK(done == ACCOUNTS && lists_left() == ACCOUNTS);
}

/* ---- runs that are stopped, and gone on with */

typedef struct {
  imgroup_job *job;
  int32_t code;
} running;

static void *run_it(void *argument) {
  running *run = argument;
  run->code = imgroup_job_run(run->job, NULL);
  return NULL;
}

static void *pause_it(void *job) {
  while (imgroup_job_count(job, IMGROUP_JOB_DONE) < PAUSED_AFTER) milliseconds(1);
  imgroup_job_pause(job);
  return NULL;
}

/* A job inside a run whose only request in flight gets no answer. */
static pthread_t stuck(running *run) {
  pthread_t thread;
  begin();
  control("POST", "faults", "{\"kind\":\"silence\",\"times\":1}");
  run->job = pushed_job();
  if (pthread_create(&thread, NULL, run_it, run)) abort();
  while (imgroup_job_count(run->job, IMGROUP_JOB_CONNECTIONS) == 0) milliseconds(1);
  milliseconds(300);
  return thread;
}

static void paused(void) {
  pthread_t thread;
  uint64_t before;
  imgroup_job *job;
  begin();
  control("POST", "faults", "{\"kind\":\"delay\",\"delay_ms\":20,\"times\":1000}");
  job = pushed_job();
  if (pthread_create(&thread, NULL, pause_it, job)) abort();
  RUNS(job, IMGROUP_E_JOB_STOPPED, "the job was paused");
  pthread_join(thread, NULL);
  before = ended(job);
  CHECK(before >= PAUSED_AFTER && before < ACCOUNTS && before == count(job, IMGROUP_JOB_REQUESTS));
  CHECK_TEXT(imgroup_job_stopped_by(job), "pause");
  REPORTS(job, "\"finished\":false");
  imgroup_job_free(job);

  /* Another handle goes on, without an input, unless it is paused before. */
  job = new_job(IMGROUP_JOB_DELETE, "journal");
  imgroup_job_pause(job);
  RUNS(job, IMGROUP_E_JOB_STOPPED, "the job was paused");
  CHECK(lists_left() == 2 * ACCOUNTS - before);
  RUNS(job, IMGROUP_OK, "");
  CHECK(count(job, IMGROUP_JOB_RESUMED) == before && ended(job) == ACCOUNTS);
  CHECK(count(job, IMGROUP_JOB_REQUESTS) == ACCOUNTS - before);
  CHECK(imgroup_job_stopped_by(job) == NULL && lists_left() == ACCOUNTS);
  imgroup_job_free(job);
}

static void cancelled(void) {
  running run;
  pthread_t thread = stuck(&run);
  imgroup_job *other = new_job(IMGROUP_JOB_DELETE, "journal");
  imgroup_error *error = NULL;
  double took;
  /* Meanwhile the journal is taken, and so is the job. */
  RUNS(other, IMGROUP_E_JOB_BUSY, "journal");
  imgroup_job_free(other);
  RUNS(run.job, IMGROUP_E_INVALID_ARGUMENT, "job: is running");
  CHECK(imgroup_job_push(run.job, "u1", "B", &error) == IMGROUP_E_INVALID_ARGUMENT);
  CHECK_TEXT(imgroup_error_message(error), "job: is running");
  imgroup_error_free(error);
  CHECK(imgroup_job_stopped_by(run.job) == NULL);

  took = now();
  imgroup_job_cancel(run.job);
  pthread_join(thread, NULL);
  took = now() - took;
  CHECK(run.code == IMGROUP_E_CANCELLED && took < 0.5);
  CHECK_TEXT(imgroup_job_stopped_by(run.job), "cancel");
  /* The same handle goes on, with what was in flight. */
  RUNS(run.job, IMGROUP_OK, "");
  CHECK(ended(run.job) == ACCOUNTS && lists_left() == ACCOUNTS);
  imgroup_job_free(run.job);
}

static void freed_inside(void) {
  running run;
  pthread_t thread = stuck(&run);
  imgroup_job_cancel(run.job);
  imgroup_job_free(run.job);
  pthread_join(thread, NULL);
  CHECK(run.code == IMGROUP_E_CANCELLED);
}

static void shut_down(void) {
  running run;
  pthread_t thread = stuck(&run);
  imgroup_client_shutdown(client);
  pthread_join(thread, NULL);
  CHECK(run.code == IMGROUP_E_SHUTDOWN);
  CHECK_TEXT(imgroup_job_stopped_by(run.job), "shutdown");
  imgroup_job_free(run.job);
  imgroup_client_free(client);
  client = fast_client(NULL);
}

static void wrong_key(void) {
  imgroup_client *right = client;
  imgroup_job *job;
  begin();
  client = fast_client("another key");
  job = pushed_job();
  RUNS(job, 70009, "");
  CHECK_TEXT(imgroup_job_stopped_by(job), "credentials");
  CHECK(ended(job) == 0);
  imgroup_job_free(job);
  imgroup_client_free(client);
  client = right;
  job = new_job(IMGROUP_JOB_DELETE, "journal");
  RUNS(job, IMGROUP_OK, "");
  CHECK(ended(job) == ACCOUNTS && lists_left() == ACCOUNTS);
  imgroup_job_free(job);
}

static void limits(void) {
  imgroup_job *job;
  begin();
  job = pushed_job();
  CHECK(imgroup_job_set_max_deletes(job, 10, NULL) == IMGROUP_OK);
  CHECK(imgroup_job_set_max_failures(job, 0.01, NULL) == IMGROUP_OK);
  CHECK(imgroup_job_set_give_up_ms(job, 100, NULL) == IMGROUP_OK);
  RUNS(job, IMGROUP_E_JOB_STOPPED, "stopped before more than 10 rows were deleted");
  CHECK_TEXT(imgroup_job_stopped_by(job), "max_deletes");
  CHECK(ended(job) == 10 && lists_left() == 2 * ACCOUNTS - 10);
  CHECK(imgroup_job_set_max_deletes(job, 0, NULL) == IMGROUP_OK);
  RUNS(job, IMGROUP_OK, "");
  CHECK(ended(job) == ACCOUNTS && lists_left() == ACCOUNTS);
  imgroup_job_free(job);
}

/* ---- journals that are not this job's */

static void journals(void) {
  imgroup_job *job;
  FILE *file;
  begin();
  job = pushed_job();
  CHECK(exists("journal"));
  /* Pushed and never run: as if nothing had been. */
  imgroup_job_free(job);
  CHECK(!exists("journal") && !exists("journal.spool") && !exists("journal.parts"));

  job = new_job(IMGROUP_JOB_DELETE, "none/journal");
  CHECK(imgroup_job_push(job, "u1", "A", NULL) == IMGROUP_E_CONFIG);
  imgroup_job_free(job);

  job = new_job(IMGROUP_JOB_DELETE, "journal");
  CHECK(imgroup_job_push(job, "u1", "A", NULL) == IMGROUP_OK);
  RUNS(job, IMGROUP_OK, "");
  imgroup_job_free(job);
  job = new_job(IMGROUP_JOB_EXPORT, "journal");
  RUNS(job, IMGROUP_E_JOB_MISMATCH, "the command");
  imgroup_job_free(job);
  job = new_job(IMGROUP_JOB_DELETE, "journal");
  CHECK(imgroup_job_set_partition(job, 1, 2, NULL) == IMGROUP_OK);
  CHECK(imgroup_job_push(job, "u1", "A", NULL) == IMGROUP_E_JOB_MISMATCH);
  CHECK(imgroup_job_set_partition(job, 1, 1, NULL) == IMGROUP_OK);
  CHECK(imgroup_job_push(job, "u1", "B", NULL) == IMGROUP_OK);
  RUNS(job, IMGROUP_E_JOB_MISMATCH, "another input");
  CHECK(imgroup_job_push(job, "u1", "A", NULL) == IMGROUP_OK);
  RUNS(job, IMGROUP_OK, "");
  imgroup_job_free(job);
  CHECK(lists_left() == 2 * ACCOUNTS - 1);

  file = fopen(path("journal"), "r+");
  CHECK(file && fseek(file, 20, SEEK_SET) == 0 && fputc('!', file) == '!' && fclose(file) == 0);
  job = new_job(IMGROUP_JOB_DELETE, "journal");
  RUNS(job, IMGROUP_E_JOB_CORRUPT, "journal");
  imgroup_job_free(job);
}

static void *all(void *unused) {
  rows_pushed();
  rows_read();
  rows_failed();
  lists_exported();
  parts();
  paused();
  cancelled();
  freed_inside();
  shut_down();
  wrong_key();
  limits();
  journals();
  return unused;
}

int main(void) {
  pthread_t thread;
  snprintf(directory, sizeof directory, "%s/jobs-XXXXXX", getenv("IMGROUP_QUOTA_DIR"));
  if (!mkdtemp(directory)) abort();
  client = fast_client(NULL);
  /* Rust's runtime gives a thread that waits for others 48 bytes, until it ends; of
   * the first thread, which does not end, valgrind would say that they are lost. */
  if (pthread_create(&thread, NULL, all, NULL)) abort();
  pthread_join(thread, NULL);
  imgroup_client_free(client);
  sweep();
  rmdir(directory);
  return report();
}
