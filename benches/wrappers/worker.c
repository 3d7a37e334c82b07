/* A worker of the wrapper benchmark: for each number on standard input, so many
 * reads of alice's lists, and the microseconds one took on standard output. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "imgroup.h"

static double now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void must(int32_t code) {
  if (code != IMGROUP_OK) {
    fprintf(stderr, "%s\n", imgroup_code_name(code));
    exit(1);
  }
}

int main(void) {
  const char *names[] = {"Family"};
  imgroup_config *config = NULL;
  imgroup_client *client = NULL;
  int calls;
  must(imgroup_config_from_env(&config, NULL));
  must(imgroup_config_set_quota(config, 1000000, NULL));
  must(imgroup_client_new(config, &client, NULL));
  imgroup_config_free(config);
  while (scanf("%d", &calls) == 1) {
    double begin = now_us();
    int i;
    for (i = 0; i < calls; i++) {
      imgroup_response *reply = NULL;
      must(imgroup_get_lists(client, "alice", names, 1, 1, NULL, &reply, NULL));
      if (imgroup_response_member_count(reply, 0) != 1) exit(1);
      imgroup_response_free(reply);
    }
    printf("%f\n", (now_us() - begin) / calls);
    fflush(stdout);
  }
  imgroup_client_free(client);
  return 0;
}
