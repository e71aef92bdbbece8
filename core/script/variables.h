/* The variables that are always there, and the names behind `$c.` `$d.` `$E.` `$F.`. Private to
 * core/script. */
#ifndef CORE_SCRIPT_VARIABLES_H
#define CORE_SCRIPT_VARIABLES_H

#include "core/script/suggest.h"
#include "core/script/tree.h"

/* `$cpus`, `$free`, ...: of the whole machine. */
bool variable_find_global(struct text name, enum variable_kind *kind);
void variable_suggest_global(struct suggestion *suggestion);

/* What stands behind `S.`, `O.` or `S.R.`: regions, resident, ... ; base, size, ... */
bool variable_find_of_space(struct text attribute, enum variable_kind *kind);
bool variable_find_of_object(struct text attribute, enum variable_kind *kind);
bool variable_find_of_region(struct text attribute, enum variable_kind *kind);
void variable_suggest_of_space(struct suggestion *suggestion);
void variable_suggest_of_object(struct suggestion *suggestion);
void variable_suggest_of_region(struct suggestion *suggestion);

/* A counter by its public name. */
bool counter_find(struct text name, uint32_t *counter);
void counter_suggest(struct suggestion *suggestion);

/* The number that `try` stores for an error or fault: `$E.ENOMEM`, `$F.segv`. */
bool error_find(struct text name, int64_t *number);
bool fault_find(struct text name, int64_t *number);
void error_suggest(struct suggestion *suggestion);
void fault_suggest(struct suggestion *suggestion);

#endif
