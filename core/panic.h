/* Programmer errors and unexpected exceptions: print everything that helps to find the cause, end the
 * run with status 2. */
#ifndef CORE_PANIC_H
#define CORE_PANIC_H

#include <stdarg.h>
#include <stdint.h>

/* What a panic says about the work under way; set by the runner, printed if non-NULL. It is called in
 * a broken machine: it must not lock, allocate or fault. It prints through log_panic_line(). */
extern void (*panic_describe_scenario)(void);
/* What a panic says about an address of the kernel that must not be accessed like that; as above. The
 * machine calls it when it is about such an access. */
extern void (*panic_describe_address)(uint64_t address);
/* Ends the report after a panic: `not ok` for the running scenario and the `@pagelab done` line. */
extern void (*panic_finish_report)(void);
/* How a panic ends the run, enum machine_exit; set by core/main.c as `on-exit=` says. */
extern unsigned panic_exit;

[[gnu::noreturn]] void panic_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define panic(...) panic_at(__FILE__, __LINE__, __VA_ARGS__)

/* The watchdog has waited for so long. Names the CPU that does not answer, if this one waits for another. */
[[gnu::noreturn]] void panic_hung(unsigned seconds);

/* The same for an exception: `dump` (may be NULL) is called with `context` to print registers and a
 * backtrace from where it happened, instead of from here. */
[[gnu::noreturn]] void panic_exception(void (*dump)(const void *context), const void *context,
                                       const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
