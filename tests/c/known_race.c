/* Wrong on purpose: two threads change one configuration, which is for one thread
 * at a time. Proves that a sanitizer sees threads meet inside the library. */

#include <pthread.h>

#include "check.h"

static imgroup_config *config;
static pthread_barrier_t barrier;

static void *change(void *argument) {
  pthread_barrier_wait(&barrier);
  imgroup_config_set_timeout_ms(config, 1000, NULL);
  return argument;
}

int main(void) {
  pthread_t other;
  CHECK(imgroup_config_new(1400000000, "administrator", "key", &config, NULL) == IMGROUP_OK);
  pthread_barrier_init(&barrier, NULL, 2);
  pthread_create(&other, NULL, change, NULL);
  change(NULL);
  pthread_join(other, NULL);
  imgroup_config_free(config);
  return 0;
}
