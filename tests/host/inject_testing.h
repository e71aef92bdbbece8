/* Failures on purpose: scenes, what must be as before, and the loops that let each operation run out of
 * memory at each of its allocations. */
#ifndef TESTS_HOST_INJECT_TESTING_H
#define TESTS_HOST_INJECT_TESTING_H

#include "mm_testing.h"

#include <string.h>

#include "core/mm/frames.h"

#define BASE (GIB - 3 * PAGE_SIZE) /* two page directories, three tables for 520 pages */

/* What an operation works on; made anew for every failure. */
struct scene {
    struct space *space;
    struct space *other;        /* NULL: none */
    struct space *made;         /* by the operation */
    struct object *object;      /* has a name; NULL: none */
    struct object *made_object; /* by the operation, with a name */
};

struct operation {
    const char *name;
    void (*set_up)(struct scene *scene);
    result_t (*run)(struct scene *scene);
    unsigned failures_min; /* allocations that it must at least have */
    enum {
        ORDINARY,
        HUGE,        /* too large to be read */
        MAKES_PAGES, /* in memory that others show: what was made before the failure stays in it */
    } sort;
};

/* What a program is about; its tests have it as their state before the first one. */
struct operations {
    const struct operation *rows;
    size_t count;
};

#define OPERATIONS(table) (&(struct operations){table, ARRAY_COUNT(table)})

static inline result_t result_of(struct machine_access access)
{
    if (access.end == ACCESS_FAULTED && access.outcome == FAULT_NOMEM)
        return ENOMEM;
    assert_int_equal(access.end, ACCESS_DONE);
    return OK;
}

/* --- scenes ----------------------------------------------------------------------------------------------- */

static inline void set_up_nothing(struct scene *scene)
{
    *scene = (struct scene){0};
}

static inline void set_up_empty(struct scene *scene)
{
    *scene = (struct scene){.space = new_space()};
}

static inline void set_up_untouched(struct scene *scene)
{
    set_up_empty(scene);
    map(scene->space, map_at(BASE, 520, PROT_READ | PROT_WRITE));
}

static inline void set_up_uncommitted(struct scene *scene)
{
    struct map_args args = map_at(BASE, 520, PROT_READ | PROT_WRITE);
    set_up_empty(scene);
    args.commit = false;
    map(scene->space, args);
}

/* Slots are found through three levels of pointers. */
static inline void set_up_huge(struct scene *scene)
{
    struct map_args args = map_at(BASE, TIB / PAGE_SIZE, PROT_READ | PROT_WRITE);
    set_up_empty(scene);
    args.commit = false;
    map(scene->space, args);
}

static inline void set_up_written(struct scene *scene)
{
    set_up_untouched(scene);
    write_pages(scene->space, BASE, 520, 1000);
}

static inline void set_up_forked(struct scene *scene)
{
    set_up_written(scene);
    scene->other = forked(scene->space);
}

/* Pieces of one object with different rights, whose leaves are shared, an untouched region behind. */
static inline void set_up_pieces(struct scene *scene)
{
    set_up_written(scene);
    protect(scene->space, BASE + 100 * PAGE_SIZE, 50, PROT_READ);
    protect(scene->space, BASE + 200 * PAGE_SIZE, 50, PROT_NONE);
    scene->other = forked(scene->space);
    map(scene->space, map_at(BASE + 600 * PAGE_SIZE, 600, PROT_READ | PROT_WRITE));
    write_pages(scene->space, BASE + 516 * PAGE_SIZE, 3, 2000);
    assert_int_equal(read_value(scene->space, BASE + 130 * PAGE_SIZE), 1130);
}

static inline result_t run_map(struct scene *scene, struct map_args args)
{
    virt_t base;
    return space_map(scene->space, &args, &base);
}

/* --- the loop ------------------------------------------------------------------------------------------------ */

/* All that a failure must leave as it was. */
struct snapshot {
    struct figures of_space, of_other;
    uint32_t digest;
    uint64_t structure; /* of both spaces */
    int64_t heap_objects, tables, frames, reserved, used;
};

