/* The state of running a program. Private to the back half of core/script.
 *
 * Stops: an operation that fails fills run->stop and returns run_stop(), which leads to the end of the
 * innermost `try` or `expect fault|error` around it, or out of the program.
 * CPUs: the program is on one CPU at a time; `on` moves it, always by way of the first CPU
 * (runner_program.c).
 * Locking: none; there is one run, on one CPU at a time. */
#ifndef CORE_SCRIPT_RUN_STATE_H
#define CORE_SCRIPT_RUN_STATE_H

#include "core/counters.h"
#include "core/list.h"
#include "core/random.h"
#include "core/script/program.h"

#define FLOOR_SAMPLES_MAX 1024

/* What can be alive under a name: a space, an object, or a region of a space. */
struct thing {
    struct list_node link; /* in run->scopes; next is NULL: in none */
    uint32_t slot;         /* of a space or object */
    uint32_t region;       /* NO_SLOT: the space or object itself */
    bool alive;
};

/* What a name without a dot stands for: alive, it is one of the two. */
struct thing_slot {
    struct thing thing;
    struct space *space;
    struct object *object;
    uint64_t object_bytes;
    phys_t object_phys; /* first frame of frames in a row */
    bool has_holes;     /* of a space: names may lie over one another's ranges */
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
    struct thing_slot *things;
    struct region_cell *cells; /* [space * region_count + region] */
    struct list_node *scopes;  /* what is alive, by depth of the owning scope, in order of making */
    uint64_t births;
    struct random random;
    uint64_t mark[COUNTER_COUNT];
    struct metric *metrics;
    ticks_t *floor_samples; /* FLOOR_SAMPLES_MAX of them */
    void *floor_pages[2];
};

#endif
