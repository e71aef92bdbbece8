/* Who waits for whom: what a panic says about all CPUs.
 *
 * Locking: none; it looks at what others own. Right when they have been stopped, else as good as a look
 * in passing can be. */
#ifndef CORE_BLAME_H
#define CORE_BLAME_H

#include <stdbool.h>

/* Which CPU has not answered that one's request; CPU_MAX: none. Set by whoever sends requests. */
extern unsigned (*blame_unanswering)(unsigned cpu);

/* The CPU at the end of the row that begins with this one, in which each waits for the next; this one
 * itself if it waits for none, or if the row is a circle. */
unsigned blame_find(unsigned cpu);
/* What that CPU waits for and, from check level 1 on, which locks it holds, through log_panic_line().
 * False: it is idle, and nothing was printed. */
bool blame_describe(unsigned cpu);

#endif
