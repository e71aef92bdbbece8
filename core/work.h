/* Work that one CPU gives another: machine_cpu_start() and its like, made of machine_halt() and
 * machine_wake(), for both machines. */
#ifndef CORE_WORK_H
#define CORE_WORK_H

/* What a CPU that is up does for the rest of its life: waits, halted, for work, and does it. */
[[gnu::noreturn]] void work_loop(void);

#endif
