/* What the core keeps for each CPU. The machine allocates nothing here: the blocks are static, and the
 * machine makes machine_cpu() find the right one. */
#ifndef CORE_CPU_H
#define CORE_CPU_H

#include "core/counters.h"
#include "core/types.h"

#define CPU_MAX 256
#define CPU_LOCKS_HELD_MAX 16

struct lock;
struct mm_cpu;

struct held_lock {
    const struct lock *lock;
    const void *where; /* return address of the acquisition */
};

/* Owned by its CPU; others only read (counters, held locks in a panic). */
struct cpu {
    struct cpu *self; /* first: the x86 machine reads it through %gs:0 */
    uint32_t index;   /* 0 is the CPU that booted; immutable */
    uint32_t held_count;
    struct mm_cpu *mm;      /* frame cache and the like; set by core/mm */
    const void *space;      /* the space whose root is loaded; NULL: the kernel's */
    uint64_t fault_address; /* of the last fault */
    unsigned fault_access;
    uint32_t write_windows; /* open ones, at check level 2; core/write_window.h */
    bool making;            /* one of them is for objects that are being made */
    uint64_t counters[COUNTER_COUNT];
    struct held_lock held[CPU_LOCKS_HELD_MAX]; /* from check level 1 on */
} __attribute__((aligned(64)));

extern struct cpu cpus[CPU_MAX];

#endif
