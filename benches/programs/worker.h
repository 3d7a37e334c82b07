/* The loop of every worker in C: for each number on standard input so many calls,
 * one after the other, and then one line: the CPU time and the time of all of them,
 * and the time of each, in nanoseconds. The workers in other languages do the same. */

#ifndef WORKER_H
#define WORKER_H

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

/* Before the clock starts: another worker has had the CPU and its caches. */
#define WARM_UP 100

static inline long long worker_now(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static inline long long worker_cpu(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000LL +
         (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000LL;
}

static inline void worker_run(void (*call)(void *), void *state) {
  int calls, i;
  while (scanf("%d", &calls) == 1) {
    long long *took = malloc(sizeof *took * (size_t)calls), begin, last, cpu;
    for (i = 0; i < WARM_UP; i++) call(state);
    cpu = worker_cpu();
    begin = last = worker_now(CLOCK_MONOTONIC);
    for (i = 0; i < calls; i++) {
      long long now;
      call(state);
      now = worker_now(CLOCK_MONOTONIC);
      took[i] = now - last;
      last = now;
    }
    printf("%lld %lld", worker_cpu() - cpu, last - begin);
    for (i = 0; i < calls; i++) printf(" %lld", took[i]);
    puts("");
    fflush(stdout);
    free(took);
  }
}

static inline void worker_fail(const char *why) {
  fprintf(stderr, "%s\n", why);
  exit(1);
}

static inline const char *worker_setting(const char *name) {
  const char *value = getenv(name);
  if (!value) worker_fail(name);
  return value;
}

#endif
