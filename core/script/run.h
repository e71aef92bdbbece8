/* What the operations share: values, stops, names, ranges, samples. Private to the back half of
 * core/script. */
#ifndef CORE_SCRIPT_RUN_H
#define CORE_SCRIPT_RUN_H

#include "core/script/run_state.h"

/* What the inner of `touch`, `fill` and `verify` does between two looks at the time limit. */
#define CHUNK_BYTES (2 * MIB)
#define CHUNK_PAGES (CHUNK_BYTES / PAGE_SIZE)

/* --- values at run time (run_value.c) -------------------------------------------------------------------- */

/* False: run->stop tells why not. */
bool run_evaluate(struct run *run, const struct code *code, struct value *value);
/* The value of a variable, for evaluation and for messages. */
bool run_read_variable(struct run *run, const struct variable *variable, struct value *value);
bool run_operand_slow(struct run *run, const struct operand *operand, int64_t *number);
/* The index of the word that a CHOICE operand has among its spec's words. */
bool run_choice(struct run *run, const struct operand *operand, unsigned *choice);
bool run_prot(struct run *run, const struct operand *operand, unsigned *prot);

static inline bool run_number(struct run *run, const struct operand *operand, int64_t *number)
{
    if (LIKELY(operand->code == NULL && operand->value.word == WORD_NONE)) {
        *number = operand->value.number;
        return true;
    }
    return run_operand_slow(run, operand, number);
}

/* A number of bytes; what is negative is EINVAL. */
static inline bool run_size(struct run *run, const struct operand *operand, uint64_t *size_bytes)
{
    int64_t number;
    if (!run_number(run, operand, &number))
        return false;
    *size_bytes = (uint64_t)number;
    if (LIKELY(number >= 0))
        return true;
    run->stop = (struct stop){
        .kind = STOP_ERROR, .number = EINVAL, .at = operand->at, .detail = "a size is negative"};
    return false;
}

static inline bool run_value(struct run *run, const struct operand *operand, struct value *value)
{
    *value = operand->value;
    return operand->code == NULL || run_evaluate(run, operand->code, value);
}

/* Sets the variable that the operation sets without being told its name. */
static inline void run_set_result(struct run *run, const struct op *op, uint64_t number)
{
    run->variables[op->slot] = (struct variable_slot){
        .value = {.number = (int64_t)number},
        .owner = op->owner,
    };
}

/* --- stops (run_stop.c) ------------------------------------------------------------------------------------ */

/* Leads on from an operation that has filled run->stop. */
const struct op *run_stop(struct run *run, const struct op *op);
const struct op *run_error(struct run *run, const struct op *op, result_t error);
/* The same with a reason in words. */
const struct op *run_error_detail(struct run *run, const struct op *op, result_t error,
                                  const char *detail);
/* Prints why the program stopped, as diagnostics of the combination under way. */
void run_report_stop(struct run *run);
/* "fork-cow.scn:12:5" of a place in the scenario's source. */
size_t run_format_place(const struct program *program, const char *at, char *buffer, size_t size);
/* Writes a quoted text with its variables' values. */
size_t run_format_string(struct run *run, const struct string_part *parts, char *buffer,
                         size_t size);

/* Details of errors that many operations have. */
#define RUN_NO_SPACE "the space is not alive"
#define RUN_NO_OBJECT "the object is not alive"
#define RUN_NO_REGION "the region is not alive"

/* The combination cannot run on this machine: it wants so many CPUs. */
const struct op *run_skip(struct run *run, const struct op *op, int64_t cpu_count);
/* Lets the first CPU go on with job(run), which leaves run->next. */
const struct op *run_on_first_cpu(struct run *run, const struct op *op,
                                  void (*job)(struct run *run));
/* Leads on with run->stop as it is. Another run's stop may be in it. */
const struct op *run_lead_on(struct run *run, const struct op *op);

