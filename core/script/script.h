/* The scenario language, seen from outside: check a file, look at its head, pick what to run.
 *
 * Concepts: a script is parsed and checked in full (core/script/{lexer,parser,expression,checker}.c;
 * shared by loader, core and host) into an arena of the caller; the core compiles and runs it
 * (compiler.c, runner.c; need core/mm and core/report). Slices point into the file's text, which must
 * live as long as the script. */
#ifndef CORE_SCRIPT_SCRIPT_H
#define CORE_SCRIPT_SCRIPT_H

#include "core/arena.h"
#include "core/result.h"
#include "core/script/boot_params.h"
#include "core/text.h"

#define SCRIPT_FILE_MAX MIB
#define SCRIPT_COMMANDS_MAX 16384
#define SCRIPT_NESTING_MAX 32
#define SCRIPT_NAME_MAX 63
#define SCRIPT_NAMES_MAX 1024
#define SCRIPT_ERRORS_MAX 8
#define SCRIPT_TAGS_MAX 16
#define SCRIPT_PARAMS_MAX 16
#define SCRIPT_PARAM_VALUES_MAX 64

/* An error with its place: prints as three lines, "file:line:column: error: message", the line of the
 * file, and a caret under the column. */
struct script_error {
    unsigned line;
    unsigned column;
    char message[192];
};

struct script_param {
    struct text name;
    struct text help;
    size_t value_count;
    struct text values[SCRIPT_PARAM_VALUES_MAX]; /* as written: a constant expression or a word */
};

struct script; /* tree of commands; private to core/script */

/* The outside of a scenario, valid or not: name, tags and errors are always filled as far as known. */
struct scenario {
    const char *file_name; /* "fork-cow.scn" */
    struct text source;
    struct text name;        /* from the file's name when the head is broken */
    struct text description; /* may be empty */
    size_t tag_count;
    struct text tags[SCRIPT_TAGS_MAX];
    size_t param_count;
    struct script_param params[SCRIPT_PARAMS_MAX];
    size_t error_count; /* 0: valid */
    struct script_error errors[SCRIPT_ERRORS_MAX];
    const struct script *script; /* NULL when there are errors */
    bool selected;               /* by scenario_select(), then by the menu */
};

/* Parses and checks. Fills *scenario in any case; EINVAL when it has errors (the first of at most
 * SCRIPT_ERRORS_MAX is the most useful one), ENOMEM when the arena is too small. O(size). */
result_t scenario_load(struct scenario *scenario, struct arena *arena, const char *file_name,
                       struct text source);
/* Writes error `index` as its three lines, ended by LF each; returns as fmt_print does. */
size_t scenario_format_error(const struct scenario *scenario, size_t index, char *buffer,
                             size_t size);

/* Sets `selected` from run= and skip= (names, `tag:TAG`, `all`; default all). EINVAL with *error when
 * a name or tag matches nothing (with a suggestion). */
result_t scenario_select(struct scenario *scenarios, size_t count, const struct boot_params *params,
                         struct boot_params_error *error);
/* boot_params_are_ours() for those who know the scenarios: a SCENARIO.PARAM word of one of them (or
 * within two letters of it) counts too. */
bool scenario_words_are_ours(struct text *words, const struct scenario *scenarios, size_t count);
/* Checks SCENARIO.PARAM words against the scenarios; EINVAL with *error. */
result_t boot_params_check_scenarios(const struct boot_params *params,
                                     const struct scenario *scenarios, size_t count,
                                     struct boot_params_error *error);

#endif
