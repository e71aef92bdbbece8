/* The functions behind operations, for the compiler. Private to the back half of core/script.
 *
 * Every one takes the run and its operation and returns the operation to go on with. What an operation
 * finds in its operands stands with the function's enum. */
#ifndef CORE_SCRIPT_RUN_OPS_H
#define CORE_SCRIPT_RUN_OPS_H

#include "core/script/run.h"

/* --- control (run_control.c) ---------------------------------------------------------------------------- */

const struct op *run_end(struct run *run, const struct op *op);
const struct op *run_limit(struct run *run, const struct op *op);
const struct op *run_jump(struct run *run, const struct op *op); /* to target */
const struct op *run_if(struct run *run, const struct op *op);   /* to target if 0 */

enum repeat_operand { REPEAT_COUNT, REPEAT_WARMUP, REPEAT_OPERANDS };
const struct op *run_repeat_begin(struct run *run, const struct op *op); /* to target: no rounds */
const struct op *run_repeat_next(struct run *run, const struct op *op);  /* to target: next round */
const struct op *run_foreach_begin(struct run *run, const struct op *op);
const struct op *run_foreach_item(struct run *run, const struct op *op);
const struct op *run_foreach_next(struct run *run, const struct op *op); /* to target: next round */
const struct op *run_scope_end(struct run *run, const struct op *op);

const struct op *run_set(struct run *run, const struct op *op);
const struct op *run_random(struct run *run, const struct op *op);
const struct op *run_log(struct run *run, const struct op *op);

const struct op *run_on_begin(struct run *run, const struct op *op);
const struct op *run_on_end(struct run *run, const struct op *op);

const struct op *run_parallel(struct run *run, const struct op *op); /* to target: behind it */
const struct op *run_barrier(struct run *run, const struct op *op);
enum soak_operand { SOAK_OPS, SOAK_CPUS, SOAK_OPERANDS };
const struct op *run_soak(struct run *run, const struct op *op);

const struct op *run_expect(struct run *run, const struct op *op);
const struct op *run_try_end(struct run *run, const struct op *op);
const struct op *run_expect_end(struct run *run, const struct op *op);

/* --- measuring (run_measure.c) ---------------------------------------------------------------------------- */

const struct op *run_time_prepare(struct run *run, const struct op *op);
const struct op *run_time_begin(struct run *run, const struct op *op);
const struct op *run_time_end(struct run *run, const struct op *op);
const struct op *run_count_begin(struct run *run, const struct op *op);
const struct op *run_count_end(struct run *run, const struct op *op);
const struct op *run_mark(struct run *run, const struct op *op);
const struct op *run_check(struct run *run, const struct op *op);

/* slot: 0 `alloc`, 1 `off`. */
enum inject_operand { INJECT_NTH, INJECT_EVERY, INJECT_OPERANDS };
const struct op *run_inject(struct run *run, const struct op *op);
const struct op *run_squeeze(struct run *run, const struct op *op);
const struct op *run_reclaim(struct run *run, const struct op *op);
enum frames_operand { FRAMES_COUNT, FRAMES_BELOW, FRAMES_N, FRAMES_OPERANDS };
const struct op *run_frames(struct run *run, const struct op *op);

const struct op *run_stray(struct run *run, const struct op *op);

enum floor_operand { FLOOR_WHAT, FLOOR_N, FLOOR_OPERANDS };
const struct op *run_floor(struct run *run, const struct op *op);
enum lookup_operand { LOOKUP_ADDRESS, LOOKUP_N, LOOKUP_OPERANDS };
const struct op *run_lookup(struct run *run, const struct op *op);

/* --- memory (run_memory.c) ---------------------------------------------------------------------------------- */

const struct op *run_sync(struct run *run, const struct op *op);
enum space_operand { SPACE_ASLR, SPACE_OPERANDS };
const struct op *run_space(struct run *run, const struct op *op);
enum object_operand {
    OBJECT_SIZE,
    OBJECT_COMMIT,
    OBJECT_PURGEABLE,
    OBJECT_ALIGN,
    OBJECT_BELOW,
    OBJECT_AT,
    OBJECT_BACKING,
    OBJECT_OFFSET,
    OBJECT_OPERANDS
};
const struct op *run_object(struct run *run, const struct op *op);
enum map_operand {
    MAP_SIZE,
    MAP_OFFSET,
    MAP_PROT,
    MAP_SHARE,
    MAP_AT,
    MAP_ALIGN,
    MAP_IF_TAKEN,
    MAP_COMMIT,
    MAP_POPULATE,
    MAP_PAGE,
    MAP_STACK,
    MAP_CACHE,
    MAP_OPERANDS
};
const struct op *run_map(struct run *run, const struct op *op);
bool run_map_prepare(struct run *run, const struct op *op);
/* Evaluates the operands into op->map; run_map_prepare() does so itself unless they are constant. */
bool run_map_evaluate(struct run *run, const struct op *op);
/* The value of at=. False: run->stop. */
bool run_evaluate_at(struct run *run, const struct operand *operand, enum map_at *at,
                     uint64_t *address);
/* The name that the operation makes, if any, is alive and stands for this range. */
void run_bind_region(struct run *run, const struct op *op, struct range range);
const struct op *run_unmap(struct run *run, const struct op *op);
bool run_unmap_prepare(struct run *run, const struct op *op);
enum protect_operand { PROTECT_PROT = RANGE_OPERANDS, PROTECT_OPERANDS };
const struct op *run_protect(struct run *run, const struct op *op);
bool run_protect_prepare(struct run *run, const struct op *op);
const struct op *run_fork(struct run *run, const struct op *op);
const struct op *run_drop_thing(struct run *run, const struct op *op);
const struct op *run_drop_mapping(struct run *run, const struct op *op);

/* --- changes (run_change.c) --------------------------------------------------------------------------------- */

const struct op *run_resize(struct run *run, const struct op *op);
const struct op *run_move(struct run *run, const struct op *op);
bool run_move_prepare(struct run *run, const struct op *op);
enum advise_operand { ADVISE_WHAT = RANGE_OPERANDS, ADVISE_OPERANDS };
const struct op *run_advise(struct run *run, const struct op *op);
bool run_advise_prepare(struct run *run, const struct op *op);
const struct op *run_share(struct run *run, const struct op *op);

enum switch_operand { SWITCH_FACE, SWITCH_OPERANDS };
const struct op *run_switch(struct run *run, const struct op *op);
enum identity_operand { IDENTITY_AT, IDENTITY_SIZE, IDENTITY_OPERANDS };
const struct op *run_identity(struct run *run, const struct op *op);
enum exec_operand { EXEC_TEXT, EXEC_DATA, EXEC_STACK, EXEC_OPERANDS };
const struct op *run_exec(struct run *run, const struct op *op);

/* --- contents and accesses (run_access.c) ------------------------------------------------------------------- */

enum touch_operand {
    TOUCH_WHAT = RANGE_OPERANDS,
    TOUCH_STRIDE,
    TOUCH_ORDER,
    TOUCH_VALUE,
    TOUCH_AS,
    TOUCH_OPERANDS
};
const struct op *run_touch(struct run *run, const struct op *op);
bool run_touch_prepare(struct run *run, const struct op *op);
bool run_touch_evaluate(struct run *run, const struct op *op);
enum fill_operand { FILL_PATTERN = RANGE_OPERANDS, FILL_OPERANDS };
const struct op *run_fill(struct run *run, const struct op *op);
const struct op *run_verify(struct run *run, const struct op *op);

#endif
