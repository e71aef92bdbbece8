/* Operations of several CPUs at once. What runs them is runner_parallel.c. */
#include "core/script/run_ops.h"
#include "core/script/runner_internal.h"

const struct op *run_parallel(struct run *run, const struct op *op)
{
    int64_t count;
    if (!run_number(run, &op->operands[0], &count))
        return run_stop(run, op);
    if (count <= 0)
        return run_error_detail(run, op, EINVAL, "a block runs on one CPU at least");
    if (count > run->facts->cpu_count)
        return run_skip(run, op, count);
    run->wanted_cpus = (unsigned)count;
    return run_on_first_cpu(run, op, runner_parallel);
}

/* A barrier that is broken because a CPU failed says nothing: that failure is the one to tell. */
const struct op *run_barrier(struct run *run, const struct op *op)
{
    struct team *team = run->team;
    if (barrier_wait(&team->barrier))
        return op + 1;
    if (__atomic_load_n(&team->failed_cpu, __ATOMIC_ACQUIRE) != CPU_NONE)
        return NULL;
    uint32_t ended = __atomic_load_n(&team->ended_cpu, __ATOMIC_ACQUIRE);
    run->stop = (struct stop){.kind = STOP_BARRIER, .number = (int)ended};
    return run_stop(run, op);
}
