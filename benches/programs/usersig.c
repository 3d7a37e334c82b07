/* UserSig tickets by this library: for each number on standard input so many, for
 * user0, user1, …, and then their CPU time in nanoseconds and all their bytes. */

#include "worker.h"

#include <string.h>

#include "imgroup.h"

int main(void) {
  const char *key = worker_setting("IMGROUP_SECRET_KEY");
  uint32_t sdkappid = (uint32_t)strtoul(worker_setting("IMGROUP_SDKAPPID"), NULL, 10);
  int tickets, i;
  while (scanf("%d", &tickets) == 1) {
    long long cpu = worker_cpu(), bytes = 0;
    for (i = 0; i < tickets; i++) {
      char identifier[32], *ticket = NULL;
      snprintf(identifier, sizeof identifier, "user%d", i);
      if (imgroup_usersig(sdkappid, identifier, key, 15552000, 0, NULL, 0, &ticket, NULL))
        worker_fail("usersig: none");
      bytes += (long long)strlen(ticket);
      imgroup_string_free(ticket);
    }
    printf("%lld %lld\n", worker_cpu() - cpu, bytes);
    fflush(stdout);
  }
  return 0;
}