/* What the digest does not tell: how regions show objects, and who else does. */
static inline uint64_t structure_of(struct space *space)
{
    uint64_t hash = 0;
    for (struct region_node *node = space ? region_tree_first(&space->tree) : NULL; node;
         node = region_tree_next(node)) {
        const struct region *region = region_of_node(node);
        const struct object *object = region->object;
        hash = splitmix64(hash ^ node->base ^ node->end << 1 ^ region->slot_bias << 2);
        hash = splitmix64(hash ^ region->prot ^ (uint64_t)region->usable << 8 ^
                          (uint64_t)region->shared << 16 ^ (uint64_t)region->stack << 17 ^
                          (uintptr_t)object);
        if (object)
            hash = splitmix64(hash ^ object->references ^ object->page_count << 8 ^
                              (uint64_t)object->company << 61);
    }
    return hash;
}

static inline int64_t difference(enum counter up, enum counter down)
{
    return (int64_t)(counter_read(up) - counter_read(down));
}

enum look { LOOK_QUICKLY, LOOK_AT_EVERY_BYTE };

static inline struct snapshot look(const struct operation *operation, const struct scene *scene,
                                   enum look look)
{
    enum with_content with_content = operation->sort == HUGE ? WITHOUT_CONTENT : WITH_CONTENT;
    struct snapshot now;
    memset(&now, 0, sizeof(now)); /* padding is compared, too */
    now.of_space = figures_of(scene->space, with_content);
    now.of_other = figures_of(scene->other, with_content);
    now.structure = structure_of(scene->space) ^ splitmix64(structure_of(scene->other));
    if (look == LOOK_AT_EVERY_BYTE && with_content && scene->space)
        now.digest = space_digest(scene->space);
    if (operation->sort == MAKES_PAGES) {
        now.of_space = (struct figures){now.of_space.content, .regions = now.of_space.regions};
        now.of_other = (struct figures){now.of_other.content, .regions = now.of_other.regions};
        return now;
    }
    now.heap_objects = difference(COUNTER_HEAP_ALLOC, COUNTER_HEAP_FREE);
    now.tables = difference(COUNTER_PT_ALLOC, COUNTER_PT_FREE);
    now.frames = difference(COUNTER_PAGE_ALLOC, COUNTER_PAGE_FREE);
    now.reserved = (int64_t)counter_read(COUNTER_COMMIT_RESERVED);
    now.used = (int64_t)counter_read(COUNTER_COMMIT_USED);
    return now;
}

static inline void print_figures(const char *which, const struct figures *now,
                                 const struct figures *before)
{
    print_message("  %s: content %lx, was %lx; regions %lu, were %lu; resident %lu, were %lu\n",
                  which, (unsigned long)now->content, (unsigned long)before->content,
                  (unsigned long)now->regions, (unsigned long)before->regions,
                  (unsigned long)now->resident, (unsigned long)before->resident);
    print_message("  tables %lu, were %lu; free %lu, were %lu; committed %lu, were %lu\n",
                  (unsigned long)now->tables, (unsigned long)before->tables,
                  (unsigned long)now->free_bytes, (unsigned long)before->free_bytes,
                  (unsigned long)now->committed, (unsigned long)before->committed);
}

static inline void expect_unchanged(const struct operation *operation, uint64_t nth,
                                    const struct snapshot *now, const struct snapshot *before)
{
    if (memcmp(now, before, sizeof(*now)) == 0)
        return;
    print_message("%s, allocation %lu failed:\n", operation->name, (unsigned long)nth);
    print_figures("space", &now->of_space, &before->of_space);
    print_figures("other space", &now->of_other, &before->of_other);
    print_message("  digest %x, was %x; structure %lx, was %lx\n", now->digest, before->digest,
                  (unsigned long)now->structure, (unsigned long)before->structure);
    print_message("  more heap objects: %ld, tables: %ld, frames: %ld, reserved: %ld, used: %ld\n",
                  (long)(now->heap_objects - before->heap_objects),
                  (long)(now->tables - before->tables), (long)(now->frames - before->frames),
                  (long)(now->reserved - before->reserved), (long)(now->used - before->used));
    fail();
}

