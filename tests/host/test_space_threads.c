/* Random operations of several CPUs at once, in one space and on one object, against a plain model.
 *
 * Concepts: every CPU has a window of the shared space for itself, so it knows exactly what its accesses
 * must find there, whatever others do next to it; windows share page tables and, merged, regions. Others read and
 * write there, too, other words of the pages, so that their TLBs know them. Of the shared object a CPU writes the slots that are its own, and others see their values only grow. Each CPU's row of operations
 * follows from PAGELAB_SEED; how the rows meet is up to the host. The simulated TLBs keep what nobody flushes, so
 * that a flush which is missing shows as a wrong value or a wrong outcome. */
#include "mm_testing.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "core/barrier.h"
#include "core/mm/anonymous.h"

#define CPUS 8
#define WINDOW 96ull /* pages of a CPU */
#define BASE (GIB - 100 * PAGE_SIZE)
#define SLOTS 256ull /* of the shared object */
#define RUN_MAX 8ull
#define OWNER_SHIFT 48 /* in values of private memory: the CPU, from 1 on */
#define PHASES 6
#define STEPS 3000 /* of a CPU in a phase */
#define HANG_SECONDS 200

enum kind { NOTHING, PRIVATE, SHARED };

struct page {
    enum kind kind;
    unsigned prot;
    uint64_t value; /* of private memory */
    uint64_t slot;  /* of the shared object */
};

/* What one CPU knows. */
static struct thread {
    struct random random;
    uint64_t step;
    unsigned index;
    struct space *space; /* of its own, in which it uses the shared object only */
    struct page pages[WINDOW];
    uint64_t seen[SLOTS]; /* values of the shared object, at least */
} threads[CPUS];

static struct {
    unsigned cpu_count;
    uint64_t seed;
    struct space *space;
    struct object *object;
    struct barrier barrier;
} test;

#define require(thread, condition, ...)                                             \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "PAGELAB_SEED=%llu, %u CPUs, CPU %u, step %llu: ",      \
                    (unsigned long long)test.seed, test.cpu_count, (thread)->index, \
                    (unsigned long long)(thread)->step);                            \
            fprintf(stderr, __VA_ARGS__);                                           \
            panic("%s", #condition);                                                \
        }                                                                           \
    } while (0)

static uint64_t draw(struct thread *me, uint64_t bound)
{
    return random_below(&me->random, bound);
}

static uint64_t address_of(const struct thread *me, uint64_t page)
{
    return BASE + (me->index * WINDOW + page) * PAGE_SIZE;
}

struct run {
    uint64_t first, count;
};

static struct run draw_run(struct thread *me)
{
    struct run run = {.count = 1 + draw(me, RUN_MAX)};
    run.first = draw(me, WINDOW - run.count + 1);
    return run;
}

static struct range range_of(const struct thread *me, struct run run)
{
    return pages_at(address_of(me, run.first), run.count);
}

static bool all_mapped(const struct thread *me, struct run run)
{
    for (uint64_t i = 0; i < run.count; i++) {
        if (me->pages[run.first + i].kind == NOTHING)
            return false;
    }
    return true;
}

static unsigned draw_prot(struct thread *me)
{
    static const unsigned prots[] = {PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ,
                                     PROT_NONE};
    return prots[draw(me, ARRAY_COUNT(prots))];
}

/* --- accesses ------------------------------------------------------------------------------------------------- */

static uint64_t owned_slot(const struct thread *me, uint64_t slot)
{
    return slot % test.cpu_count == me->index;
}

/* What a slot of the shared object holds was written by its owner, and no later than what it held before. */
static void check_shared(struct thread *me, uint64_t slot, uint64_t found)
{
    bool mine = owned_slot(me, slot);
    require(me, mine ? found == me->seen[slot] : found >= me->seen[slot],
            "slot %llu shows %llx, %llx was seen\n", (unsigned long long)slot,
            (unsigned long long)found, (unsigned long long)me->seen[slot]);
    require(me, found == 0 || found >> 32 == slot, "slot %llu shows %llx\n",
            (unsigned long long)slot, (unsigned long long)found);
    me->seen[slot] = found;
}

