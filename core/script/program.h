/* A compiled combination of a scenario, and the state of running it. Private to the back half of
 * core/script.
 *
 * Concepts: a program is a flat array of operations, each with the function that does it and operands
 * that are numbers or folded expressions. A function returns the operation to go on with; NULL leaves
 * the loop, and run->next says what follows. Everything that an operation needs is allocated here,
 * before the program runs.
 * Stops: an operation that fails fills run->stop and returns run_stop(), which leads to the end of the
 * innermost `try` or `expect fault|error` around it, or out of the program.
 * CPUs: the program is on one CPU at a time; `on` moves it, always by way of the first CPU (runner.c).
 * Locking: none; there is one run, on one CPU at a time. */
#ifndef CORE_SCRIPT_PROGRAM_H
#define CORE_SCRIPT_PROGRAM_H

#include "core/counters.h"
#include "core/list.h"
#include "core/machine.h"
#include "core/mm/space.h"
#include "core/random.h"
#include "core/report/metric.h"
#include "core/script/tree.h"

/* What the inner of `touch`, `fill` and `verify` does between two looks at the time limit. */
#define CHUNK_BYTES (2 * MIB)
#define CHUNK_PAGES (CHUNK_BYTES / PAGE_SIZE)

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
    };
    struct space_slot *space;   /* that it works on or makes */
    struct region_cell *region; /* NULL: none, or `_` */
    struct space_slot *child;   /* of `fork` */
    struct list_node *scope;    /* that what it makes belongs to */
    uint32_t slot;              /* variable, counter, error, ... */
    uint32_t owner;             /* depth of the scope that a variable belongs to, or that ends */
    bool constant;              /* map and touch hold what the operands say */
};

struct foreach_state {
    uint32_t index;
    uint32_t count;
    const struct operand *items;
};

