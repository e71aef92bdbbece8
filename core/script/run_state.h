/* The state of running a program. Private to the back half of core/script.
 *
 * Stops: an operation that fails fills run->stop and returns run_stop(), which leads to the end of the
 * innermost `try` or `expect fault|error` around it, or out of the program.
 * CPUs: the program is on one CPU at a time; `on` moves it, always by way of the first CPU
 * (runner_program.c). `parallel` gives each CPU a run of its own, which starts with copies of all names
 * and variables (runner_parallel.c): those from outside of the block, which nothing inside changes, and
 * those made inside, which nobody else sees.
 * Locking: none; a run is on one CPU at a time. What the runs of a team share is atomic. */
#ifndef CORE_SCRIPT_RUN_STATE_H
#define CORE_SCRIPT_RUN_STATE_H

#include "core/barrier.h"
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
    bool is_shared;     /* of a space: other CPUs use it now */
};

/* Parts of a region's range where other CPUs may have mapped something since; see run_holes.c. */
#define CELL_HOLES_MAX 16
struct cell_holes {
    unsigned count;
    struct range ranges[CELL_HOLES_MAX]; /* base: from the region's first address */
};

struct region_cell {
    struct thing thing;
    struct range range;
    uint64_t born;            /* greater: mapped later */
    struct cell_holes *holes; /* of a name made inside `parallel`; else NULL */
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
    STOP_BARRIER, /* number: a CPU that will not come to it */
    STOP_SOAK,    /* number: a CPU that has found a difference; text */
    STOP_SKIP,    /* number: CPUs that a command wants */
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
    char text[256]; /* of the audit, of `soak` */
};

/* Figures that the whole run shares. */
struct run_facts {
    uint64_t seed;
    unsigned cpu_count;
    uint64_t memory_bytes;
    uint64_t ticks_per_second;
    ticks_t overheads[METRIC_COUNT]; /* by enum metric_kind */
};

#define CPU_NONE UINT32_MAX

/* What the CPUs of a `parallel` share. Atomic but for count. */
struct team {
    unsigned count;
    struct barrier start;
    struct barrier barrier; /* of the command */
    uint32_t arrived;       /* at the start */
    ticks_t go;             /* when they all leave it */
    uint32_t failed_cpu;    /* the first that was stopped; CPU_NONE */
    uint32_t ended_cpu;     /* one that has come to the end of its block; CPU_NONE */
};

struct run {
    const struct program *program;
    const struct run_facts *facts;
    const struct op *next;    /* where to go on when the loop is entered */
    const struct op *current; /* for panics */
    struct on_block *on;      /* where the program is; NULL: the first CPU */
    const struct on_block *wanted_on;
    void (*job)(struct run *run); /* that the first CPU has to do next; NULL: none */
    const struct op *job_op;
    unsigned wanted_cpus;  /* by it */
    struct run **cpu_runs; /* of the CPUs that `parallel` can use */
    unsigned cpu_run_count;
    struct team *team;  /* NULL: there is no `parallel` */
    struct run *failed; /* whose stop this one's is; NULL: its own */
    unsigned cpu;       /* of a CPU's run, from here on */
    uint32_t depth;     /* of its block's scope */
    uint32_t variable;  /* its number; NO_SLOT */
    ticks_t started;    /* when it left the start */
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
    struct metric_pool *pools; /* of metrics that CPUs record into at once; no parts: it is none */
    ticks_t *floor_samples;    /* FLOOR_SAMPLES_MAX of them */
    void *floor_pages[2];
};

#endif