/* At the end of a job: goes on where an operation would; NULL: run->next is there already. */
static inline void run_go_on(struct run *run, const struct op *next)
{
    if (next != NULL)
        run->next = next;
}

/* --- names (run_names.c) ------------------------------------------------------------------------------------ */

static inline struct region_cell *run_cell(const struct run *run, uint32_t space, uint32_t region)
{
    return &run->cells[space * run->program->script->region_count + region];
}

static inline void run_make_alive(struct thing *thing, struct list_node *scope)
{
    thing->alive = true;
    list_add_last(scope, &thing->link);
}

static inline void run_make_dead(struct thing *thing)
{
    thing->alive = false;
    if (thing->link.next != NULL)
        list_remove(&thing->link);
}

/* Takes the memory of names and variables. ENOMEM. */
result_t run_names_init(struct run *run, struct arena *arena);
/* Gives a CPU's run the names and variables of the run around its `parallel`. */
void run_names_copy(struct run *run, const struct run *outer);
result_t run_drop_region(struct run *run, struct region_cell *cell);
void run_drop_space(struct run *run, struct thing_slot *slot);
/* The object itself lives on while regions show it. */
void run_drop_object(struct thing_slot *slot);
/* Is the space alive, and the region, if the operation names one? False: run->stop. */
bool run_is_alive(struct run *run, const struct op *op);
/* Unmaps what is left of a region in [base, end), where others may have been mapped since. */
result_t run_unmap_part(const struct run *run, const struct region_cell *cell, uint64_t base,
                        uint64_t end);
/* Has the space a name over this range? Then `drop` must look from here on. */
void run_note_overlap(const struct run *run, struct thing_slot *slot, struct range range);
/* Drops what the scope of a depth owns, in reverse order of making, and forgets its variables. False:
 * run->stop. */
bool run_drop_scope(struct run *run, uint32_t depth);
/* The same for all scopes of `depth` and deeper, innermost first. */
bool run_drop_scopes(struct run *run, uint32_t depth);

/* --- holes of names in spaces that CPUs share (run_holes.c) -------------------------------------------------- */

/* Is there room to note that the range is no name's of this run any more? False: run->stop. */
bool run_hole_reserve(struct run *run, const struct thing_slot *slot, struct range range);
/* From now on the range is no name's that is alive. */
void run_hole_note(const struct run *run, const struct thing_slot *slot, struct range range);
/* Unmaps what is left of the name in [base, end). */
result_t run_unmap_around_holes(const struct run *run, const struct region_cell *cell,
                                uint64_t base, uint64_t end);

/* Operand indices of a RANGE; an operation's own operands follow. */
enum range_operand { RANGE_ADDRESS, RANGE_OFFSET, RANGE_SIZE, RANGE_OPERANDS };

/* A RANGE argument, resolved. */
struct run_range {
    struct space *space;
    struct range range;
    uint64_t offset; /* of its first byte in the name's range */
    uint64_t end;    /* last byte of the name's whole range, inclusive */
};
/* Resolves op->thing, op->region and the range operands. False: run->stop. */
bool run_resolve_range(struct run *run, const struct op *op, struct run_range *range);

/* What an operation has found in its operands. */
struct run_prepared {
    bool ready; /* by `time`, for the next run of the operation */
    struct run_range range;
    unsigned choice; /* rights, advice */
};

static inline bool run_prepare(struct run *run, const struct op *op)
{
    bool ready = op->prepared->ready;
    op->prepared->ready = false;
    return ready || op->prepare(run, op);
}

/* --- samples ----------------------------------------------------------------------------------------------- */

static inline void run_sample(const struct op *op, struct sample_state *sample, uint64_t value)
{
    if (op->loop != NULL && op->loop->warming)
        return;
    metric_add(sample->metric, value, sample->per, machine_cpu()->index);
}

/* Has the time limit passed? Then run->stop says so. */
bool run_is_late(struct run *run);

#endif
