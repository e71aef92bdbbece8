/* The only seam between PageLab and what it runs on: a PC (x86_64/) or a simulation (tests/host/).
 *
 * Concepts: nothing here mentions a processor. What must cost nothing (current CPU, time stamps, the
 * format of page-table entries) is inline, in the machine's own "machine_inline.h". The machine never
 * calls core/mm: what it needs of it comes through struct machine_services.
 * Locking: every function may be called with locks held unless it says otherwise. */
#ifndef CORE_MACHINE_H
#define CORE_MACHINE_H

#include "core/cpu.h"
#include "core/fault_outcome.h"
#include "core/result.h"
#include "core/types.h"

/* machine_inline.h gives, as static inlines and constants:
 *
 *   struct cpu *machine_cpu(void)               this CPU's block
 *   ticks_t machine_ticks(void)                 time stamp, serialised on both sides
 *   void machine_pause(void)                    one turn of a spin loop
 *   uint64_t machine_irq_disable(void)          returns what machine_irq_restore() takes
 *   void machine_irq_restore(uint64_t)
 *   void *machine_phys_to_virt(phys_t)          direct map
 *   phys_t machine_virt_to_phys(const void *)   inverse, for direct-map addresses only
 *   void machine_page_clear(void *page)
 *   void machine_page_copy(void *to, const void *from)
 *   void machine_flush_page(virt_t)             this CPU's translation of one page
 *
 *   MACHINE_TABLE_ENTRIES (512), machine_levels (4 or 5; levels count from 1, the level of 4 KiB pages)
 *   MACHINE_KERNEL_LOW       first address of the kernel half
 *   machine_user_high()      end of the user half (a power of two: 1 << 47 or 1 << 56)
 *   machine_is_canonical(uint64_t)
 *
 *   typedef uint64_t entry_t, and on it
 *   entry_t entry_page(phys_t, uint64_t bits, unsigned level)      maps a page of that level
 *   entry_t entry_table(phys_t, uint64_t bits)                     points to a table
 *   bool entry_is_present(entry_t); bool entry_is_page(entry_t, unsigned level)
 *   bool entry_is_table(entry_t)     present, and above level 1 no page; absent entries are 0
 *   entry_t entry_piece(entry_t large, unsigned index)    4 KiB of a 2 MiB page, with its rights, without
 *        ENTRY_SOFTWARE
 *   phys_t entry_phys(entry_t)       of a table or a 4 KiB page
 *   bool entry_is_writable(entry_t), entry_is_executable, entry_is_user, entry_is_global,
 *        entry_is_accessed, entry_is_dirty
 *   entry_t entry_with_write(entry_t), entry_without_write(entry_t)
 *   entry_t entry_suspend(entry_t)   not present for a moment; entry_is_suspended() tells it
 *   entry_t entry_resume(entry_t, phys_t, uint64_t bits)   present again, at another page
 *   bits, or-ed: ENTRY_WRITE, ENTRY_NO_EXEC, ENTRY_USER, ENTRY_GLOBAL,
 *        ENTRY_UNCACHED, ENTRY_WRITE_COMBINING (write-back without either), ENTRY_TABLE_BITS,
 *        ENTRY_SOFTWARE (core/mm's own: the machine does not look at it) */
#include "machine_inline.h"

struct block_device;
struct boot_info;

/* --- services the machine asks of the core ------------------------------------------------------- */

struct identity_range {
    phys_t start;
    uint64_t size_bytes;
};

struct machine_services {
    /* Maps device memory, uncached. Any alignment; NULL when there is no memory. */
    volatile void *(*map_device)(phys_t start, uint64_t size_bytes);
    /* Ends what map_device() has returned. Before other CPUs run: only this one's translations end. */
    void (*unmap_device)(volatile void *mapped);
    /* Maps memory that firmware described (ACPI tables), read-only, for ever; NULL as above. */
    const void *(*map_firmware)(phys_t start, uint64_t size_bytes);
    /* A stack with an unmapped guard page below; returns its top (16-byte aligned), NULL as above. */
    void *(*stack_create)(uint64_t size_bytes);
    /* A root of page tables below 4 GiB with the kernel half and, one to one, writable and executable,
     * the given ranges; for starting CPUs and for calling firmware at the end. PHYS_NONE as above. */
    phys_t (*identity_root_create)(const struct identity_range *ranges, size_t count);
    void (*identity_root_destroy)(phys_t root);
    /* Cleared pages in a row below 4 GiB, for ever, in the direct map; for what a device reads and
     * writes by itself. NULL as above. */
    void *(*device_memory_create)(uint64_t page_count);
};