struct touch_args {
    enum machine_access_kind kind;
    unsigned order; /* 0 up, 1 down, 2 random */
    bool kernel;
    bool check;
    uint64_t value;
    uint64_t stride;
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

/* --- the run ------------------------------------------------------------------------------------------ */

/* What can be alive under a name: a space, or a region of one. */
struct thing {
    struct list_node link; /* in run->scopes; next is NULL: in none */
    uint32_t space;        /* slots */
    uint32_t region;       /* NO_SLOT: the space itself */
    bool alive;
};

struct space_slot {
    struct thing thing;
    struct space *space;
    bool has_holes; /* names may lie over one another's ranges */
};

struct region_cell {
    struct thing thing;
    struct range range;
    uint64_t born; /* greater: mapped later */
};

struct variable_slot {
    struct value value;
    uint32_t owner;
};

enum stop_kind {
    STOP_NONE,
    STOP_ERROR,       /* number: result_t; can be caught */
    STOP_FAULT,       /* number: enum fault_outcome; can be caught */
    STOP_ARITHMETIC,  /* number: enum arithmetic */
    STOP_EXPECT,      /* a condition that does not hold */
    STOP_NOT_STOPPED, /* a block that was to be stopped by something else than number */
    STOP_MISMATCH,    /* memory does not hold what it should */
    STOP_AUDIT,
    STOP_CLEANUP, /* number: result_t of a drop at the end of a scope */
    STOP_TIMEOUT,
};

struct stop {
    enum stop_kind kind;
    int number;
    const struct op *op;
    const char *at;     /* place in the source, closer than the command; NULL */
    const char *detail; /* says more; lives for ever; NULL */
    bool has_access;    /* address, done, count tell about a row of accesses */
    uint64_t address;
    uint64_t done;
    uint64_t count;
    uint64_t expected; /* of a mismatch */
    uint64_t found;
    enum stop_kind other_kind; /* NOT_STOPPED: what stopped the block instead */
    int other_number;
    char text[256]; /* of the audit */
};

/* Figures that the whole run shares. */
struct run_facts {
    uint64_t seed;
    unsigned cpu_count;
    uint64_t memory_bytes;
    uint64_t ticks_per_second;
    ticks_t overheads[METRIC_COUNT]; /* by enum metric_kind */
};

struct run {
    const struct program *program;
    const struct run_facts *facts;
    const struct op *next;    /* where to go on when the loop is entered */
    const struct op *current; /* for panics */
    struct on_block *on;      /* where the program is; NULL: the first CPU */
    const struct on_block *wanted_on;
    ticks_t deadline;
    struct stop stop;
    struct variable_slot *variables;
    struct space_slot *spaces;
    struct region_cell *cells; /* [space * region_count + region] */
    struct list_node *scopes;  /* what is alive, by depth of the owning scope, in order of making */
    uint64_t births;
    struct random random;
    uint64_t mark[COUNTER_COUNT];
    struct metric *metrics;
    ticks_t *floor_samples; /* FLOOR_SAMPLES_MAX of them */
    void *floor_pages[2];
};

#define FLOOR_SAMPLES_MAX 1024

/* --- values at run time (run_value.c) -------------------------------------------------------------------- */

/* False: run->stop tells why not. */
bool run_evaluate(struct run *run, const struct code *code, struct value *value);
/* The value of a variable, for evaluation and for messages. */
bool run_read_variable(struct run *run, const struct variable *variable, struct value *value);
bool run_operand_slow(struct run *run, const struct operand *operand, int64_t *number);
/* The index of the word that a CHOICE operand has among its spec's words. */
bool run_choice(struct run *run, const struct operand *operand, unsigned *choice);
bool run_prot(struct run *run, const struct operand *operand, unsigned *prot);

static inline bool run_number(struct run *run, const struct operand *operand, int64_t *number)
{
    if (LIKELY(operand->code == NULL && operand->value.word == WORD_NONE)) {
        *number = operand->value.number;
        return true;
    }
    return run_operand_slow(run, operand, number);
}

static inline bool run_value(struct run *run, const struct operand *operand, struct value *value)
{
    *value = operand->value;
    return operand->code == NULL || run_evaluate(run, operand->code, value);
}

/* --- stops (run_stop.c) ------------------------------------------------------------------------------------ */

/* Leads on from an operation that has filled run->stop. */
const struct op *run_stop(struct run *run, const struct op *op);
const struct op *run_error(struct run *run, const struct op *op, result_t error);
/* The same with a reason in words. */
const struct op *run_error_detail(struct run *run, const struct op *op, result_t error,
                                  const char *detail);
/* Prints why the program stopped, as diagnostics of the combination under way. */
void run_report_stop(struct run *run);
/* "fork-cow.scn:12:5" of a place in the scenario's source. */
size_t run_format_place(const struct program *program, const char *at, char *buffer, size_t size);
/* Writes a quoted text with its variables' values. */
size_t run_format_string(struct run *run, const struct string_part *parts, char *buffer,
                         size_t size);

/* --- names (run_names.c) ------------------------------------------------------------------------------------ */

static inline struct region_cell *run_cell(const struct run *run, uint32_t space, uint32_t region)
{
    return &run->cells[space * run->program->script->region_count + region];
}

static inline void run_make_alive(struct thing *thing, struct list_node *scope)
{
    thing->alive = true;
    list_add_last(scope, &thing->link);
}

static inline void run_make_dead(struct thing *thing)
{
    thing->alive = false;
    if (thing->link.next != NULL)
        list_remove(&thing->link);
}

result_t run_drop_region(struct run *run, struct region_cell *cell);
void run_drop_space(struct run *run, struct space_slot *slot);
/* Drops what the scope of a depth owns, in reverse order of making, and forgets its variables. False:
 * run->stop. */
bool run_drop_scope(struct run *run, uint32_t depth);
/* The same for all scopes of `depth` and deeper, innermost first. */
bool run_drop_scopes(struct run *run, uint32_t depth);

/* Operand indices of a RANGE; an operation's own operands follow. */
enum range_operand { RANGE_ADDRESS, RANGE_OFFSET, RANGE_SIZE, RANGE_OPERANDS };

/* A RANGE argument, resolved. */
struct run_range {
    struct space *space;
    struct range range;
    uint64_t offset; /* of its first byte in the name's range */
    uint64_t end;    /* last byte of the name's whole range, inclusive */
};
/* Resolves op->space, op->region and the range operands. False: run->stop. */
bool run_resolve_range(struct run *run, const struct op *op, struct run_range *range);

/* --- samples ----------------------------------------------------------------------------------------------- */

static inline void run_sample(const struct op *op, struct sample_state *sample, uint64_t value)
{
    if (op->loop != NULL && op->loop->warming)
        return;
    metric_add(sample->metric, value, sample->per, machine_cpu()->index);
}

/* Has the time limit passed? Then run->stop says so. */
bool run_is_late(struct run *run);

#endif
