/* The names of result codes. */
#include "core/result.h"

static const char *const result_names[RESULT_COUNT] = {[OK] = "OK",
#define RESULT_NAME(name) [name] = #name,
                                                       RESULT_LIST(RESULT_NAME)
#undef RESULT_NAME
};

const char *result_name(result_t result)
{
    return (unsigned)result < RESULT_COUNT ? result_names[result] : "?";
}
