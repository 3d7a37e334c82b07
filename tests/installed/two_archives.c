/* One program, two Rust archives. */

#include <stdint.h>
#include <stdio.h>

#include <imgroup.h>

uint32_t second_count(uint32_t number);

int main(void) {
  imgroup_error *error = NULL;
  int32_t code = imgroup_client_new(NULL, NULL, &error);
  printf("%d %s %u\n", (int)code, imgroup_error_name(error), (unsigned)second_count(6));
  imgroup_error_free(error);
  return 0;
}
