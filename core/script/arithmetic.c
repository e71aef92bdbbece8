/* Arithmetic of expressions: signed 64 bits that never wrap. */
#include "core/script/expression.h"

static enum arithmetic negate(int64_t a, int64_t b, int64_t *result)
{
    (void)b;
    return __builtin_sub_overflow(0, a, result) ? ARITHMETIC_OVERFLOW : ARITHMETIC_OK;
}

static enum arithmetic invert(int64_t a, int64_t b, int64_t *result)
{
    (void)b;
    *result = ~a;
    return ARITHMETIC_OK;
}

static enum arithmetic logical_not(int64_t a, int64_t b, int64_t *result)
{
    (void)b;
    *result = !a;
    return ARITHMETIC_OK;
}

static enum arithmetic truth(int64_t a, int64_t b, int64_t *result)
{
    (void)b;
    *result = a != 0;
    return ARITHMETIC_OK;
}

static enum arithmetic multiply(int64_t a, int64_t b, int64_t *result)
{
    return __builtin_mul_overflow(a, b, result) ? ARITHMETIC_OVERFLOW : ARITHMETIC_OK;
}

static enum arithmetic divide(int64_t a, int64_t b, int64_t *result)
{
    if (b == 0)
        return ARITHMETIC_ZERO;
    if (b == -1) /* the one divisor whose quotient may not fit */
        return negate(a, 0, result);
    *result = a / b;
    return ARITHMETIC_OK;
}

static enum arithmetic modulo(int64_t a, int64_t b, int64_t *result)
{
    if (b == 0)
        return ARITHMETIC_ZERO;
    *result = b == -1 ? 0 : a % b; /* the processor computes the quotient too, which may not fit */
    return ARITHMETIC_OK;
}

static enum arithmetic add(int64_t a, int64_t b, int64_t *result)
{
    return __builtin_add_overflow(a, b, result) ? ARITHMETIC_OVERFLOW : ARITHMETIC_OK;
}

static enum arithmetic subtract(int64_t a, int64_t b, int64_t *result)
{
    return __builtin_sub_overflow(a, b, result) ? ARITHMETIC_OVERFLOW : ARITHMETIC_OK;
}

static enum arithmetic shift_left(int64_t a, int64_t b, int64_t *result)
{
    if (b < 0 || b > 63)
        return ARITHMETIC_SHIFT;
    *result = (int64_t)((uint64_t)a << b);
    return *result >> b == a ? ARITHMETIC_OK : ARITHMETIC_OVERFLOW;
}

static enum arithmetic shift_right(int64_t a, int64_t b, int64_t *result)
{
    if (b < 0 || b > 63)
        return ARITHMETIC_SHIFT;
    *result = a >> b;
    return ARITHMETIC_OK;
}

static enum arithmetic less(int64_t a, int64_t b, int64_t *result)
{
    *result = a < b;
    return ARITHMETIC_OK;
}

static enum arithmetic less_equal(int64_t a, int64_t b, int64_t *result)
{
    *result = a <= b;
    return ARITHMETIC_OK;
}

static enum arithmetic greater(int64_t a, int64_t b, int64_t *result)
{
    *result = a > b;
    return ARITHMETIC_OK;
}

static enum arithmetic greater_equal(int64_t a, int64_t b, int64_t *result)
{
    *result = a >= b;
    return ARITHMETIC_OK;
}

static enum arithmetic bit_and(int64_t a, int64_t b, int64_t *result)
{
    *result = a & b;
    return ARITHMETIC_OK;
}

static enum arithmetic bit_xor(int64_t a, int64_t b, int64_t *result)
{
    *result = a ^ b;
    return ARITHMETIC_OK;
}

static enum arithmetic bit_or(int64_t a, int64_t b, int64_t *result)
{
    *result = a | b;
    return ARITHMETIC_OK;
}

static enum arithmetic (*const operators[])(int64_t a, int64_t b, int64_t *result) = {
    [TERM_NEGATE] = negate,
    [TERM_INVERT] = invert,
    [TERM_NOT] = logical_not,
    [TERM_TRUTH] = truth,
    [TERM_MULTIPLY] = multiply,
    [TERM_DIVIDE] = divide,
    [TERM_REMAINDER] = modulo,
    [TERM_ADD] = add,
    [TERM_SUBTRACT] = subtract,
    [TERM_SHIFT_LEFT] = shift_left,
    [TERM_SHIFT_RIGHT] = shift_right,
    [TERM_LESS] = less,
    [TERM_LESS_EQUAL] = less_equal,
    [TERM_GREATER] = greater,
    [TERM_GREATER_EQUAL] = greater_equal,
    [TERM_AND] = bit_and,
    [TERM_XOR] = bit_xor,
    [TERM_OR] = bit_or,
};

enum arithmetic arithmetic_apply(enum term_kind kind, int64_t a, int64_t b, int64_t *result)
{
    return operators[kind](a, b, result);
}

const char *arithmetic_text(enum arithmetic status)
{
    switch (status) {
    case ARITHMETIC_OVERFLOW:
        return "overflow: the result does not fit into 64 bits";
    case ARITHMETIC_ZERO:
        return "division by zero";
    case ARITHMETIC_SHIFT:
        return "shift by less than 0 or more than 63";
    case ARITHMETIC_OK:
        break;
    }
    return "no error";
}
