/* Operations that measure: time, count, mark, check, inject, stray, floor, lookup,
 * frames. */
#include "core/mm/mm.h"
#include "core/mm/section.h"
#include "core/script/run_ops.h"

/* --- time -------------------------------------------------------------------------------------------------
 * Between the two stamps of a block around nothing stand only the end of one function, a jump and the
 * start of the other. */

/* All of `time` that may take its time: the limit, per=, and the operands of what comes first in the
 * block. */
const struct op *run_time_prepare(struct run *run, const struct op *op)
{
    int64_t per;
    if (run_is_late(run) || !run_number(run, &op->operands[0], &per))
        return run_stop(run, op);
    if (per <= 0)
        return run_error_detail(run, op, EINVAL, "per= is not positive");
    op->sample->per = (uint64_t)per;
    const struct op *first = op + 2; /* behind run_time_begin() */
    if (first->prepare == NULL)
        return op + 1;
    run->current = first;
    first->prepared->ready = first->prepare(run, first);
    return first->prepared->ready ? op + 1 : run_stop(run, first);
}

/* Goes on by itself, so that no turn of the runner's loop is measured. */
const struct op *run_time_begin(struct run *run, const struct op *op)
{
    const struct op *next = op + 1;
    run->current = next;
    op->sample->start = machine_ticks();
    return next->run(run, next);
}

/* Apart, so that nothing of its preparations stands before the stamp. */
__attribute__((noinline)) static const struct op *record(const struct op *op, ticks_t end)
{
    run_sample(op, op->sample, end - op->sample->start);
    return op + 1;
}

const struct op *run_time_end(struct run *run, const struct op *op)
{
    (void)run;
    return record(op, machine_ticks());
}

/* --- counters ----------------------------------------------------------------------------------------------- */

const struct op *run_count_begin(struct run *run, const struct op *op)
{
    (void)run;
    op->sample->start = counter_read((enum counter)op->slot);
    return op + 1;
}

/* A level may fall; how far it moved is the sample. */
const struct op *run_count_end(struct run *run, const struct op *op)
{
    (void)run;
    int64_t moved = (int64_t)(counter_read((enum counter)op->slot) - op->sample->start);
    run_sample(op, op->sample, moved < 0 ? (uint64_t)-moved : (uint64_t)moved);
    return op + 1;
}

const struct op *run_mark(struct run *run, const struct op *op)
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        run->mark[i] = counter_read((enum counter)i);
    return op + 1;
}

const struct op *run_check(struct run *run, const struct op *op)
{
    struct audit_report report;
    if (mm_audit(&report))
        return op + 1;
    run->stop = (struct stop){.kind = STOP_AUDIT};
    memcpy(run->stop.text, report.text, sizeof(report.text));
    return run_stop(run, op);
}

/* Its count starts with the next command. */
const struct op *run_inject(struct run *run, const struct op *op)
{
    const struct operand *operands = op->operands;
    bool every = operands[INJECT_EVERY].given;
    int64_t number = 0;
    if (op->slot != 0) {
        mm_inject((struct mm_inject){.nth = 0});
        return op + 1;
    }
    if (!run_number(run, &operands[every ? INJECT_EVERY : INJECT_NTH], &number))
        return run_stop(run, op);
    if (number <= 0)
        return run_error_detail(run, op, EINVAL, "allocations are counted from 1");
    mm_inject((struct mm_inject){.nth = (uint64_t)number, .every = every});
    return op + 1;
}

const struct op *run_squeeze(struct run *run, const struct op *op)
{
    int64_t free;
    mm_squeeze_end();
    if (!op->operands[0].given)
        return op + 1;
    if (!run_number(run, &op->operands[0], &free))
        return run_stop(run, op);
    if (free < 0 || mm_squeeze((uint64_t)free) != OK)
        return run_error_detail(run, op, EINVAL, "there is less free memory already");
    return op + 1;
}

const struct op *run_reclaim(struct run *run, const struct op *op)
{
    int64_t pages;
    if (!run_number(run, &op->operands[0], &pages))
        return run_stop(run, op);
    if (pages <= 0)
        return run_error_detail(run, op, EINVAL, "the number of pages is not positive");
    run_set_result(run, op, mm_reclaim((uint64_t)pages));
    return op + 1;
}

