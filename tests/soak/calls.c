/* What a server does in an hour, in minutes: threads that call, cancel and run out
 * of time on shared clients, while the service fails in every way it knows. Then
 * clients that come and go. Memory, descriptors and threads must not grow.
 *
 *     calls CALLS CYCLES
 *
 * The environment describes an emulator, SOAK_TLS_URL its other door. */

#include <dirent.h>
#include <pthread.h>
#include <time.h>

#include "check.h"

enum { THREADS = 8, ACCOUNTS = 64, SAMPLES = 4096, CODES = 64 };

/* What a part of the run may add, once it is warm. */
enum { GROWTH_KB = 1024 };

static imgroup_client *unpaced, *paced;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long calls_left, calls_made;
static int over;

/* ---- what the process holds */

struct sample {
  long resident_kb, descriptors, threads;
};

static long entries(const char *path) {
  DIR *directory = opendir(path);
  struct dirent *entry;
  long count = -1; /* the directory's own descriptor, or "." and ".." */
  if (!directory) abort();
  while ((entry = readdir(directory))) count += entry->d_name[0] != '.';
  closedir(directory);
  return count;
}

static struct sample sample(void) {
  struct sample now;
  char line[256];
  FILE *status = fopen("/proc/self/status", "r");
  now.resident_kb = 0;
  while (status && fgets(line, sizeof line, status)) sscanf(line, "VmRSS: %ld", &now.resident_kb);
  if (!status || !now.resident_kb) abort();
  fclose(status);
  now.descriptors = entries("/proc/self/fd");
  now.threads = entries("/proc/self/task") + 1;
  return now;
}

static void pause_ms(long ms) {
  struct timespec time = {0, 0};
  time.tv_sec = ms / 1000;
  time.tv_nsec = ms % 1000 * 1000000;
  nanosleep(&time, NULL);
}

