/* sanitized.h - whether this build has a sanitizer: the same work takes 5 to 50 times as long, and tests do less of it. */
#ifndef HD_TESTS_SANITIZED_H
#define HD_TESTS_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

#endif