/* What a page fault calls, with interrupts off, from user and kernel accesses alike. `address` is
 * meaningless with ACCESS_NON_CANONICAL. The core sets it; a pointer, so that a variant with stamps
 * can be put in its place. */
extern enum fault_outcome (*machine_fault_handler)(uint64_t address, unsigned access);

/* --- start and end ---------------------------------------------------------------------------------
 * The order of the calls is core/main.c. */

/* Descriptor tables, CPU features, this CPU's block. No output yet. */
void machine_init_early(const struct boot_info *boot);
/* Opens the console as `serial=` says ("auto", "off", "ttyS0,115200", ...; terminated; it must already
 * have been checked). False when no port was found; then output is only kept in memory. */
bool machine_console_init(const char *serial, const struct boot_info *boot);
/* Before any page table is made: how many levels they will have, 4, 5, or 0 for as many as the loader's.
 * NULL, or, with nothing changed, why this machine cannot and what to do. */
const char *machine_choose_levels(const struct boot_info *boot, unsigned levels);
/* Leaves the loader's page tables for the core's first ones. ENOMEM with a log line. */
result_t machine_load_first_root(phys_t root, const struct machine_services *services);
/* With the core's own tables loaded: interrupt controller, clock, timer. ENOTSUP with a log line when
 * something essential is missing. */
result_t machine_init(const struct boot_info *boot, const struct machine_services *services);
/* Starts further CPUs, `limit` in all; those that do not answer are logged and left out. Afterwards
 * CPU indices 0..machine_cpu_count()-1 are up, each waiting for work. */
void machine_start_cpus(unsigned limit);
unsigned machine_cpu_count(void);
/* CPUs that the machine says it has, up or not. */
unsigned machine_cpu_present(void);

enum machine_exit { EXIT_POWEROFF, EXIT_REBOOT, EXIT_HALT, EXIT_QEMU };
/* Ends the run; status as in output.md. Works from a panic too. */
[[gnu::noreturn]] void machine_end(enum machine_exit how, unsigned status);

/* --- CPUs ----------------------------------------------------------------------------------------- */

/* Gives another CPU function(argument) to run, after what it has been given before, and does not wait
 * for it. Not with locks held. With `cpu` this one: a plain call. */
void machine_cpu_start(unsigned cpu, void (*function)(void *argument), void *argument);
/* Waits, halted, until what this CPU started on the other one has returned. */
void machine_cpu_finish(unsigned cpu);
/* Both, one after the other. */
void machine_cpu_run(unsigned cpu, void (*function)(void *argument), void *argument);
/* Waits for an interrupt, and takes it, whether interrupts are on or off. */
void machine_halt(void);
/* machine_halt() on that CPU returns, now or the next time that it is called there. */
void machine_wake(unsigned cpu);
/* Interrupts that CPU: it calls machine_request_handler(), with interrupts off, as soon as it takes
 * interrupts; and before, where it waits (core/wait.h). What was stored before is seen there. */
void machine_request(unsigned cpu);
/* May be called although nothing is requested. The core sets it, like the fault handler. */
extern void (*machine_request_handler)(void);
/* Stops all other CPUs for good; for panics. Bounded. */
void machine_stop_others(void);
/* Where that CPU was when it was stopped, and the calls that led there, as far as this can be known,
 * through log_panic_line(). */
void machine_describe_other(unsigned cpu);

/* --- address translation of this CPU --------------------------------------------------------------- */

void machine_load_root(phys_t root);
phys_t machine_root(void);
/* Every translation but the global ones. */
void machine_flush_all(void);
/* Off: this CPU's kernel may write what is mapped read-only. On from the start. */
void machine_write_protect(bool on);

struct image_segment {
    uint64_t start; /* linked address, page aligned */
    uint64_t end;
    uint64_t bits; /* ENTRY_WRITE, ENTRY_NO_EXEC */
};
/* The core's image: what to map how. Guard pages are in no segment. */
const struct image_segment *machine_image_segments(size_t *count);
/* Does the CPU take pages of this level (2: 2 MiB, 3: 1 GiB)? */
bool machine_has_page_level(unsigned level);

/* --- accesses from user mode ------------------------------------------------------------------------ */