const struct op *run_stray(struct run *run, const struct op *op)
{
    enum fault_outcome outcome;
    if (!run_is_alive(run, op))
        return run_stop(run, op);
    result_t result = space_stray_write(op->thing->space, &outcome);
    if (result != OK)
        return run_error_detail(run, op, result, "kernel objects are protected with check=deep");
    if (outcome == FAULT_RESOLVED)
        return op + 1;
    run->stop = (struct stop){.kind = STOP_FAULT, .number = (int)outcome};
    return run_stop(run, op);
}

/* --- floor, lookup, frames ----------------------------------------------------------------------------------------- */

static bool read_count(struct run *run, const struct operand *operand, uint64_t *count)
{
    int64_t number;
    if (!run_number(run, operand, &number))
        return false;
    *count = (uint64_t)number;
    if (number > 0)
        return true;
    run->stop = (struct stop){.kind = STOP_ERROR, .number = EINVAL, .detail = "n= is not positive"};
    return false;
}

const struct op *run_floor(struct run *run, const struct op *op)
{
    static const enum machine_floor kinds[] = {
        FLOOR_GATE,   FLOOR_TRAP,      FLOOR_RING3, FLOOR_PAGE_CLEAR, FLOOR_PAGE_COPY,
        FLOOR_INVLPG, FLOOR_ROOT_LOAD, FLOOR_IPI,   FLOOR_AP_START,
    };
    unsigned what;
    uint64_t left;
    if (!run_choice(run, &op->operands[FLOOR_WHAT], &what) ||
        !read_count(run, &op->operands[FLOOR_N], &left))
        return run_stop(run, op);
    while (left > 0) {
        size_t wanted = left < FLOOR_SAMPLES_MAX ? left : FLOOR_SAMPLES_MAX;
        size_t count = machine_floor(kinds[what], run->floor_samples, wanted, run->floor_pages);
        if (count == 0)
            return run_error_detail(run, op, ENOTSUP, "this machine cannot measure it");
        for (size_t i = 0; i < count; i++)
            run_sample(op, op->sample, run->floor_samples[i]);
        if (kinds[what] == FLOOR_AP_START)
            break; /* taken once, at boot */
        left -= count < left ? count : left;
        if (run_is_late(run))
            return run_stop(run, op);
    }
    return op + 1;
}

const struct op *run_lookup(struct run *run, const struct op *op)
{
    int64_t address;
    uint64_t left;
    if (!run_number(run, &op->operands[LOOKUP_ADDRESS], &address) ||
        !read_count(run, &op->operands[LOOKUP_N], &left))
        return run_stop(run, op);
    struct space *space = op->thing->space;
    if (space == NULL)
        return run_error_detail(run, op, ENOENT, RUN_NO_SPACE);
    const struct region_node *found = NULL;
    space_load(space);
    for (; left > 0; left--) {
        section_enter(machine_cpu());
        ticks_t start = machine_ticks();
        found = space_lookup(space, (uint64_t)address);
        ticks_t end = machine_ticks();
        section_leave(machine_cpu());
        run_sample(op, op->sample, end - start);
        if (left % 1024 == 0 && run_is_late(run))
            return run_stop(run, op);
    }
    run_set_result(run, op, found != NULL);
    return op + 1;
}

const struct op *run_frames(struct run *run, const struct op *op)
{
    const struct operand *operands = op->operands;
    int64_t count;
    int64_t below = 0;
    uint64_t left;
    if (!run_number(run, &operands[FRAMES_COUNT], &count) ||
        (operands[FRAMES_BELOW].given && !run_number(run, &operands[FRAMES_BELOW], &below)) ||
        !read_count(run, &operands[FRAMES_N], &left))
        return run_stop(run, op);
    if (count <= 0 || (operands[FRAMES_BELOW].given && below < (int64_t)PAGE_SIZE))
        return run_error_detail(run, op, EINVAL, "no frames are asked for, or none can be there");
    phys_t limit = phys(page_floor((uint64_t)below));
    for (; left > 0; left--) {
        phys_t first;
        ticks_t start = machine_ticks();
        result_t result = mm_frames_take((uint64_t)count, limit, &first);
        if (LIKELY(result == OK))
            mm_frames_give(first, (uint64_t)count);
        ticks_t end = machine_ticks();
        if (result != OK)
            return run_error(run, op, result);
        run_sample(op, op->sample, end - start);
        if (left % 64 == 0 && run_is_late(run))
            return run_stop(run, op);
    }
    return op + 1;
}
