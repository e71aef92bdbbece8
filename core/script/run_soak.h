/* `soak`: random operations of several CPUs at once, checked against a model. Private to the back half of
 * core/script.
 *
 *   a space of its own          the space that all share              an object that all show
 *   | pages |  fork  child      | CPU 0's | CPU 1's | ... | common |  | slot 0 | slot 1 | ... |
 *
 * Concepts: an area is a range of pages that one CPU changes: a space of its own, a fork of that, and its
 * lane of a space in which all CPUs work. The model knows for each page what it must hold. Each slot of the
 * object is written by one CPU, with rising numbers: others may find any of them, but never an older one
 * than before. Who looks into another's lane may find anything, or nothing, but never what was not
 * written there: a translation that has outlived its page shows. All CPUs use the common range, where one
 * of them takes the right to write away now and then: from then on nobody's write may get through.
 * Locking: a struct soak_cpu is its CPU's; struct soak is immutable while CPUs work, atomics aside. */
#ifndef CORE_SCRIPT_RUN_SOAK_H
#define CORE_SCRIPT_RUN_SOAK_H

#include "core/mm/mm.h"
#include "core/script/run.h"

#define SOAK_PAGES 128  /* of an area; two lanes have a page table in common */
#define SOAK_SLOTS 64   /* of the object */
#define SOAK_WATCHED 32 /* from this one on they can be written in the common range alone */
#define SOAK_ROUND 4096 /* operations of each CPU between two audits */
#define SOAK_TEXT_MAX 160

enum soak_state { SOAK_FREE, SOAK_RESERVED, SOAK_ANON, SOAK_SHOWN };

struct soak_page {
    uint64_t word; /* of SOAK_ANON: what it holds */
    uint8_t state;
    uint8_t prot;
    uint8_t slot; /* of SOAK_SHOWN */
};

struct soak_area {
    struct space *space; /* NULL: there is none now */
    uint64_t base;
    bool alone; /* nobody else is in the space */
    struct soak_page pages[SOAK_PAGES];
};

enum soak_area_kind { SOAK_OWN, SOAK_CHILD, SOAK_LANE, SOAK_AREAS };

struct soak_cpu {
    struct soak *soak;
    unsigned cpu;
    uint64_t ops; /* to do in all */
    uint64_t done;
    uint64_t written; /* numbers of the words that it has written */
    struct random random;
    unsigned current; /* the area where it works */
    struct soak_area areas[SOAK_AREAS];
    uint64_t seen[SOAK_SLOTS]; /* the newest word found in each slot; of its own: what it holds */
    char text[SOAK_TEXT_MAX];  /* what is not as it should be */
} __attribute__((aligned(64)));

struct soak {
    unsigned cpu_count;
    uint64_t ops; /* of all CPUs together */
    uint64_t rounds;
    ticks_t deadline;
    struct space *space; /* that all share */
    struct object *object;
    uint64_t common;   /* the address where all show the object */
    uint32_t is_taken; /* atomic: somebody changes the common range */
    uint32_t failed;   /* atomic: a CPU that found a difference; CPU_NONE */
    uint32_t is_late;  /* atomic: the time limit has passed */
    bool audit_failed; /* by the first CPU */
    struct audit_report report;
    struct barrier barrier;
    struct soak_cpu *cpus;
};

/* The address of a lane in the space that all share. */
static inline uint64_t soak_lane(unsigned cpu)
{
    return 4 * GIB + (uint64_t)cpu * SOAK_PAGES * PAGE_SIZE;
}

/* Takes the memory for a `soak` on any number of CPUs; NULL: there is none. */
struct soak *run_soak_create(const struct run *run, struct arena *arena);
/* Records what differs, if nothing has before. Returns false. */
bool soak_differs(struct soak_cpu *cpu, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- run_soak_ops.c ------------------------------------------------------------------------------------- */

/* A space of its own, empty. False: no memory. */
bool soak_create_own(struct soak_cpu *cpu);
/* One operation. False: something was not as it should be. */
bool soak_step(struct soak_cpu *cpu);
/* Everything is as the model has it. */
bool soak_compare(struct soak_cpu *cpu);
/* Ends what the CPU has; the space that all share stays. */
void soak_drop(struct soak_cpu *cpu);

#endif