#define MACHINE_SLOTS 512

enum machine_access_kind { MACHINE_READ, MACHINE_WRITE, MACHINE_EXEC, MACHINE_NOTHING };
enum machine_access_end {
    ACCESS_DONE,
    ACCESS_FAULTED,  /* outcome says how */
    ACCESS_MISMATCH, /* a read did not give `value`; observed holds what it gave */
    ACCESS_CRASHED,  /* the user program ended in another way (divide error, ...) */
};

/* A row of 8-byte accesses. Addresses are start, start + stride, ...; or, when `listed`, what the
 * caller has put into machine_slots()[0..count). With `timed` the latency of access i is left in
 * machine_slots()[i] (time stamps taken around the access alone); MACHINE_NOTHING is for measuring
 * that measurement. timed and listed runs have at most MACHINE_SLOTS accesses. */
struct machine_access {
    enum machine_access_kind kind;
    bool kernel; /* from the kernel's mode instead, honouring write protection */
    bool timed;
    bool listed;
    bool check; /* MACHINE_READ: compare with value */
    uint64_t start;
    int64_t stride_bytes;
    uint64_t count;
    uint64_t value;
    uint64_t stack_pointer; /* of the user program; 0: none */
    /* out */
    enum machine_access_end end;
    enum fault_outcome outcome;
    uint64_t done;    /* accesses completed; a refused one, timed, has its latency at slot `done` */
    uint64_t address; /* of the access that ended the row */
    uint64_t observed;
};

/* Runs the row on this CPU in the space whose root is loaded. Interrupts stay as they are. */
void machine_access(struct machine_access *access);
/* For checks: does an address that no table maps any more still translate, for a user's read on this
 * CPU? Interrupts are off. May be called in the midst of a row and of a fault. */
bool machine_still_translates(virt_t address);
/* The kernel's view of this CPU's sample page. */
uint64_t *machine_slots(void);
/* The user program's page and this CPU's sample page; the core maps them in the harness window at
 * addresses that it passes to machine_access_init() once. */
phys_t machine_user_program(void);
void machine_access_init(uint64_t program_address, uint64_t slots_address_of_cpu0,
                         const phys_t *slot_pages);

/* --- time, randomness, facts ------------------------------------------------------------------------- */

enum machine_floor {
    FLOOR_GATE,
    FLOOR_TRAP,
    FLOOR_RING3,
    FLOOR_PAGE_CLEAR,
    FLOOR_PAGE_COPY,
    FLOOR_INVLPG,
    FLOOR_ROOT_LOAD,
    FLOOR_IPI,
    FLOOR_AP_START,
    FLOOR_COUNT,
};
/* Takes up to `count` samples of what the hardware charges; returns how many there are (AP_START has
 * one per CPU; 0 where the machine cannot). `pages`: two scratch pages, direct map. */
size_t machine_floor(enum machine_floor what, ticks_t *samples, size_t count, void *pages[2]);

/* Ticks per second; 0 before machine_init(). */
uint64_t machine_ticks_per_second(void);
/* Microseconds since the start; does not need a calibrated clock to be monotonic. */
uint64_t machine_microseconds(void);
/* From hardware where there is any. */
uint64_t machine_random_seed(void);
/* `needs feature:NAME`: -1 no feature of that name is known, 0 absent, 1 present. */
int machine_feature(const char *name);
/* Calls emit for each fact for `meta`: cpu_vendor cpu_model tsc_source tsc_invariant hypervisor
 * features microcode topology serial. */
void machine_describe(void (*emit)(void *context, const char *key, const char *value),
                      void *context);
/* A one-shot alarm: unless called again within `seconds` (0: never), this CPU panics as hung. */
void machine_watchdog(unsigned seconds);

/* --- disk ------------------------------------------------------------------------------------------ */

/* The machine's disk, found by machine_init(); read-only. NULL: it has none that PageLab can drive. */
struct block_device *machine_disk(void);

/* --- console and panic -------------------------------------------------------------------------------- */

/* Bytes to the console's devices. Bounded wait; a dead port is given up. Takes no lock. */
void machine_console_write(const char *bytes, size_t size_bytes);
/* Has a key been pressed since the last call: on the console's device or on a keyboard? */
bool machine_key_pressed(void);
/* Registers that tell where this CPU is, and a symbolised backtrace, through log_panic_line(). */
void machine_describe_cpu(void);
void machine_backtrace(void);

#endif
