/* The version macros, evaluated by a C compiler, and the library's own word. */

#include "check.h"

int main(void) {
  char text[64];
  CHECK(IMGROUP_VERSION_NUMBER ==
        IMGROUP_VERSION_MAJOR * 1000000 + IMGROUP_VERSION_MINOR * 1000 + IMGROUP_VERSION_PATCH);
  CHECK(imgroup_version_number() == IMGROUP_VERSION_NUMBER);
  snprintf(text, sizeof text, "%d.%d.%d", IMGROUP_VERSION_MAJOR, IMGROUP_VERSION_MINOR,
           IMGROUP_VERSION_PATCH);
  CHECK_TEXT(imgroup_version(), text);
  CHECK_TEXT(imgroup_code_name(IMGROUP_OK), "IMGROUP_OK");
  CHECK_TEXT(imgroup_code_name(IMGROUP_E_DEADLINE), "IMGROUP_E_DEADLINE");
  CHECK_TEXT(imgroup_code_name(30003), "ERR_SVR_FRIENDSHIP_ACCOUNT_NOT_FOUND");
  CHECK_TEXT(imgroup_code_name(123456789), "UNKNOWN");
  CHECK(imgroup_code_class(0) == 0);
  CHECK(imgroup_code_class(60007) == IMGROUP_CLASS_THROTTLED);
  CHECK_TEXT(imgroup_class_name(IMGROUP_CLASS_NOT_FOUND), "not_found");
  CHECK_TEXT(imgroup_class_name(99), "");
  CHECK_TEXT(imgroup_outcome_name(IMGROUP_OUTCOME_UNKNOWN), "UNKNOWN");
  return report();
}