static enum fault_outcome expected(const struct page *page, enum machine_access_kind kind)
{
    unsigned needed = kind == MACHINE_WRITE ? PROT_WRITE : PROT_READ;
    if (page->kind == NOTHING)
        return FAULT_SEGV;
    return (page->prot & needed) != 0 ? FAULT_RESOLVED : FAULT_PROT;
}

/* One access to a page of the window, checked by its outcome; true if it was possible. */
static bool access_page(struct thread *me, struct space *space, uint64_t index,
                        struct machine_access *access)
{
    const struct page *page = &me->pages[index];
    access->start = address_of(me, index);
    access->count = 1;
    space_load(space);
    machine_access(access);
    require(me, access->outcome == expected(page, access->kind), "page %llu: outcome %d\n",
            (unsigned long long)index, access->outcome);
    return access->outcome == FAULT_RESOLVED;
}

static void read_page(struct thread *me, struct space *space, uint64_t index)
{
    const struct page *page = &me->pages[index];
    /* One that is sure to differ makes the row report what it found. */
    struct machine_access access = {.kind = MACHINE_READ, .check = true, .value = UINT64_MAX};
    if (!access_page(me, space, index, &access))
        return;
    if (page->kind == SHARED)
        check_shared(me, page->slot, access.observed);
    else
        require(me, access.observed == page->value, "page %llu holds %llx, not %llx\n",
                (unsigned long long)index, (unsigned long long)access.observed,
                (unsigned long long)page->value);
}

static void write_page(struct thread *me, uint64_t index)
{
    struct page *page = &me->pages[index];
    if (page->kind == SHARED && !owned_slot(me, page->slot))
        return;
    uint64_t value = (me->index + 1ull) << OWNER_SHIFT | me->step;
    if (page->kind == SHARED)
        value = page->slot << 32 | me->step;
    struct machine_access access = {.kind = MACHINE_WRITE, .value = value};
    if (!access_page(me, test.space, index, &access))
        return;
    page->value = value;
    if (page->kind == SHARED)
        me->seen[page->slot] = value;
}

/* --- accesses to other CPUs' windows --------------------------------------------------------------------------- */

/* What its owner does with the page meanwhile cannot be known: it may be there or not. But what it shows is
 * its owner's, or the shared object's. */
static void do_peek(struct thread *me)
{
    const struct thread *owner = &threads[draw(me, test.cpu_count)];
    struct machine_access access = {.kind = MACHINE_READ,
                                    .check = true,
                                    .value = UINT64_MAX,
                                    .count = 1,
                                    .start = address_of(owner, draw(me, WINDOW))};
    space_load(test.space);
    machine_access(&access);
    uint64_t found = access.end == ACCESS_MISMATCH ? access.observed : 0;
    require(me, access.outcome <= FAULT_PROT, "peeking: outcome %d\n", access.outcome);
    require(me, found >> 32 < SLOTS || found >> OWNER_SHIFT == owner->index + 1u,
            "a page of CPU %u shows %llx\n", owner->index, (unsigned long long)found);
}

/* Each CPU has a word of its own in every page; nobody reads it, but the page is there for it. */
static void do_poke(struct thread *me)
{
    const struct thread *owner = &threads[draw(me, test.cpu_count)];
    struct machine_access access = {.kind = MACHINE_WRITE,
                                    .value = me->step,
                                    .count = 1,
                                    .start = address_of(owner, draw(me, WINDOW)) +
                                             8 * (me->index + 1ull)};
    space_load(test.space);
    machine_access(&access);
    require(me, access.outcome <= FAULT_PROT, "poking: outcome %d\n", access.outcome);
}

/* --- operations in the shared space ----------------------------------------------------------------------------- */

static void do_access(struct thread *me)
{
    uint64_t index = draw(me, WINDOW);
    if (draw(me, 2) == 0)
        write_page(me, index);
    read_page(me, test.space, index);
}

