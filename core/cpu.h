/* What the core keeps for each CPU. The machine allocates nothing here: the blocks are static, and the
 * machine makes machine_cpu() find the right one. */
#ifndef CORE_CPU_H
#define CORE_CPU_H

#include "core/counters.h"
#include "core/types.h"

#define CPU_MAX 256
#define CPU_LOCKS_HELD_MAX 16

struct lock;
struct frame;
struct mm_cpu;

struct held_lock {
    const struct lock *lock;
    const void *where; /* return address of the acquisition */
};

/* A mailbox; core/work.c. */
struct work {
    uint32_t state; /* atomic */
    void (*function)(void *argument);
    void *argument;
};

/* The level-1 page table that a fault found last; core/mm/page_directory.h. */
struct table_hint {
    uint64_t number; /* of the 2 MiB that it maps */
    uint64_t generation;
    uint64_t *upper;
    uint64_t *entries;
    struct frame *table;
};

/* Owned by its CPU, the mailbox aside; others only read (counters, what it waits for, locks in a
 * panic). */
struct cpu {
    struct cpu *self; /* first: the x86 machine reads it through %gs:0 */
    uint32_t index;   /* 0 is the CPU that booted; immutable */
    uint16_t tag;     /* index + 1: its name where 0 is nobody; immutable */
    uint32_t held_count;
    struct mm_cpu *mm; /* frame cache and the like; set by core/mm */
    const void *space; /* the space whose root is loaded; NULL: the kernel's */
    uint64_t sections; /* entered and left, core/mm/section.h; odd: inside one; atomic */
    /* CPUs that wait for this one to leave its section, or itself, for dead_tables; atomic. */
    uint32_t section_waiters;
    uint32_t dead_tables;   /* frame number of the first page table to be freed; 0: none */
    uint64_t fault_address; /* of the last fault */
    unsigned fault_access;
    struct table_hint table_hint;
    uint32_t write_windows; /* open ones, at check level 2; core/write_window.h */
    bool making;            /* one of them is for objects that are being made */
    uint64_t counters[COUNTER_COUNT];
    struct held_lock held[CPU_LOCKS_HELD_MAX]; /* from check level 1 on */
    struct held_lock wanted;                   /* the lock that it waits for; NULL: none */
    const void *waits_for; /* while it halts: an address (core/wait.h); atomic */
    struct work work;
} __attribute__((aligned(64)));

extern struct cpu cpus[CPU_MAX];

#endif