static inline void tear_down(struct scene *scene)
{
    if (scene->made)
        space_destroy(scene->made);
    if (scene->other)
        space_destroy(scene->other);
    if (scene->space)
        space_destroy(scene->space);
    if (scene->object)
        assert_int_equal(object_drop(scene->object), OK);
    if (scene->made_object)
        assert_int_equal(object_drop(scene->made_object), OK);
}

/* True if the N-th allocation was one of the operation's. */
static inline bool fail_allocation(const struct operation *operation, uint64_t nth)
{
    struct scene scene;
    operation->set_up(&scene);
    enum look carefully = nth <= 2 ? LOOK_AT_EVERY_BYTE : LOOK_QUICKLY;
    struct snapshot before = look(operation, &scene, carefully);
    mm_inject((struct mm_inject){.nth = nth});
    result_t result = operation->run(&scene);
    bool fired = mm_inject_fired();
    mm_inject((struct mm_inject){0});

    if (result != (fired ? ENOMEM : OK))
        fail_msg("%s, allocation %lu %s: %s", operation->name, (unsigned long)nth,
                 fired ? "failed" : "does not exist", result_name(result));
    if (fired) {
        struct snapshot after = look(operation, &scene, carefully);
        expect_unchanged(operation, nth, &after, &before);
        assert_null(scene.made);
        assert_audit();
        assert_int_equal(operation->run(&scene), OK);
    }
    assert_audit();
    tear_down(&scene);
    return fired;
}

static inline void test_every_allocation_fails_once(void **state)
{
    const struct operations *operations = *state;
    uint64_t free_bytes = mm_free_bytes();
    for (size_t i = 0; i < operations->count; i++) {
        const struct operation *operation = &operations->rows[i];
        uint64_t nth = 1;
        while (fail_allocation(operation, nth))
            nth++;
        if (nth <= operation->failures_min)
            fail_msg("%s has only %lu allocations", operation->name, (unsigned long)nth - 1);
        assert_int_equal(mm_free_bytes(), free_bytes);
        assert_int_equal(mm_committed_pages(), 0);
    }
}

/* --- memory that really runs out ------------------------------------------------------------------------------ */

/* Takes all but so many frames; returns how many. */
static inline uint64_t set_aside_all_but(uint64_t left)
{
    uint64_t count = mm_free_bytes() / PAGE_SIZE - left;
    assert_int_equal(frames_promise(count), OK);
    return count;
}

/* True when so few frames were enough. */
static inline bool run_with_frames_left(const struct operation *operation, uint64_t left)
{
    struct scene scene;
    operation->set_up(&scene);
    uint64_t aside = set_aside_all_but(left);
    struct snapshot before = look(operation, &scene, LOOK_QUICKLY);
    result_t result = operation->run(&scene);
    assert_true(result == OK || result == ENOMEM);
    if (result == ENOMEM) {
        struct snapshot after = look(operation, &scene, LOOK_QUICKLY);
        expect_unchanged(operation, left, &after, &before);
    }
    frames_unpromise(aside);
    assert_audit();
    tear_down(&scene);
    return result == OK;
}

/* Runs every operation with no frame left, with one, with two, until it succeeds. */
static inline void test_every_operation_with_few_frames_left(void **state)
{
    const struct operations *operations = *state;
    for (size_t i = 0; i < operations->count; i++) {
        uint64_t left = 0;
        while (!run_with_frames_left(&operations->rows[i], left)) {
            left++;
            assert_true(left < 2000);
        }
    }
    assert_int_equal(mm_committed_pages(), 0);
}

/* For the whole program. */
static inline int start_with_little_memory(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 32 * MIB});
    return 0;
}

#endif