static void do_map(struct thread *me)
{
    struct run run = draw_run(me);
    enum kind kind = draw(me, 3) == 0 ? SHARED : PRIVATE;
    uint64_t slot = draw(me, SLOTS - RUN_MAX);
    unsigned prot = draw_prot(me);
    struct map_args args = map_at(address_of(me, run.first), run.count, prot);
    args.if_taken = IF_TAKEN_REPLACE;
    args.commit = kind == PRIVATE && draw(me, 2) == 0;
    args.populate = draw(me, 4) == 0;
    if (kind == SHARED) {
        args.object = test.object;
        args.offset_bytes = slot * PAGE_SIZE;
        args.shared = true;
    }
    virt_t base;
    result_t result = space_map(test.space, &args, &base);
    require(me, result == OK && base.value == args.address, "map: %s\n", result_name(result));
    for (uint64_t i = 0; i < run.count; i++)
        me->pages[run.first + i] = (struct page){.kind = kind, .prot = prot, .slot = slot + i};
}

static void do_unmap(struct thread *me)
{
    struct run run = draw_run(me);
    result_t result = space_unmap(test.space, range_of(me, run));
    require(me, result == OK, "unmap: %s\n", result_name(result));
    for (uint64_t i = 0; i < run.count; i++)
        me->pages[run.first + i] = (struct page){0};
}

static void do_protect(struct thread *me)
{
    struct run run = draw_run(me);
    unsigned prot = draw_prot(me);
    bool mapped = all_mapped(me, run);
    result_t result = space_protect(test.space, range_of(me, run), prot);
    require(me, result == (mapped ? OK : ENOENT), "protect: %s\n", result_name(result));
    for (uint64_t i = 0; i < run.count && mapped; i++)
        me->pages[run.first + i].prot = prot;
}

static void do_advise(struct thread *me)
{
    struct run run = draw_run(me);
    bool mapped = all_mapped(me, run);
    enum advice advice = draw(me, 3) == 0 ? ADVICE_WILLNEED : ADVICE_DONTNEED;
    result_t result = space_advise(test.space, range_of(me, run), advice);
    require(me, result == (mapped ? OK : ENOENT), "advise: %s\n", result_name(result));
    for (uint64_t i = 0; i < run.count && mapped && advice == ADVICE_DONTNEED; i++)
        me->pages[run.first + i].value = 0;
}

/* Whatever is in the way goes first. */
static void do_move(struct thread *me)
{
    struct run from = draw_run(me);
    struct run to = {draw(me, WINDOW - from.count + 1), from.count};
    virt_t base;
    if (from.first < to.first + to.count && to.first < from.first + from.count)
        return;
    require(me, space_unmap(test.space, range_of(me, to)) == OK, "unmap for move\n");
    for (uint64_t i = 0; i < to.count; i++)
        me->pages[to.first + i] = (struct page){0};
    result_t result =
        space_move(test.space, range_of(me, from), MAP_AT_FIXED, address_of(me, to.first), &base);
    if (result == EINVAL || result == ENOENT)
        return; /* a region goes on behind it, perhaps with another CPU's; or there is none */
    require(me, result == OK, "move: %s\n", result_name(result));
    for (uint64_t i = 0; i < from.count; i++) {
        me->pages[to.first + i] = me->pages[from.first + i];
        me->pages[from.first + i] = (struct page){0};
    }
}

static void read_window(struct thread *me, struct space *space)
{
    for (uint64_t i = 0; i < WINDOW; i++)
        read_page(me, space, i);
}

/* All windows are copied; nobody changes this CPU's meanwhile. */
static void do_fork(struct thread *me)
{
    struct space *child;
    result_t result = space_fork(test.space, &child);
    require(me, result == OK, "fork: %s\n", result_name(result));
    if (draw(me, 4) == 0)
        read_window(me, child);
    for (uint64_t writes = draw(me, 20); writes-- > 0;)
        write_page(me, draw(me, WINDOW)); /* the parent's */
    space_load(test.space);
    space_destroy(child);
}

