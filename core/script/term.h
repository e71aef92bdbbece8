/* Expressions as they are parsed: terms in postfix order, with jumps for && || ?:. Private to
 * core/script. */
#ifndef CORE_SCRIPT_TERM_H
#define CORE_SCRIPT_TERM_H

#include "core/text.h"

#define EXPRESSION_STACK_MAX 64
/* No space, region, variable, metric of this number. */
#define NO_SLOT UINT32_MAX

enum variable_kind {
    VARIABLE_UNKNOWN, /* before the checker has looked */
    VARIABLE_PARAM,   /* slot: index of the parameter */
    VARIABLE_SLOT,    /* slot: of a variable that the script makes */
    VARIABLE_CPUS,
    VARIABLE_MEMORY,
    VARIABLE_FREE,
    VARIABLE_PAGE,
    VARIABLE_SEED,
    VARIABLE_REP,
    VARIABLE_CPU,
    VARIABLE_TSC_HZ,
    VARIABLE_CONSTANT, /* $E.NAME, $F.kind: number */
    VARIABLE_COUNTER,  /* slot: enum counter */
    VARIABLE_DELTA,
    VARIABLE_INJECT_FIRED,
    VARIABLE_THING_REGIONS, /* slot: space or object */
    VARIABLE_THING_RESIDENT,
    VARIABLE_OBJECT_PHYS, /* slot: object */
    VARIABLE_OBJECT_DEVICE_CRC,
    VARIABLE_OBJECT_MEMORY_CRC,
    VARIABLE_SPACE_TABLES, /* slot: space */
    VARIABLE_SPACE_LOW,
    VARIABLE_SPACE_HIGH,
    VARIABLE_SPACE_DIGEST,
    VARIABLE_REGION_BASE, /* slot: space, region */
    VARIABLE_REGION_SIZE,
    VARIABLE_REGION_RESIDENT,
    VARIABLE_REGION_RUN,
};

struct variable {
    enum variable_kind kind;
    uint32_t slot;
    uint32_t region;
    int64_t number;
};

enum term_kind {
    TERM_NUMBER, /* these three push a value */
    TERM_WORD,
    TERM_VARIABLE,
    TERM_NEGATE,
    TERM_INVERT,
    TERM_NOT,
    TERM_MULTIPLY,
    TERM_DIVIDE,
    TERM_REMAINDER,
    TERM_ADD,
    TERM_SUBTRACT,
    TERM_SHIFT_LEFT,
    TERM_SHIFT_RIGHT,
    TERM_LESS,
    TERM_LESS_EQUAL,
    TERM_GREATER,
    TERM_GREATER_EQUAL,
    TERM_EQUAL,
    TERM_NOT_EQUAL,
    TERM_AND,
    TERM_XOR,
    TERM_OR,
    TERM_TRUTH,      /* 0 or 1 */
    TERM_JUMP,       /* to target */
    TERM_JUMP_FALSE, /* takes the top of the stack; to target if it is 0 */
    TERM_AND_JUMP,   /* top is 0: stays, to target; else it is taken off */
    TERM_OR_JUMP,    /* top is not 0: becomes 1, to target; else it is taken off */
};

struct term {
    enum term_kind kind;
    uint32_t target;
    const char *at;
    struct text text; /* of a number, word or variable (without the `$`), as written */
    int64_t number;
    struct variable variable;
};

struct expression {
    struct text text; /* as written, without braces */
    uint32_t count;
    struct term *terms;
};

#endif
