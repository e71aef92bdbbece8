/* Result codes of every fallible function in PageLab. */
#ifndef CORE_RESULT_H
#define CORE_RESULT_H

/* The numbers are what `try V {...}` stores and what `$E.NAME` yields: never renumber them.
 * RESULT_LIST(X) calls X(name) for each error in the order of its number, which starts at 1. */
#define RESULT_LIST(X) \
    X(EINVAL)          \
    X(ERANGE)          \
    X(EEXIST)          \
    X(ENOENT)          \
    X(ENOMEM)          \
    X(EACCES)          \
    X(ENOTSUP)         \
    X(EBUSY)           \
    X(EFAULT)          \
    X(EIO)             \
    X(EAGAIN)

/* OK is zero. AGAIN never reaches a script: operations answer it by reclaiming and starting again. */
/* clang-format off */
typedef enum [[nodiscard]] result {
    OK = 0,
#define RESULT_ENUM(name) name,
    RESULT_LIST(RESULT_ENUM)
#undef RESULT_ENUM
    RESULT_COUNT,
} result_t;
/* clang-format on */

/* "OK", "EINVAL", ... ; "?" for anything else. The text lives for ever. */
const char *result_name(result_t result);

#endif