static void do_count(struct thread *me)
{
    struct run whole = {0, WINDOW};
    uint64_t resident = space_resident_pages_in(test.space, range_of(me, whole));
    require(me, resident <= WINDOW, "%llu pages resident\n", (unsigned long long)resident);
}

/* In a space of its own: the object's regions come and go while others fault on it. */
static void do_use_object_elsewhere(struct thread *me)
{
    struct map_args args = map_at(4 * GIB, SLOTS, PROT_READ);
    args.object = test.object;
    args.commit = false;
    args.shared = true;
    virt_t base;
    result_t result = space_map(me->space, &args, &base);
    require(me, result == OK, "map elsewhere: %s\n", result_name(result));
    space_load(me->space);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t slot = draw(me, SLOTS);
        struct machine_access access = {.kind = MACHINE_READ,
                                        .check = true,
                                        .value = UINT64_MAX,
                                        .count = 1,
                                        .start = args.address + slot * PAGE_SIZE};
        machine_access(&access);
        require(me, access.end == ACCESS_MISMATCH, "reading elsewhere: end %d\n", access.end);
        check_shared(me, slot, access.observed);
    }
    result = space_unmap(me->space, pages_at(args.address, SLOTS));
    require(me, result == OK, "unmap elsewhere: %s\n", result_name(result));
    space_load(test.space);
}

static void do_step(struct thread *me)
{
    me->step++;
    uint64_t which = draw(me, 100);
    if (which < 30)
        do_access(me);
    else if (which < 45)
        do_peek(me);
    else if (which < 60)
        do_poke(me);
    else if (which < 72)
        do_map(me);
    else if (which < 78)
        do_unmap(me);
    else if (which < 85)
        do_protect(me);
    else if (which < 90)
        do_advise(me);
    else if (which < 94)
        do_move(me);
    else if (which < 96)
        do_fork(me);
    else if (which < 97)
        do_count(me);
    else
        do_use_object_elsewhere(me);
}

/* --- all at once ------------------------------------------------------------------------------------------------- */

static void audit(const struct thread *me)
{
    struct audit_report report;
    require(me, mm_audit(&report), "audit: %s\n", report.text);
}

/* In the midst of an operation, when entries have changed and TLBs have not, or of a fault, when a page has its
 * content and the object does not have the page: others get their chance. */
static void let_others_in(void)
{
    static _Thread_local unsigned calls;
    if (++calls % 4 == 0)
        sched_yield();
}

static void let_others_in_after_copy(const void *from)
{
    (void)from;
    let_others_in();
}

static void work(void *argument)
{
    struct thread *me = &threads[machine_cpu()->index];
    (void)argument;
    for (unsigned phase = 0; phase < PHASES * test_rounds(); phase++) {
        space_load(test.space);
        ASSERT(barrier_wait(&test.barrier));
        for (unsigned i = 0; i < STEPS; i++)
            do_step(me);
        read_window(me, test.space);
        ASSERT(barrier_wait(&test.barrier));
        if (me->index == 0)
            audit(me);
        ASSERT(barrier_wait(&test.barrier));
    }
    space_load(NULL);
}

static void run(unsigned cpu_count)
{
    uint64_t free_bytes = mm_free_bytes();
    test.cpu_count = cpu_count;
    test.space = new_space();
    assert_int_equal(anonymous_create(SLOTS, COMMIT_OFF, &test.object), OK);
    barrier_init(&test.barrier, cpu_count);
    for (unsigned i = 0; i < cpu_count; i++)
        threads[i] = (struct thread){.random = {splitmix64(test.seed ^ cpu_count << 8 ^ i)},
                                     .index = i,
                                     .space = new_space()};
    sim_before_flush = let_others_in;
    sim_after_page_clear = let_others_in;
    sim_after_page_copy = let_others_in_after_copy;
    for (unsigned cpu = 1; cpu < cpu_count; cpu++)
        machine_cpu_start(cpu, work, NULL);
    machine_watchdog(HANG_SECONDS);
    work(NULL);
    for (unsigned cpu = 1; cpu < cpu_count; cpu++)
        machine_cpu_finish(cpu);
    machine_watchdog(0);
    sim_before_flush = NULL;
    sim_after_page_clear = NULL;
    sim_after_page_copy = NULL;

    for (unsigned i = 0; i < cpu_count; i++)
        space_destroy(threads[i].space);
    space_destroy(test.space);
    object_put(test.object);
    assert_audit();
    assert_int_equal(mm_free_bytes(), free_bytes);
}

