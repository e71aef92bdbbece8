/* The Linux kernel's test format, version 1, as lines: version, plan, comments, results.
 *
 * Source: Documentation/dev-tools/ktap.rst of Linux. Nesting is by two blanks a level. Lines longer
 * than KTAP_LINE_MAX bytes are cut; control characters become blanks.
 * Locking: for one CPU at a time. */
#ifndef CORE_REPORT_KTAP_H
#define CORE_REPORT_KTAP_H

#include "core/text.h"

#define KTAP_LINE_MAX 2048

struct ktap_result {
    unsigned level;
    bool ok;
    size_t number; /* counts from 1 in its level */
    struct text name;
    const char *directive; /* "SKIP", "TIMEOUT", ...; NULL: none */
    const char *reason;    /* behind the directive; NULL: none */
};

/* The version line and the plan. */
void ktap_plan(unsigned level, size_t count);
/* A `#` line for each line of the text. */
void ktap_comment(unsigned level, struct text text);
void ktap_result(const struct ktap_result *result);

#endif
