/* Errors in scenario files, each with its place. Private to core/script. */
#ifndef CORE_SCRIPT_DIAGNOSTICS_H
#define CORE_SCRIPT_DIAGNOSTICS_H

#include "core/script/script.h"

/* So much of a name or word is repeated in a message. */
#define SHOWN_MAX 40

/* Adds an error at a place in the scenario's source. From the SCRIPT_ERRORS_MAX-th on they are
 * dropped. */
void script_error(struct scenario *scenario, const char *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Line and column (both from 1, columns count characters) of a place in a source. */
void script_place(struct text source, const char *at, unsigned *line, unsigned *column);
/* The line of the source that a place is in, without its end. */
struct text script_line(struct text source, const char *at);

/* The part of a text that messages show. */
struct text script_shown(struct text text);

#endif
