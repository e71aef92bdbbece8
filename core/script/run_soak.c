/* `soak`: what all CPUs need, the rounds, what it comes to. See run_soak.h. */
#include "core/script/run_soak.h"

#include <stdarg.h>

#include "core/fmt.h"
#include "core/mm/anonymous.h"
#include "core/mm/mm.h"
#include "core/mm/object.h"
#include "core/script/run_ops.h"

bool soak_differs(struct soak_cpu *cpu, const char *format, ...)
{
    uint32_t none = CPU_NONE;
    va_list arguments;
    if (!__atomic_compare_exchange_n(&cpu->soak->failed, &none, cpu->cpu, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED))
        return false;
    va_start(arguments, format);
    fmt_vprint(cpu->text, sizeof(cpu->text), format, arguments);
    va_end(arguments);
    return false;
}

/* --- one CPU ----------------------------------------------------------------------------------------------- */

static bool is_over(const struct soak *soak)
{
    return __atomic_load_n(&soak->failed, __ATOMIC_RELAXED) != CPU_NONE ||
           __atomic_load_n(&soak->is_late, __ATOMIC_RELAXED) != 0;
}

/* Up to SOAK_ROUND operations. */
static void do_round(struct soak_cpu *cpu)
{
    struct soak *soak = cpu->soak;
    for (uint64_t i = 0; i < SOAK_ROUND && cpu->done < cpu->ops && !is_over(soak); i++) {
        if (machine_ticks() >= soak->deadline)
            __atomic_store_n(&soak->is_late, 1, __ATOMIC_RELAXED);
        else if (soak_step(cpu))
            cpu->done++;
    }
}

/* While all others wait. */
static void audit(struct soak_cpu *cpu)
{
    struct soak *soak = cpu->soak;
    soak->audit_failed = !mm_audit(&soak->report);
    if (soak->audit_failed)
        (void)soak_differs(cpu, "the audit");
}

static void work(void *argument)
{
    struct soak_cpu *cpu = argument;
    struct soak *soak = cpu->soak;
    for (uint64_t round = 0; round < soak->rounds; round++) {
        do_round(cpu);
        if (!barrier_wait(&soak->barrier))
            break;
        if (cpu->cpu == 0 && !is_over(soak))
            audit(cpu);
        if (!barrier_wait(&soak->barrier) || is_over(soak))
            break;
    }
    barrier_break(&soak->barrier); /* nobody waits for a CPU that has ended early */
    if (!is_over(soak))
        (void)soak_compare(cpu);
    space_load(NULL);
}

struct soak *run_soak_create(const struct run *run, struct arena *arena)
{
    struct soak *soak = arena_alloc(arena, sizeof(*soak));
    size_t bytes = run->facts->cpu_count * sizeof(*soak->cpus);
    if (soak != NULL)
        soak->cpus = arena_alloc_pages(arena, bytes);
    return soak != NULL && soak->cpus != NULL ? soak : NULL;
}

/* --- all of them --------------------------------------------------------------------------------------------- */

static result_t map_common(struct soak *soak)
{
    const struct map_args args = {
        .size_bytes = SOAK_SLOTS * PAGE_SIZE,
        .prot = PROT_READ | PROT_WRITE,
        .at = MAP_AT_FIXED,
        .address = soak->common,
        .align_bytes = PAGE_SIZE,
        .object = soak->object,
        .shared = true,
    };
    virt_t base;
    return space_map(soak->space, &args, &base);
}

