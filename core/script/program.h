/* A compiled combination of a scenario. Private to the back half of core/script.
 *
 * Concepts: a program is a flat array of operations, each with the function that does it and operands
 * that are numbers or folded expressions. A function returns the operation to go on with; NULL leaves
 * the loop, and run->next says what follows (run.h). Everything that an operation needs is allocated
 * before the program runs. */
#ifndef CORE_SCRIPT_PROGRAM_H
#define CORE_SCRIPT_PROGRAM_H

#include "core/machine.h"
#include "core/mm/space.h"
#include "core/report/metric.h"
#include "core/script/tree.h"

/* --- values ------------------------------------------------------------------------------------------- */

#define WORD_NONE 0u          /* the value is a number */
#define WORD_UNSET UINT32_MAX /* a variable that has none yet */

/* A number, or a word by its index in the program's words. */
struct value {
    int64_t number;
    uint32_t word;
};

/* An expression with the combination's parameters folded in. */
struct code {
    const struct expression *source;
    uint32_t count;
    struct term *terms; /* TERM_WORD: number is the word's index; $rep: slot is the loop's index */
};

/* What an operation works with: a constant (code is NULL) or an expression. */
struct operand {
    const struct code *code;
    struct value value;
    const struct argument_spec *spec;
    const char *at;
    bool given;
};

/* --- operations --------------------------------------------------------------------------------------- */

struct run;
struct run_prepared;

struct loop_state {
    int64_t rep; /* negative: warm-up */
    int64_t end;
    bool warming; /* samples are thrown away, here or in a loop around */
    const struct loop_state *outer;
};

struct on_block {
    unsigned cpu;
    struct on_block *outer;
};

/* The end of a `try` or `expect fault|error`, where stops inside it lead. */
struct catcher {
    const struct op *end;
    const struct on_block *on; /* the innermost around the block; NULL: the first CPU */
    uint32_t depth;            /* of scopes around the block */
};

/* Of one `time` or `count`, or of a command with each=. */
struct sample_state {
    struct metric *metric;
    ticks_t start;
    uint64_t per;
};

struct op {
    const struct op *(*run)(struct run *run, const struct op *op);
    /* Finds out what the operands say; `time` lets its first operation do so ahead of the stamp. NULL:
     * there is nothing to find out. False: run->stop. */
    bool (*prepare)(struct run *run, const struct op *op);
    struct run_prepared *prepared;
    const struct op *target;
    const struct command *command;
    const struct catcher *catcher; /* NULL: a stop ends the program */
    const struct loop_state *loop; /* innermost `repeat`; NULL */
    const struct operand
        *operands;               /* in the order of enum argument_id of each command's function */
    struct sample_state *sample; /* NULL: it takes none */
    union {
        struct loop_state *repeat;
        struct foreach_state *foreach;
        struct on_block *on;
        struct catcher *catches;
        struct map_args *map;
        struct touch_args *touch;
        struct exec_args *exec;
        struct parallel_block *parallel;
        struct soak *soak;
    };
    struct thing_slot *thing;   /* that it works on or makes */
    struct thing_slot *object;  /* that `map` shows; NULL: none has a name */
    struct region_cell *region; /* NULL: none, or `_` */
    struct region_cell *from;   /* of `share`; of `touch`: the stack; NULL: none */
    struct thing_slot *child;   /* of `fork` */
    struct list_node *scope;    /* that what it makes belongs to */
    uint32_t slot;              /* variable, counter, error, kind of object, ... */
    uint32_t owner;             /* depth of the scope that a variable belongs to, or that ends */
    bool constant;              /* map and touch hold what the operands say */
};

struct foreach_state {
    uint32_t index;
    uint32_t count;
    const struct operand *items;
};

/* One `parallel` of the script: its block is compiled once for each CPU. */
struct parallel_block {
    unsigned cpu_count;       /* for which it is compiled */
    const struct op **firsts; /* each CPU's first operation */
    uint32_t depth;           /* of the block's scope */
    uint32_t variable;        /* that is the CPU's number; NO_SLOT: none */
};

/* The names that `exec` leaves. */
struct exec_args {
    struct region_cell *text;
    struct region_cell *data;
    struct region_cell *stack;
};

struct touch_args {
    enum machine_access_kind kind;
    unsigned order; /* 0 up, 1 down, 2 random */
    bool kernel;
    bool check;
    uint64_t value;
    uint64_t stride;
    uint64_t stack_pointer; /* 0: none */
};

struct program {
    const struct scenario *scenario;
    const struct script *script;
    const struct value *params;
    uint32_t op_count;
    struct op *ops;
    uint32_t loop_count;
    struct loop_state *loops;
    uint32_t word_count;
    struct text *words; /* index 0 is nobody's */
};

#endif