static double now_s(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- results: code, and how often */

static struct {
  int32_t code;
  long count;
} results[CODES];

static void count_result(int32_t code) {
  int i = 0;
  pthread_mutex_lock(&lock);
  calls_made++;
  while (results[i].count && results[i].code != code) i++;
  results[i].code = code;
  results[i].count++;
  pthread_mutex_unlock(&lock);
}

/* What a call may end with here. Anything else is a fault of the library. */
static int is_expected(int32_t code) {
  static const int32_t expected[] = {IMGROUP_OK,         IMGROUP_E_DEADLINE, IMGROUP_E_CANCELLED, IMGROUP_E_IO,
                                     IMGROUP_E_CONNECT,  IMGROUP_E_BAD_REPLY, IMGROUP_E_HTTP_STATUS,
                                     IMGROUP_E_QUOTA,    30001, 30006, 30008, 60007, 70001};
  size_t i;
  for (i = 0; i < sizeof expected / sizeof *expected; i++) {
    if (expected[i] == code) return 1;
  }
  return 0;
}

/* ---- calls */

static imgroup_call *controls[THREADS];

static unsigned next_random(unsigned *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

static int32_t one_call(unsigned random, imgroup_call *control) {
  static const char *const lists[] = {"Family", "Work", "Gym", "Old", "New", "Club"};
  const char *names[2];
  char account[16], body[64];
  imgroup_client *client = random % 4 ? unpaced : paced;
  imgroup_response *response = NULL;
  imgroup_error *error = NULL;
  int32_t code;
  random /= 4;
  snprintf(account, sizeof account, "u%u", random % ACCOUNTS);
  random /= ACCOUNTS;
  names[0] = lists[random % 6];
  names[1] = lists[(random + 1) % 6];
  snprintf(body, sizeof body, "{\"From_Account\":\"%s\"}", account);
  switch (random / 6 % 8) {
    case 0: case 1: case 2: code = imgroup_delete_lists(client, account, names, 2, control, &response, &error); break;
    case 3: case 4: code = imgroup_add_lists(client, account, names, 2, NULL, 0, control, &response, &error); break;
    case 5: case 6: code = imgroup_get_lists(client, account, NULL, 0, 1, control, &response, &error); break;
    default:
      code = imgroup_request(client, "v4/sns/group_get", body, strlen(body), 0, control, &response, &error);
  }
  if ((code == IMGROUP_OK) != (response != NULL) || imgroup_error_code(error) != code || !is_expected(code)) {
    fprintf(stderr, "%d: %s\n", (int)code, imgroup_error_message(error));
    code = IMGROUP_E_PANIC;
  }
  imgroup_response_free(response);
  imgroup_error_free(error);
  return code;
}

static int take_turn(void) {
  int left;
  pthread_mutex_lock(&lock);
  left = calls_left > 0;
  calls_left -= left;
  pthread_mutex_unlock(&lock);
  return left;
}

static void *caller(void *number) {
  imgroup_call *control = controls[(intptr_t)number];
  unsigned state = (unsigned)(intptr_t)number + 1;
  while (take_turn()) {
    /* One in eight has too little time for some of what may happen. */
    uint32_t timeout_ms = next_random(&state) % 8 ? 2000 : 1 + next_random(&state) % 40;
    imgroup_call_set_timeout_ms(control, timeout_ms, NULL);
    imgroup_call_set_ignore_missing(control, next_random(&state) % 2, NULL);
    count_result(one_call(next_random(&state), control));
    imgroup_call_reset(control);
  }
  return NULL;
}

static void *canceller(void *unused) {
  unsigned state = 99;
  while (!over) {
    pause_ms(2 + next_random(&state) % 8);
    imgroup_call_cancel(controls[next_random(&state) % THREADS]);
  }
  return unused;
}

static int64_t at_once(void *userdata, const char *command) {
  (void)userdata, (void)command;
  return 0;
}

/* Every way the service and what lies before it can fail; a throttle slows the
 * pace down for seconds, so it comes seldom. */
static void spoil(int round) {
  control("POST", "faults",
          "[{\"kind\":\"reset\"},{\"kind\":\"hang_up\"},{\"kind\":\"reset\",\"when\":\"after\"},"
          "{\"kind\":\"garbage\",\"body\":\"HTTP/1.1 200 OK\\r\\n\\r\\n{\"},"
          "{\"kind\":\"garbage\",\"body_base64\":\"AAECAwQFBgc=\",\"then\":\"reset\"},"
          "{\"kind\":\"truncate\",\"bytes\":120},{\"kind\":\"dribble\",\"step\":40,\"pause_ms\":1},"
          "{\"kind\":\"delay\",\"delay_ms\":30},{\"kind\":\"delay\",\"delay_ms\":30,\"when\":\"after\"},"
          "{\"kind\":\"http\",\"status\":502,\"body\":\"<html>\"},{\"kind\":\"http\",\"status\":503},"
          "{\"kind\":\"error\",\"code\":30006,\"info\":\"x\"},{\"kind\":\"error\",\"code\":30008,\"info\":\"x\"},"
          "{\"kind\":\"error\",\"code\":70001,\"info\":\"x\"},{\"kind\":\"close\",\"times\":3},"
          "{\"kind\":\"silence\"}]");
  if (round % 40 == 0) control("POST", "faults", "{\"kind\":\"error\",\"code\":60007,\"info\":\"x\"}");
}

/* ---- bounds */

static int by_size(const void *left, const void *right) {
  long a = *(const long *)left, b = *(const long *)right;
  return (a > b) - (a < b);
}

static long median_kb(const struct sample *samples, int count) {
  long sizes[SAMPLES];
  int i;
  for (i = 0; i < count; i++) sizes[i] = samples[i].resident_kb;
  qsort(sizes, (size_t)count, sizeof *sizes, by_size);
  return sizes[count / 2];
}

/* The first quarter is warm-up. The last quarter must not hold more than the second. */
static void judge(const char *what, const struct sample *samples, int count, long descriptors, long threads) {
  int quarter = count / 4, i;
  long before, after, most_descriptors = 0, most_threads = 0;
  CHECK(quarter >= 4);
  if (quarter < 4) return;
  before = median_kb(samples + quarter, quarter);
  after = median_kb(samples + count - quarter, quarter);
  for (i = 0; i < count; i++) {
    if (samples[i].descriptors > most_descriptors) most_descriptors = samples[i].descriptors;
    if (samples[i].threads > most_threads) most_threads = samples[i].threads;
  }
  printf("%s: resident %ld kB, then %ld kB (bound +%d); descriptors at most %ld (bound %ld); threads at most %ld "
         "(bound %ld)\n",
         what, before, after, GROWTH_KB, most_descriptors, descriptors, most_threads, threads);
  CHECK(after - before <= GROWTH_KB);
  CHECK(most_descriptors <= descriptors);
  CHECK(most_threads <= threads);
}

/* ---- the two parts */

static struct sample samples[SAMPLES];

static void mixed_calls(long calls) {
  pthread_t threads[THREADS], other;
  imgroup_config *config = NULL;
  struct sample first = sample();
  double began = now_s();
  int i, count = 0, round = 0;
  long every;
  CHECK(imgroup_config_from_env(&config, NULL) == IMGROUP_OK);
  CHECK(imgroup_config_set_attempt_timeout_ms(config, 200, NULL) == IMGROUP_OK);
  CHECK(imgroup_config_set_quota(config, 1000000, NULL) == IMGROUP_OK);
  CHECK(imgroup_client_new(config, &paced, NULL) == IMGROUP_OK);
  CHECK(imgroup_config_set_quota_callback(config, at_once, NULL, NULL, NULL) == IMGROUP_OK);
  CHECK(imgroup_client_new(config, &unpaced, NULL) == IMGROUP_OK);
  imgroup_config_free(config);
  calls_left = calls;
  for (i = 0; i < THREADS; i++) CHECK(imgroup_call_new(&controls[i], NULL) == IMGROUP_OK);
  for (i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, caller, (void *)(intptr_t)i) == 0);
  CHECK(pthread_create(&other, NULL, canceller, NULL) == 0);
  /* As many samples as fit, evenly over the calls. */
  every = calls / 400 + 1;
  for (;;) {
    long made;
    spoil(round++);
    pause_ms(50);
    pthread_mutex_lock(&lock);
    made = calls_made;
    pthread_mutex_unlock(&lock);
    if (made >= calls) break;
    if (made / every >= count && count < SAMPLES) samples[count++] = sample();
  }
  for (i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  over = 1;
  pthread_join(other, NULL);
  printf("%ld calls on %d threads in %.0f s; at 180 a second they take %.0f minutes\n", calls_made, (int)THREADS,
         now_s() - began, (double)calls_made / 180 / 60);
  for (i = 0; results[i].count; i++) {
    printf("  %8ld %s\n", results[i].count, imgroup_code_name(results[i].code));
    CHECK(results[i].code != IMGROUP_E_PANIC);
  }
  CHECK(calls_made == calls);
  /* A thread has one connection of each client, used or kept. */
  judge("calls", samples, count, first.descriptors + 2 * THREADS, first.threads + THREADS + 1);
  for (i = 0; i < THREADS; i++) imgroup_call_free(controls[i]);
  imgroup_client_free(paced);
  imgroup_client_free(unpaced);
  CHECK(sample().descriptors == first.descriptors);
  CHECK(sample().threads == first.threads);
}

static void cycles(long number) {
  struct sample first = sample();
  double began = now_s();
  long i, every = number / 200 + 1;
  int count = 0, good = 0;
  control("POST", "reset", "");
  for (i = 0; i < number; i++) {
    imgroup_config *config = NULL;
    imgroup_client *client = NULL;
    imgroup_response *response = NULL;
    CHECK(imgroup_config_from_env(&config, NULL) == IMGROUP_OK);
    /* Every other one over TLS. */
    if (i % 2) imgroup_config_set_endpoint(config, getenv("SOAK_TLS_URL"), NULL);
    imgroup_config_set_quota(config, 1000000, NULL);
    CHECK(imgroup_client_new(config, &client, NULL) == IMGROUP_OK);
    imgroup_config_free(config);
    good += imgroup_get_lists(client, "u1", NULL, 0, 0, NULL, &response, NULL) == IMGROUP_OK;
    imgroup_response_free(response);
    imgroup_client_free(client);
    if (i % every == 0 && count < SAMPLES) samples[count++] = sample();
  }
  printf("%d of %ld clients made, used and freed in %.0f s\n", good, number, now_s() - began);
  CHECK(good == number);
  judge("cycles", samples, count, first.descriptors, first.threads);
}

int main(int count, char **words) {
  if (count != 3) return 2;
  mixed_calls(atol(words[1]));
  cycles(atol(words[2]));
  return report();
}
