/* Runs: rows of accesses from ring 3 (or ring 0), how they are entered and how they end. */
#ifndef X86_64_ACCESS_H
#define X86_64_ACCESS_H

#include "core/types.h"

/* What a loop of access.asm has in its registers; access.asm knows the offsets. */
struct run {
    uint64_t rip;       /* the loop; after a fault where it happened */
    uint64_t rsp;       /* the user's */
    uint64_t address;   /* rbx: of the access under way */
    uint64_t remaining; /* rbp: accesses left, this one included */
    uint64_t stride;    /* r12 */
    uint64_t slot;      /* r13: where the next address or latency stands */
    uint64_t start;     /* r14, out: time stamp before the access under way */
    uint64_t value;     /* r15: to write, or to expect */
    uint64_t result;    /* out: RUN_END_FAULT: enum fault_outcome; else what a read gave */
    uint64_t fault_address;
};

enum run_end {
    RUN_END_DONE,
    RUN_END_MISMATCH,
    RUN_END_FAULT,
    RUN_END_CRASH, /* another exception than a fault */
};

/* Enter a loop and return when it has ended. Interrupts are as before afterwards. */
enum run_end run_enter_user(struct run *run);
enum run_end run_enter_kernel(struct run *run);

/* Where trap_dispatch() sends a frame whose run is over: rdi and rax as run_exit wants them. */
void run_exit(void);
void syscall_entry(void);

/* Is this address within the user program's page, as the user sees it? */
bool access_in_program(uint64_t address);
/* The smallest of all programs: to ring 3 and back. Its user address; 0 before machine_access_init(). */
uint64_t access_empty_program(void);

/* Where the core's image lies; before anything else. */
void access_set_image(uint64_t image_phys);
/* Is the user program mapped in the root now loaded? */
bool access_is_ready(void);
/* What the run under way on this CPU does: ACCESS_WRITE, ACCESS_EXEC or neither. */
unsigned access_kind(void);

/* The loops that the kernel runs, for telling their faults from bugs. */
extern const uint8_t kernel_loops_start[];
extern const uint8_t kernel_loops_end[];

#endif
