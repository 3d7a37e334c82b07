/* Wrong on purpose: four bytes in their places, which a fuzzer finds only when the
 * code tells it how far it came, lead to a text of an error that was freed, which
 * is found only when the sanitizer watches the library's memory. */

#include <stdlib.h>

#include "imgroup.h"

void fuzz_known_bad(const uint8_t *data, size_t size) {
  imgroup_error *error = NULL;
  const char *message;
  imgroup_call_new(NULL, &error);
  message = imgroup_error_message(error);
  if (size > 3 && data[0] == 'F' && data[1] == 'U' && data[2] == 'Z' && data[3] == 'Z') {
    imgroup_error_free(error);
    error = NULL;
  }
  if (message[0] != 'c') abort();
  imgroup_error_free(error);
}