static result_t prepare(struct run *run, struct soak *soak)
{
    uint64_t ops = soak->ops;
    soak->failed = CPU_NONE;
    soak->is_late = 0;
    soak->is_taken = 0;
    soak->audit_failed = false;
    soak->deadline = run->deadline;
    soak->common = soak_lane(soak->cpu_count);
    soak->rounds = (ops / soak->cpu_count + SOAK_ROUND) / SOAK_ROUND;
    barrier_init(&soak->barrier, soak->cpu_count);
    for (unsigned i = 0; i < soak->cpu_count; i++) {
        struct soak_cpu *cpu = &soak->cpus[i];
        uint64_t share = ops / soak->cpu_count + (i < ops % soak->cpu_count);
        *cpu = (struct soak_cpu){.soak = soak, .cpu = i, .ops = share};
        cpu->random.state = splitmix64(run->random.state ^ splitmix64(i + 1));
        cpu->areas[SOAK_OWN] = (struct soak_area){.base = SPACE_USER_LOW, .alone = true};
        cpu->areas[SOAK_CHILD] = (struct soak_area){.base = SPACE_USER_LOW, .alone = true};
        cpu->areas[SOAK_LANE] = (struct soak_area){.base = soak_lane(i)};
    }
    run->random.state = splitmix64(run->random.state);
    if (anonymous_create_named(SOAK_SLOTS, COMMIT_ON, false, &soak->object) != OK)
        return ENOMEM;
    object_name(soak->object);
    result_t result = space_create(&soak->space);
    if (result == OK)
        result = map_common(soak);
    for (unsigned i = 0; i < soak->cpu_count; i++) {
        soak->cpus[i].areas[SOAK_LANE].space = soak->space;
        if (result == OK && !soak_create_own(&soak->cpus[i]))
            result = ENOMEM;
    }
    return result;
}

static void drop(struct soak *soak)
{
    for (unsigned i = 0; i < soak->cpu_count; i++)
        soak_drop(&soak->cpus[i]);
    if (soak->space != NULL)
        space_destroy(soak->space);
    if (soak->object != NULL)
        object_unname(soak->object);
    soak->space = NULL;
    soak->object = NULL;
}

/* Fills run->stop unless all is as it should be. */
static void judge(struct run *run, const struct soak *soak)
{
    if (soak->audit_failed) {
        run->stop = (struct stop){.kind = STOP_AUDIT};
        memcpy(run->stop.text, soak->report.text, sizeof(soak->report.text));
    } else if (soak->failed != CPU_NONE) {
        const struct soak_cpu *cpu = &soak->cpus[soak->failed];
        run->stop = (struct stop){.kind = STOP_SOAK, .number = (int)soak->failed};
        fmt_print(run->stop.text, sizeof(run->stop.text), "operation %lu: %s",
                  (unsigned long)cpu->done + 1, cpu->text);
    } else if (soak->is_late != 0) {
        run->stop = (struct stop){.kind = STOP_TIMEOUT};
    }
}

static void soak_on_first_cpu(struct run *run)
{
    const struct op *op = run->job_op;
    struct soak *soak = op->soak;
    result_t result = prepare(run, soak);
    if (result == OK) {
        for (unsigned i = 1; i < soak->cpu_count; i++)
            machine_cpu_start(i, work, &soak->cpus[i]);
        work(&soak->cpus[0]);
        for (unsigned i = 1; i < soak->cpu_count; i++)
            machine_cpu_finish(i);
        judge(run, soak);
    } else {
        run->stop = (struct stop){.kind = STOP_ERROR, .number = (int)result};
    }
    drop(soak);
    run->job = NULL;
    run_go_on(run, run->stop.kind == STOP_NONE ? op + 1 : run_stop(run, op));
}

const struct op *run_soak(struct run *run, const struct op *op)
{
    int64_t ops;
    int64_t count = run->facts->cpu_count;
    if (!run_number(run, &op->operands[SOAK_OPS], &ops) ||
        (op->operands[SOAK_CPUS].given && !run_number(run, &op->operands[SOAK_CPUS], &count)))
        return run_stop(run, op);
    if (ops <= 0 || count <= 0)
        return run_error_detail(run, op, EINVAL, "there is nothing to do, or nobody");
    if (count > run->facts->cpu_count)
        return run_skip(run, op, count);
    op->soak->cpu_count = (unsigned)count;
    op->soak->ops = (uint64_t)ops;
    return run_on_first_cpu(run, op, soak_on_first_cpu);
}
