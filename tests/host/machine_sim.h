/* The simulated machine, seen from tests and from the hosted runner: what it is made of, what it
 * prints, how it ends.
 *
 * Concepts: one machine a process. Physical memory is one mapping of Linux with holes where the
 * machine has none: touching a hole is a SIGSEGV. A CPU is a thread. Translation goes through a TLB for
 * each CPU that keeps what it has until it is flushed (machine_tlb.c). */
#ifndef TESTS_HOST_MACHINE_SIM_H
#define TESTS_HOST_MACHINE_SIM_H

#include "core/boot_info.h"
#include "core/types.h"

struct sim_file {
    const char *name;
    const char *text;
    size_t size_bytes;
};

struct sim_config {
    uint64_t memory_bytes;     /* RAM; at least 16 MiB; 0: 256 MiB */
    uint64_t low_memory_bytes; /* of it below 4 GiB, the rest above; 0: as on a q35, up to 2 GiB */
    unsigned cpu_count;        /* 0: 1 */
    uint64_t disk_bytes;       /* of its disk (machine_disk.h); 0: none */
    uint64_t disk_bad_offset;  /* where it cannot be read; 0: nowhere */
    bool exact;           /* each look at the time-stamp counter is one tick later, nothing else */
    bool protect_objects; /* what core/mm maps read-only is so for core/mm itself, too: slow */
    const void *ramdisk;  /* what RAM disks begin with; its size 0: nothing */
    size_t ramdisk_bytes;
    const char *parameters; /* one word a line; NULL: none */
    const struct sim_file *scenarios;
    size_t scenario_count;
};

/* Builds the machine and what its loader would have left in memory. Once a process. */
const struct boot_info *sim_start(const struct sim_config *config);
/* The same with little memory, and so many CPUs up; without core/mm. */
void sim_start_cpus(unsigned cpu_count);

/* The machine's console writes to stdout, unless it is collected here. */
void sim_console_collect(char *buffer, size_t size_bytes); /* NULL: back to stdout */
/* What was collected since then, terminated, without CR. */
const char *sim_console_text(void);

/* Runs a function on all CPUs that are up, at the same time; from the first CPU. */
void sim_run_on_all(void (*function)(void *argument), void *argument);

/* How often that CPU has halted and has been woken. */
uint64_t sim_halts(unsigned cpu);
/* Does it halt now, with no interrupt on its way? */
bool sim_is_halted(unsigned cpu);

/* Runs a function in a child process and returns the child's exit status: machine_end()'s, 0 when the
 * function returns, 255 when a signal or a sanitizer ended it. What it printed is left in output,
 * terminated. For whatever must panic. The child has one CPU, until it starts others. */
int sim_in_child(void (*function)(void *argument), void *argument, char *output, size_t size_bytes);

/* How an address translates for this CPU now, without any effect on it: by its TLB alone, or by the
 * page tables alone. */
struct sim_translation {
    bool present;
    bool writable;
    bool user;
    bool executable;
    phys_t frame; /* of the 4 KiB piece */
};
struct sim_translation sim_look_up_tlb(uint64_t address);
struct sim_translation sim_look_up_tables(uint64_t address);

/* Is this physical page RAM? */
bool sim_is_ram(phys_t address);

#endif