/* A model whose CPUs do not meet would prove nothing. */
static void require_meetings(void)
{
    static const enum counter counters[] = {
        COUNTER_FAULT_ANON,     COUNTER_FAULT_COW_COPY, COUNTER_FAULT_COW_REUSE,
        COUNTER_FAULT_RESIDENT, COUNTER_TLB_SHOOTDOWN,  COUNTER_TLB_IPI,
        COUNTER_LOCK_CONTENDED,
    };
    for (size_t i = 0; i < ARRAY_COUNT(counters); i++) {
        uint64_t count = counter_read(counters[i]);
        print_message("%s %lu\n", counter_name(counters[i]), (unsigned long)count);
        assert_true(count >= 500);
    }
}

static void test_cpus_in_one_space_against_a_model(void **state)
{
    (void)state;
    test.seed = test_seed();
    for (unsigned cpu_count = 2; cpu_count <= CPUS; cpu_count += cpu_count < 4 ? 1 : 2)
        run(cpu_count);
    require_meetings();
}

/* --- two writes to one page --------------------------------------------------------------------------------- */

#define PATIENCE_MS 300

static struct {
    struct space *space;
    bool asked;
    bool done; /* atomic */
} second;

static void write_second(void *argument)
{
    (void)argument;
    write_value(second.space, GIB + 8, 2);
    __atomic_store_n(&second.done, true, __ATOMIC_RELEASE);
    space_load(NULL);
}

/* The first write has its copy. The second one can end only where nothing makes it wait. */
static void write_meanwhile(const void *from)
{
    (void)from;
    if (second.asked)
        return;
    second.asked = true;
    machine_cpu_start(1, write_second, NULL);
    for (unsigned ms = 0; ms < PATIENCE_MS && !__atomic_load_n(&second.done, __ATOMIC_ACQUIRE);
         ms++)
        usleep(1000);
}

/* own_leaf: the page's leaf has been copied before, for another page of it. */
static void two_writes(bool own_leaf)
{
    second.space = new_space();
    second.asked = second.done = false;
    map(second.space, map_at(GIB, 2, PROT_READ | PROT_WRITE));
    write_value(second.space, GIB, 7);
    write_value(second.space, GIB + PAGE_SIZE, 7);
    struct space *child = forked(second.space);
    if (own_leaf)
        write_value(second.space, GIB + PAGE_SIZE, 8);
    sim_after_page_copy = write_meanwhile;
    write_value(second.space, GIB, 1);
    machine_cpu_finish(1);
    sim_after_page_copy = NULL;
    assert_true(second.done);
    assert_int_equal(read_value(second.space, GIB), 1);
    assert_int_equal(read_value(second.space, GIB + 8), 2);
    assert_int_equal(read_value(child, GIB), 7);
    assert_int_equal(read_value(child, GIB + 8), 0);
    assert_audit();
    space_destroy(child);
    space_destroy(second.space);
}

static void test_two_first_writes_after_a_fork(void **state)
{
    (void)state;
    two_writes(false);
    two_writes(true);
}

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 256 * MIB, .cpu_count = CPUS});
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpus_in_one_space_against_a_model),
        cmocka_unit_test(test_two_first_writes_after_a_fork),
    };
    return cmocka_run_group_tests_name("space_threads", tests, start, NULL);
}
