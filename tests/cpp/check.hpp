// The little that both C++ suites need: rows of checks, and a count at the end.

#ifndef CHECK_HPP
#define CHECK_HPP

#include <cstdio>

inline int passed = 0, failed = 0;

inline void check(bool holds, const char *text, int line) {
  if (holds) {
    ++passed;
  } else {
    ++failed;
    std::printf("line %d: %s\n", line, text);
  }
}

#define CHECK(...) check((__VA_ARGS__), #__VA_ARGS__, __LINE__)

inline int report() {
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}

#endif
