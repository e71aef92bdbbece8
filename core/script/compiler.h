/* What the files of the compiler share. Private to the back half of core/script. */
#ifndef CORE_SCRIPT_COMPILER_H
#define CORE_SCRIPT_COMPILER_H

#include "core/script/run.h"

/* A block whose end has not been reached. */
struct compile_block {
    const struct command *opener;
    const struct catcher *catcher; /* those around it */
    const struct loop_state *loop;
    struct on_block *on;
    uint32_t begin;       /* index of its first operation */
    uint32_t jump;        /* of `if` with `else`: of the jump over the second block */
    uint32_t first_break; /* of a loop: jumps to its end, chained by op->slot; NO_SLOT ends */
    struct catcher *catches;
    struct sample_state *sample;
    struct loop_state *repeat;
    struct foreach_state *foreach;
};

struct compiler {
    struct program *program;
    struct run *run; /* facts and metrics must be there; inside `parallel` that of the CPU */
    struct arena *arena;
    struct compile_block blocks[SCRIPT_NESTING_MAX];
    unsigned block_count;
    const struct catcher *catcher; /* the innermost around the command at hand */
    const struct loop_state *loop;
    struct on_block *on;
    uint64_t used_depths; /* bit: the scope of this depth has something to drop */
    bool for_cpu;         /* a copy of the block of a `parallel` is being compiled, for this CPU: */
    unsigned cpu;
    uint32_t
        cpu_slot; /* of the variable that is its number; NO_SLOT: none, or the script sets it */
    int64_t wanted_cpus; /* by the largest `parallel` that is sure to be reached */
    bool out_of_memory;
};

/* --- compile_operands.c ------------------------------------------------------------------------------ */

/* Makes room for the words of the scenario. False: out of memory. */
bool compile_words(struct program *program, const struct scenario *scenario, struct arena *arena);
/* The index of a word; a new one if it has none yet. */
uint32_t compile_word(struct program *program, struct text word);
/* Computes an expression that stands outside of commands (needs, limit, a parameter's value). False:
 * it has no value; *why says why. */
bool compile_constant(struct compiler *compiler, const struct expression *expression,
                      struct value *value, const char **why);
/* Has the expression this value in any case? */
bool compile_is_constant(struct compiler *compiler, const struct expression *expression,
                         int64_t *number);
/* False: out of memory. */
bool compile_operand(struct compiler *compiler, const struct expression *expression, const char *at,
                     const struct argument_spec *spec, struct operand *operand);

/* --- compiler.c ---------------------------------------------------------------------------------------- */

/* Compiles program->scenario with program->params; program->words must be there. ENOMEM. */
result_t compile(struct compiler *compiler);
void compile_command(struct compiler *compiler, const struct command *command);
void compile_scope_end(struct compiler *compiler, const struct command *opener);
struct op *compile_emit(struct compiler *compiler,
                        const struct op *(*run)(struct run *run, const struct op *op),
                        const struct command *command);

/* --- compile_parallel.c ---------------------------------------------------------------------------------- */

/* Takes the memory of the CPUs' runs, and finds compiler->wanted_cpus. ENOMEM. */
result_t compile_reserve_cpus(struct compiler *compiler);
/* For how many CPUs the block of a `parallel` is compiled. */
unsigned compile_cpu_count(struct compiler *compiler, const struct command *command);
/* Compiles a `parallel` with all that is in it; returns its end. */
const struct command *compile_parallel(struct compiler *compiler, const struct command *opener);

/* --- compile_commands.c ---------------------------------------------------------------------------------- */

/* A command without a block. */
void compile_simple(struct compiler *compiler, const struct command *command);
/* The arguments with the given meanings, in this order. NULL: out of memory. */
const struct operand *compile_operands(struct compiler *compiler, const struct command *command,
                                       const enum argument_id *ids, size_t count);
/* An operand that was not given is this number. */
void compile_set_default(const struct operand *operands, size_t index, int64_t number);
/* NULL: the command has no metric, or out of memory. */
struct sample_state *compile_sample(struct compiler *compiler, const struct command *command);
void compile_variable(struct compiler *compiler, struct op *op, const struct command *command);
/* The variable that the command sets without being told its name. */
void compile_result(struct compiler *compiler, struct op *op, const struct command *command);
/* What a command works on, and what it makes. */
void compile_thing(struct compiler *compiler, struct op *op, const struct command *command);
void compile_making(struct compiler *compiler, struct op *op, const struct command *command);
bool compile_are_constant(const struct operand *operands, size_t first, size_t count);
void compile_use_scope(struct compiler *compiler, uint32_t depth);
void *compile_allocate(struct compiler *compiler, size_t size);

/* How a command is compiled. */
struct compile_row {
    enum command_id id;
    bool works; /* takes its time: the limit is looked at before */
    void (*compile)(struct compiler *compiler, const struct command *command);
};
/* compile_memory.c */
extern const struct compile_row compile_memory_rows[];
extern const size_t compile_memory_row_count;

#endif
