/* What a person in front of the machine sees: log lines while it starts, the progress of the run, one
 * line a scenario, a summary at the end; or a panic. The screen (core/screen.h) as a console.
 *
 * Concepts: the same calls work without a screen, and do nothing. Everything shown also goes, in more
 * detail, through core/log.h; the screen shows what fits.
 * Locking: display_log_line() under the console's lock, display_panic_line() without any; the others
 * take it. */
#ifndef CORE_DISPLAY_H
#define CORE_DISPLAY_H

#include "core/screen.h"
#include "core/verdict.h"

/* False when there is no screen. `pixels` is the framebuffer as the core maps it. */
bool display_open(const struct boot_framebuffer *framebuffer, volatile void *pixels);
bool display_is_open(void);
/* What stands in the title beside the name: the machine in a few words. */
void display_facts(const char *format, ...) __attribute__((format(printf, 1, 2)));

void display_log_line(enum screen_ink ink, struct text line);
/* The first one clears the screen. */
void display_panic_line(struct text line);

/* The run, in the order of core/report/report.h. Names and params must live until the run's end. */
void display_run_begin(size_t scenario_count);
void display_scenario_begin(struct text name, size_t combination_count);
void display_combination_begin(struct text params);
void display_diagnostic(struct text line);
/* reason may be NULL. */
void display_scenario_end(enum verdict verdict, const char *reason);
void display_run_end(unsigned status);

/* Somebody else has the screen (what is shown meanwhile is kept, and seen later), or has it no more. */
void display_leave(void);
void display_return(void);

/* What is to happen after the run. */
struct display_ending {
    const char *results; /* where they are, for the summary */
    const char *what;    /* "switch the power off"; NULL: it happens at once */
    unsigned seconds;    /* unless a key is pressed, it happens after so long; 0: never */
};
void display_set_ending(const struct display_ending *ending);
/* Leaves people time to read, as the ending says. Returns at once without a screen. */
void display_wait(void);

#endif
