/* Checks the meaning of a parsed scenario: names become numbers, and what is certain to fail is an
 * error now. Private to core/script.
 *
 * Concepts: one walk over the flat list of commands follows for each name whether it is alive, dead or
 * may be either. Cells are the things that can be alive: cell (thing, 0) is the space or object itself,
 * cell (thing, 1 + region) a region of it. All changes of cells go to a log, so that the two blocks of `if`
 * can be walked from the same state and merged.
 * A name belongs to the scope that makes it first, in the order of the text; there it may be dropped and
 * made again from inner scopes without changing its owner. Inside `parallel` names of outer scopes can
 * only be used (checker_parallel.c). */
#ifndef CORE_SCRIPT_CHECKER_H
#define CORE_SCRIPT_CHECKER_H

#include "core/script/tree.h"

/* A name without a dot that is alive is a space or an object. */
enum life { LIFE_DEAD, LIFE_ALIVE, LIFE_OBJECT, LIFE_MAYBE };

/* What a command wants a name without a dot to be. */
enum thing_kind { KIND_SPACE, KIND_OBJECT, KIND_EITHER };

struct change {
    uint32_t cell;
    uint8_t before;
    uint8_t after; /* filled in for the first block of an `if` with `else` */
};

/* A block whose end has not been reached. */
struct open_block {
    const struct command *opener;
    uint32_t log_start;
    uint32_t else_start; /* of the log, once `else` was reached */
    bool has_else;
    unsigned parallel_depth; /* of the checker, around the block */
};

struct checker {
    struct scenario *scenario;
    struct arena *arena;
    struct script *script;
    uint32_t cell_count;
    uint8_t *lives;  /* enum life of each cell */
    uint8_t *owners; /* 1 + depth of the owning scope of each cell; 0: made nowhere so far */
    uint32_t *seen;  /* number of the last merge that looked at a cell */
    uint32_t merge;
    struct change *log;
    uint32_t log_count;
    uint32_t log_room;
    uint8_t *variable_owners; /* as owners */
    struct open_block blocks[SCRIPT_NESTING_MAX];
    unsigned block_count;
    unsigned depth;          /* of scopes */
    unsigned parallel_depth; /* of the scope of the `parallel` around; 0: none */
    unsigned in_time;        /* blocks of `time` around */
    unsigned
        deferring; /* blocks of `try` and `expect error` around: dead names are left to run time */
    uint32_t name_count; /* of all kinds, against SCRIPT_NAMES_MAX */
    bool out_of_memory;
};

/* Checks the script that the parser has left without errors. Errors are recorded in the scenario.
 * False: out of memory. */
bool checker_run(struct checker *checker, struct scenario *scenario, struct arena *arena,
                 struct script *script);

/* --- between the checker's files ------------------------------------------------------------------- */

/* Gives numbers to all names that the script makes (checker_names.c). False: out of memory. */
bool checker_collect_names(struct checker *checker);
/* Finds the variables of an expression; `param_limit`: only parameters before this one are known. */
void checker_expression(struct checker *checker, struct expression *expression, size_t param_limit);
/* Records an error and returns false when the name of a thing or region that a command uses is
 * unknown, is certainly not alive, or certainly something else. */
bool checker_use_thing(struct checker *checker, enum thing_kind kind,
                       const struct argument *argument);
bool checker_use_region(struct checker *checker, const struct argument *argument);

/* Inside `parallel`: is what belongs to this scope outside of it? `owner`: as in checker->owners. */
static inline bool checker_is_outside(const struct checker *checker, uint8_t owner)
{
    return owner != 0 && owner - 1u < checker->parallel_depth;
}
/* Records an error when the command changes what a name from outside stands for, or cannot stand where
 * it does (checker_parallel.c). */
void checker_parallel(struct checker *checker, const struct command *command);

static inline uint32_t checker_cell(const struct checker *checker, uint32_t thing,
                                    uint32_t region_plus_one)
{
    return thing * (checker->script->region_count + 1) + region_plus_one;
}

/* Slots by name; NO_SLOT: nothing makes it. */
uint32_t checker_find_thing(const struct checker *checker, struct text name);
uint32_t checker_find_region(const struct checker *checker, struct text name);
uint32_t checker_find_variable(const struct checker *checker, struct text name);

#endif
