/* What every unit test includes: cmocka with the headers that it wants first. */
#ifndef TESTS_HOST_TESTING_H
#define TESTS_HOST_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
