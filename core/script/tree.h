/* A parsed scenario: what the parser builds, the checker completes and the compiler reads.
 *
 * Concepts: commands stand in one flat list in the order of the text. A command with a block is
 * followed by the block's commands and an END; `if` with `else` by its commands, an ELSE, the other
 * block and an END. Arguments stand in the order of the command's row in the table (commands.h).
 * Places are pointers into the file's text. Names are numbers once the checker has been there. */
#ifndef CORE_SCRIPT_TREE_H
#define CORE_SCRIPT_TREE_H

#include "core/arena.h"
#include "core/script/commands.h"
#include "core/script/script.h"
#include "core/script/term.h"

#define SCRIPT_METRICS_MAX 64
#define SCRIPT_NEEDS_MAX 16

/* A quoted text with variables in it. */
struct string_part {
    struct text text;            /* verbatim, when there is no variable */
    struct expression *variable; /* of one term */
    struct string_part *next;
};

/* --- commands ------------------------------------------------------------------------------------- */

struct list_item {
    struct expression *value;
    struct list_item *next;
};

/* Which fields are in use follows from the type of the argument. */
struct argument {
    bool given;
    const char *at;
    struct text text;              /* as written, without `key=` and braces */
    struct expression *expression; /* NUMBER, CHOICE, PROT; of S@EXPR */
    struct list_item *items;       /* LIST */
    struct string_part *string;    /* STRING */
    struct text thing_name;        /* the S or O of S, O, S.R, S@EXPR */
    struct text region_name;
    uint32_t thing;  /* slots, by the checker; NO_SLOT: no such name */
    uint32_t region; /* NO_SLOT also for the region `_` */
    uint32_t slot;   /* variable, metric, counter, error or fault number */
    uint32_t owner;  /* of what a command makes: depth of the scope at whose end it is dropped */
};

struct command {
    const struct command_spec *spec;
    const char *at;
    struct command *next;
    struct command *opener;     /* of ELSE and END: the command whose block this ends */
    struct argument *arguments; /* spec->argument_count of them */
    uint32_t depth;             /* of the innermost scope around it; 0: the file */
    uint32_t result_slot;       /* of `lookup`: the variable that it sets, as in an argument */
    uint32_t result_owner;
};

/* The argument of a command by its meaning; NULL when it has none of that kind, or it was not given. */
const struct argument *command_argument(const struct command *command, enum argument_id id);

/* --- the whole --------------------------------------------------------------------------------------- */

enum need_kind { NEED_CPUS, NEED_MEMORY, NEED_FRAMEBUFFER, NEED_DISK, NEED_FEATURE };

struct need {
    enum need_kind kind;
    const char *at;
    struct text text; /* the condition as written */
    struct text feature;
    struct expression *amount;
};

enum metric_kind { METRIC_TIME, METRIC_ACCESS, METRIC_CALL, METRIC_SKEW, METRIC_COUNT };

/* How far apart the CPUs of a `parallel` have started; the harness takes it by itself. */
#define SKEW_METRIC "parallel.skew"

struct metric_name {
    struct text name;
    enum metric_kind kind; /* of the command that uses it first; the unit is the same in all */
};

struct param_values {
    struct expression *values[SCRIPT_PARAM_VALUES_MAX];
    uint32_t variable; /* the slot of the variable it is when the script sets it; else NO_SLOT */
    const char *at;
};

struct script {
    const char *file_name;
    struct text source;
    struct command *first;
    uint32_t command_count;
    uint32_t depth_max; /* of scopes */
    struct param_values params[SCRIPT_PARAMS_MAX];
    size_t need_count;
    struct need needs[SCRIPT_NEEDS_MAX];
    struct expression *limit_seconds; /* NULL: the default */
    uint32_t thing_count;
    struct text *thing_names;
    uint32_t region_count;
    struct text *region_names;
    uint32_t variable_count;
    struct text *variable_names;
    uint32_t skew_metric; /* NO_SLOT: there is no `parallel` */
    uint32_t metric_count;
    struct metric_name metrics[SCRIPT_METRICS_MAX];
};

#endif
