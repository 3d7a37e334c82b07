/* Wrong on purpose: reads a text that it borrowed from an error, after the error
 * was freed. Proves that a sanitizer sees what happens inside the library. */

#include "check.h"

int main(void) {
  imgroup_error *error = NULL;
  const char *message;
  CHECK(imgroup_call_new(NULL, &error) == IMGROUP_E_INVALID_ARGUMENT);
  message = imgroup_error_message(error);
  CHECK_TEXT(message, "call: must not be NULL");
  imgroup_error_free(error);
  CHECK(message[0] == 'c');
  return 0;
}
