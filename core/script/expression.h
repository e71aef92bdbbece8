/* Expressions: parsing into postfix, and arithmetic that never wraps. Private to core/script. */
#ifndef CORE_SCRIPT_EXPRESSION_H
#define CORE_SCRIPT_EXPRESSION_H

#include "core/script/tree.h"

/* What is known of a value before the script runs. */
enum static_kind { STATIC_NUMBER, STATIC_WORD, STATIC_UNKNOWN };

/* Parses the whole of `text`, a slice of the scenario's source (or of a boot parameter's word, with a
 * scenario of its own). NULL with an error recorded, or with *out_of_memory. */
struct expression *expression_parse(struct scenario *scenario, struct arena *arena,
                                    struct text text, enum static_kind *kind, bool *out_of_memory);

/* The one term of an expression that is a single number, word or variable; NULL. */
static inline const struct term *expression_single(const struct expression *expression)
{
    return expression->count == 1 ? &expression->terms[0] : NULL;
}

enum arithmetic { ARITHMETIC_OK, ARITHMETIC_OVERFLOW, ARITHMETIC_ZERO, ARITHMETIC_SHIFT };

/* Applies an operator to numbers; `a` alone for unary ones. */
enum arithmetic arithmetic_apply(enum term_kind kind, int64_t a, int64_t b, int64_t *result);
/* What went wrong, for messages: "overflow", "division by zero", ... */
const char *arithmetic_text(enum arithmetic status);

#endif
