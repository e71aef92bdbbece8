/* What every unit test includes: cmocka with the headers that it wants first. */
#ifndef TESTS_HOST_TESTING_H
#define TESTS_HOST_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* TEST_FILTER=NAME, with * and ?, runs only tests of that name: what another has left behind does not matter. */
__attribute__((constructor)) static void filter_tests(void)
{
    const char *filter = getenv("TEST_FILTER");
    if (filter)
        cmocka_set_test_filter(filter);
}

/* Of the thread sanitizer, under which a child cannot have threads. */
void __tsan_init(void) __attribute__((weak));

static inline bool child_has_threads(void)
{
    return !__tsan_init;
}

#endif
