/* What every memory type must do, whichever it is: one row of a table for each type, and the same
 * tests for all. What a type gives is read from its operations; what no operation says stands in the
 * row. */
#include "mm_testing.h"

#include "core/mm/anonymous.h"
#include "core/mm/contiguous.h"
#include "core/mm/file.h"
#include "core/mm/framebuffer.h"
#include "core/mm/physical.h"

#define PAGES 20ull
#define BASE (GIB - 7 * PAGE_SIZE) /* across two page directories */
#define ELSEWHERE (3 * GIB + 5 * PAGE_SIZE)
#define RW (PROT_READ | PROT_WRITE)

enum on_fork { FORK_COPIES, FORK_SHARES };

struct memory_type {
    const char *name;
    struct object *(*make)(void); /* NULL: the region brings its own memory */
    bool unbacked;
    bool shared; /* how it is mapped */
    enum on_fork on_fork;
};

/* --- the types ------------------------------------------------------------------------------------------- */

static struct object *make_anonymous(void)
{
    struct object *object;
    assert_int_equal(anonymous_create(PAGES, COMMIT_ON, &object), OK);
    return object;
}

static struct object *make_contiguous(void)
{
    struct object *object;
    assert_int_equal(contiguous_create(PAGES, PAGE_SIZE, phys(0), &object), OK);
    return object;
}

static struct object *make_physical(void)
{
    struct object *object;
    uint64_t size_bytes;
    phys_t window = physical_window(&size_bytes);
    for (uint64_t i = 0; i < PAGES; i++)
        machine_page_clear(machine_phys_to_virt(phys(window.value + i * PAGE_SIZE)));
    assert_int_equal(physical_create(window, PAGES, &object), OK);
    return object;
}

static struct object *make_page_zero(void)
{
    struct object *object;
    assert_int_equal(physical_create(phys(0), 1, &object), OK);
    return object;
}

static struct object *make_framebuffer(void)
{
    struct object *object;
    assert_int_equal(framebuffer_create(PAGES, &object), OK);
    return object;
}

/* A device full of zeros that forgets what is written. */
static result_t read_zeros(struct block_device *device, uint64_t first, uint64_t count,
                           const phys_t *pages)
{
    (void)device;
    (void)first;
    for (uint64_t i = 0; i < count; i++)
        machine_page_clear(machine_phys_to_virt(pages[i]));
    return OK;
}

static result_t forget(struct block_device *device, uint64_t first, uint64_t count,
                       const phys_t *pages)
{
    (void)device;
    (void)first;
    (void)count;
    (void)pages;
    return OK;
}

static struct object *make_file_on(const struct block_ops *ops)
{
    static struct block_device device;
    struct object *object;
    device = (struct block_device){.ops = ops,
                                   .name = "zeros",
                                   .block_bytes = PAGE_SIZE,
                                   .pages_max = 64,
                                   .block_count = 2 * PAGES};
    assert_int_equal(file_create(&device, PAGES * PAGE_SIZE, PAGES, &object), OK);
    return object;
}

static struct object *make_file(void)
{
    static const struct block_ops ops = {.read = read_zeros, .write = forget};
    return make_file_on(&ops);
}

static struct object *make_read_only_file(void)
{
    static const struct block_ops ops = {.read = read_zeros};
    return make_file_on(&ops);
}

static const struct memory_type types[] = {
    {"anonymous", NULL, false, false, FORK_COPIES},
    {"fresh anonymous, shared", NULL, false, true, FORK_SHARES},
    {"named anonymous, private", make_anonymous, false, false, FORK_COPIES},
    {"named anonymous, shared", make_anonymous, false, true, FORK_SHARES},
    {"contiguous", make_contiguous, false, false, FORK_SHARES},
    {"physical", make_physical, false, false, FORK_SHARES},
    {"page zero", make_page_zero, false, false, FORK_SHARES},
    {"framebuffer", make_framebuffer, false, false, FORK_SHARES},
    {"file, shared", make_file, false, true, FORK_SHARES},
    {"file, private", make_file, false, false, FORK_COPIES},
    {"read-only file, shared", make_read_only_file, false, true, FORK_SHARES},
    {"read-only file, private", make_read_only_file, false, false, FORK_COPIES},
    {"unbacked", NULL, true, false, FORK_COPIES},
};

/* --- a region of a type -------------------------------------------------------------------------------------- */

/* A space with one region, mapped with the most that the type gives of reading and writing. */
struct subject {
    const struct memory_type *type;
    struct object *named; /* NULL: none */
    struct space *space;
    struct object *object; /* what the region shows; NULL: none */
    uint64_t pages;
    unsigned rights; /* that the memory can have */
    unsigned prot;   /* that the region has */
    uint64_t free_bytes;
};

static struct map_args map_args_of(const struct subject *subject)
{
    struct map_args args = map_at(BASE, subject->pages, subject->prot);
    args.object = subject->named;
    args.shared = subject->type->shared;
    args.unbacked = subject->type->unbacked;
    return args;
}

static struct region *region_at(struct space *space, uint64_t address)
{
    return region_of_node(region_tree_find(&space->tree, address));
}

static struct subject set_up(const struct memory_type *type)
{
    struct subject subject = {.type = type, .pages = PAGES, .rights = PROT_READ | PROT_WRITE};
    subject.free_bytes = mm_free_bytes();
    if (type->make) {
        subject.named = type->make();
        object_name(subject.named);
        subject.pages = subject.named->page_count;
        if (type->shared || !subject.named->ops->make_private)
            subject.rights = subject.named->ops->rights;
    }
    subject.prot = subject.rights & RW;
    subject.space = new_space();
    map(subject.space, map_args_of(&subject));
    subject.object = region_at(subject.space, BASE)->object;
    if (subject.object)
        subject.rights = subject.object->ops->rights;
    assert_int_equal(subject.object == NULL, type->unbacked);
    assert_audit();
    return subject;
}

/* Everything is given back, and the machine is as before. */
static void tear_down(struct subject *subject)
{
    assert_audit();
    if (subject->space)
        space_destroy(subject->space);
    if (subject->named) {
        assert_audit();
        assert_int_equal(object_region_count(subject->named), 0);
        assert_int_equal(object_drop(subject->named), OK);
    }
    assert_audit();
    assert_int_equal(mm_committed_pages(), 0);
    assert_int_equal(mm_free_bytes(), subject->free_bytes);
}

static bool is_writable(const struct subject *subject)
{
    return subject->object && (subject->rights & PROT_WRITE) != 0;
}

/* Can there be a middle to be cut out? */
static bool has_middle(const struct subject *subject)
{
    return subject->pages == PAGES;
}

static uint64_t page_at(uint64_t base, uint64_t page)
{
    return base + page * PAGE_SIZE;
}

/* Page i holds first + i from here on, if it can hold anything. */
static void write_all(const struct subject *subject, uint64_t first)
{
    if (is_writable(subject))
        write_pages(subject->space, BASE, subject->pages, first);
}

static void expect_page(const struct subject *subject, struct space *space, uint64_t address,
                        uint64_t value)
{
    if (!subject->object)
        assert_int_equal(refused(space, MACHINE_READ, address), FAULT_SEGV);
    else if (is_writable(subject))
        assert_int_equal(read_value(space, address), value);
    else
        (void)read_value(space, address);
}

static void expect_pages(const struct subject *subject, struct space *space, uint64_t base,
                         uint64_t pages, uint64_t first)
{
    for (uint64_t i = 0; i < pages; i++)
        expect_page(subject, space, page_at(base, i), first + i);
}

static void expect_gone(struct space *space, uint64_t base, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++)
        assert_int_equal(refused(space, MACHINE_READ, page_at(base, i)), FAULT_SEGV);
}

static void for_every_type(void (*test)(struct subject *subject))
{
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        print_message("  %s\n", types[i].name);
        struct subject subject = set_up(&types[i]);
        test(&subject);
        tear_down(&subject);
    }
}

/* --- the tests --------------------------------------------------------------------------------------------- */

static void create(struct subject *subject)
{
    virt_t base;
    assert_int_equal(space_region_count(subject->space), 1);
    assert_int_equal(space_resident_pages(subject->space), 0);
    struct map_args args = map_args_of(subject);
    assert_int_equal(space_map(subject->space, &args, &base), EEXIST);
    args.address = ELSEWHERE;
    args.offset_bytes = PAGE_SIZE;
    assert_int_equal(space_map(subject->space, &args, &base),
                     subject->named && !subject->named->ops->overhangs ? ERANGE : OK);
    args.offset_bytes = 0;
    args.address += GIB;
    args.prot = PROT_READ | PROT_WRITE | PROT_EXEC;
    bool refuses = subject->object && (args.prot & ~subject->rights) != 0;
    assert_int_equal(space_map(subject->space, &args, &base), refuses ? EACCES : OK);
    if (subject->named)
        assert_int_equal(object_drop(subject->named), EBUSY);
}

static void fault(struct subject *subject)
{
    for (uint64_t i = 0; i < subject->pages; i += 2)
        expect_page(subject, subject->space, page_at(BASE, i), 0);
    if (!is_writable(subject))
        assert_int_equal(refused(subject->space, MACHINE_WRITE, BASE),
                         subject->object ? FAULT_PROT : FAULT_SEGV);
    write_all(subject, 100);
    expect_pages(subject, subject->space, BASE, subject->pages, 100);
    assert_int_equal(space_resident_pages(subject->space), subject->object ? subject->pages : 0);
    assert_int_equal(refused(subject->space, MACHINE_EXEC, BASE),
                     subject->object ? FAULT_PROT : FAULT_SEGV);
    expect_gone(subject->space, BASE - PAGE_SIZE, 1);
    expect_gone(subject->space, page_at(BASE, subject->pages), 1);
}

static void populate(struct subject *subject)
{
    struct map_args args = map_args_of(subject);
    args.address = ELSEWHERE;
    args.populate = true;
    map(subject->space, args);
    uint64_t denied = counter_read(COUNTER_FAULT_DENIED);
    uint64_t total = counter_read(COUNTER_FAULT_TOTAL);
    assert_int_equal(space_resident_pages(subject->space), subject->object ? subject->pages : 0);
    if (!subject->object)
        return;
    for (uint64_t i = 0; i < subject->pages; i++) {
        enum machine_access_kind kind = is_writable(subject) ? MACHINE_WRITE : MACHINE_READ;
        assert_int_equal(access_to(subject->space, kind, page_at(ELSEWHERE, i), 5).end,
                         ACCESS_DONE);
    }
    assert_int_equal(counter_read(COUNTER_FAULT_TOTAL), total);
    assert_int_equal(counter_read(COUNTER_FAULT_DENIED), denied);
}

/* Both sides write; who sees what. */
static void fork_then_write(struct subject *subject, struct space *child)
{
    bool shares = subject->type->on_fork == FORK_SHARES;
    expect_pages(subject, child, BASE, subject->pages, 200);
    expect_pages(subject, subject->space, BASE, subject->pages, 200);
    if (!is_writable(subject))
        return;
    write_value(child, page_at(BASE, 1), 1000);
    write_value(subject->space, page_at(BASE, 2), 2000);
    assert_int_equal(read_value(subject->space, page_at(BASE, 1)), shares ? 1000 : 201);
    assert_int_equal(read_value(child, page_at(BASE, 2)), shares ? 2000 : 202);
    assert_int_equal(read_value(child, page_at(BASE, 1)), 1000);
    assert_int_equal(read_value(subject->space, page_at(BASE, 2)), 2000);
}

static void fork_and_end_the_child(struct subject *subject)
{
    write_all(subject, 200);
    struct space *child = forked(subject->space);
    fork_then_write(subject, child);
    assert_audit();
    space_destroy(child);
    assert_audit();
    expect_page(subject, subject->space, page_at(BASE, subject->pages - 1), 199 + subject->pages);
    write_all(subject, 300);
    expect_pages(subject, subject->space, BASE, subject->pages, 300);
}

static void fork_and_end_the_parent(struct subject *subject)
{
    write_all(subject, 200);
    struct space *child = forked(subject->space);
    fork_then_write(subject, child);
    space_destroy(subject->space);
    assert_audit();
    subject->space = child;
    expect_page(subject, child, page_at(BASE, subject->pages - 1), 199 + subject->pages);
    write_all(subject, 300);
    expect_pages(subject, child, BASE, subject->pages, 300);
}

static void split(struct subject *subject)
{
    if (!has_middle(subject))
        return;
    write_all(subject, 400);
    unmap(subject->space, page_at(BASE, 6), 5);
    assert_audit();
    assert_int_equal(space_region_count(subject->space), 2);
    expect_pages(subject, subject->space, BASE, 6, 400);
    expect_gone(subject->space, page_at(BASE, 6), 5);
    expect_pages(subject, subject->space, page_at(BASE, 11), PAGES - 11, 411);
    unmap(subject->space, BASE, 2);
    unmap(subject->space, page_at(BASE, PAGES - 3), 3);
    assert_audit();
    assert_int_equal(space_region_count(subject->space), 2);
    expect_gone(subject->space, BASE, 2);
    expect_pages(subject, subject->space, page_at(BASE, 2), 4, 402);
    expect_pages(subject, subject->space, page_at(BASE, 11), PAGES - 14, 411);
    unmap(subject->space, BASE, PAGES);
    assert_int_equal(space_region_count(subject->space), 0);
    assert_int_equal(space_table_frames(subject->space), 0);
}

static void resize(struct subject *subject)
{
    if (!has_middle(subject))
        return;
    struct range all = pages_at(BASE, PAGES);
    struct range head = pages_at(BASE, 8);
    bool forgets = subject->object && object_is_exclusive(subject->object);
    write_all(subject, 500);
    assert_int_equal(space_resize(subject->space, all, 8 * PAGE_SIZE), OK);
    assert_audit();
    expect_pages(subject, subject->space, BASE, 8, 500);
    expect_gone(subject->space, page_at(BASE, 8), PAGES - 8);

    assert_int_equal(space_resize(subject->space, head, PAGES * PAGE_SIZE), OK);
    assert_audit();
    assert_int_equal(space_region_count(subject->space), 1);
    expect_pages(subject, subject->space, BASE, 8, 500);
    for (uint64_t i = 8; i < PAGES; i++)
        expect_page(subject, subject->space, page_at(BASE, i), forgets ? 0 : 500 + i);
    bool extends = !subject->object || (forgets && subject->object->ops->extend) ||
                   subject->object->ops->overhangs;
    assert_int_equal(space_resize(subject->space, all, (PAGES + 1) * PAGE_SIZE),
                     extends ? OK : ERANGE);

    struct map_args behind = map_at(page_at(BASE, PAGES + 1), 1, PROT_READ);
    map(subject->space, behind);
    struct range grown = pages_at(BASE, PAGES + extends);
    assert_int_equal(space_resize(subject->space, grown, 40 * PAGE_SIZE), ENOMEM);
}

static void protect_all(struct subject *subject)
{
    enum fault_outcome without_right = subject->object ? FAULT_PROT : FAULT_SEGV;
    write_all(subject, 600);
    protect(subject->space, BASE, subject->pages, PROT_READ);
    expect_pages(subject, subject->space, BASE, subject->pages, 600);
    assert_int_equal(refused(subject->space, MACHINE_WRITE, BASE), without_right);
    protect(subject->space, BASE, subject->pages, PROT_NONE);
    assert_audit();
    assert_int_equal(space_resident_pages(subject->space), 0);
    assert_int_equal(refused(subject->space, MACHINE_READ, BASE), without_right);
    protect(subject->space, BASE, subject->pages, subject->prot);
    expect_pages(subject, subject->space, BASE, subject->pages, 600);
    write_all(subject, 700);
    expect_pages(subject, subject->space, BASE, subject->pages, 700);
}

static void protect_beyond_the_memorys_rights(struct subject *subject)
{
    unsigned all = PROT_READ | PROT_WRITE | PROT_EXEC;
    bool refuses = subject->object && (all & ~subject->rights) != 0;
    assert_int_equal(space_protect(subject->space, pages_at(BASE, subject->pages), all),
                     refuses ? EACCES : OK);
    assert_int_equal(region_at(subject->space, BASE)->prot, refuses ? subject->prot : all);
    assert_int_equal(space_region_count(subject->space), 1);
}

static void protect_the_middle(struct subject *subject)
{
    if (!has_middle(subject))
        return;
    write_all(subject, 600);
    protect(subject->space, page_at(BASE, 5), 9, PROT_READ);
    assert_audit();
    assert_int_equal(space_region_count(subject->space), subject->prot == PROT_READ ? 1 : 3);
    expect_pages(subject, subject->space, BASE, PAGES, 600);
    if (is_writable(subject)) {
        assert_int_equal(refused(subject->space, MACHINE_WRITE, page_at(BASE, 13)), FAULT_PROT);
        write_value(subject->space, page_at(BASE, 14), 614);
        write_value(subject->space, page_at(BASE, 4), 604);
    }
    protect(subject->space, page_at(BASE, 5), 9, subject->prot);
    assert_int_equal(space_region_count(subject->space), 1);
    write_all(subject, 700);
    expect_pages(subject, subject->space, BASE, PAGES, 700);
}

static void move_by(struct subject *subject, uint64_t target)
{
    virt_t base;
    struct range source = pages_at(BASE, subject->pages);
    write_all(subject, 800);
    uint64_t resident = space_resident_pages(subject->space);
    assert_int_equal(space_move(subject->space, source, MAP_AT_FIXED, target, &base), OK);
    assert_int_equal(base.value, target);
    assert_audit();
    assert_int_equal(space_resident_pages(subject->space), resident);
    expect_gone(subject->space, BASE, subject->pages);
    expect_pages(subject, subject->space, target, subject->pages, 800);
    struct space *child = forked(subject->space);
    expect_pages(subject, child, target, subject->pages, 800);
    if (is_writable(subject))
        write_value(subject->space, target, 1);
    space_destroy(child);
    expect_pages(subject, subject->space, target + PAGE_SIZE, subject->pages - 1, 801);
}

static void move_and_keep_the_phase(struct subject *subject)
{
    move_by(subject, BASE + 5 * GIB);
}

static void move_and_change_the_phase(struct subject *subject)
{
    move_by(subject, ELSEWHERE);
}

static void advise(struct subject *subject)
{
    struct range all = pages_at(BASE, subject->pages);
    result_t expected = subject->object ? OK : ENOENT;
    bool forgets =
        subject->object && object_is_exclusive(subject->object) && subject->object->ops->forget;
    write_all(subject, 900);
    assert_int_equal(space_advise(subject->space, all, ADVICE_DONTNEED), expected);
    assert_audit();
    assert_int_equal(space_resident_pages(subject->space), 0);
    assert_int_equal(space_advise(subject->space, all, ADVICE_WILLNEED), expected);
    assert_audit();
    assert_int_equal(space_resident_pages(subject->space), subject->object ? subject->pages : 0);
    for (uint64_t i = 0; i < subject->pages; i++)
        expect_page(subject, subject->space, page_at(BASE, i), forgets ? 0 : 900 + i);
    write_all(subject, 950);
    expect_pages(subject, subject->space, BASE, subject->pages, 950);
}

static void share(struct subject *subject)
{
    virt_t base;
    struct space *other = new_space();
    struct map_args args = map_at(ELSEWHERE, 0, PROT_NONE);
    result_t result =
        space_share(other, &args, subject->space, pages_at(BASE, subject->pages), &base);
    assert_int_equal(result, subject->object ? OK : ENOENT);
    if (is_writable(subject)) {
        write_all(subject, 1000);
        expect_pages(subject, other, ELSEWHERE, PAGES, 1000);
        write_pages(other, ELSEWHERE, PAGES, 1100);
        expect_pages(subject, subject->space, BASE, PAGES, 1100);
        struct space *child = forked(subject->space);
        write_pages(child, BASE, PAGES, 1200);
        expect_pages(subject, other, ELSEWHERE, PAGES, 1200);
        assert_audit();
        space_destroy(subject->space);
        subject->space = child;
        expect_pages(subject, other, ELSEWHERE, PAGES, 1200);
    }
    assert_audit();
    space_destroy(other);
}

static void fill_and_verify(struct subject *subject)
{
    struct range all = pages_at(BASE, subject->pages);
    struct mismatch mismatch;
    result_t expected = !subject->object ? ENOENT : is_writable(subject) ? OK : EACCES;
    assert_int_equal(space_fill(subject->space, all, 7, 0), expected);
    assert_audit();
    assert_int_equal(space_resident_pages(subject->space), 0);
    if (expected != OK)
        return;
    assert_int_equal(space_verify(subject->space, all, 7, 0, &mismatch), OK);
    write_value(subject->space, page_at(BASE, 3) + 16, 1);
    assert_int_equal(space_verify(subject->space, all, 7, 0, &mismatch), EFAULT);
    assert_int_equal(mismatch.address, page_at(BASE, 3) + 16);
    assert_int_equal(read_value(subject->space, page_at(BASE, 4)), splitmix64(7 ^ 4 * 512));
}

/* As after an error in the middle of a scenario: all at once, pieces and forks included. */
static void end_in_pieces(struct subject *subject)
{
    write_all(subject, 1300);
    if (has_middle(subject)) {
        protect(subject->space, page_at(BASE, 2), 2, PROT_READ);
        unmap(subject->space, page_at(BASE, 9), 1);
    }
    struct space *child = forked(subject->space);
    struct space *grandchild = forked(child);
    if (is_writable(subject))
        write_value(child, page_at(BASE, 5), 1);
    space_destroy(child);
    assert_audit();
    unmap(grandchild, BASE, PAGES);
    assert_audit();
    space_destroy(grandchild);
}

#define CONFORMANCE(name)                 \
    static void test_##name(void **state) \
    {                                     \
        (void)state;                      \
        for_every_type(name);             \
    }
CONFORMANCE(create)
CONFORMANCE(fault)
CONFORMANCE(populate)
CONFORMANCE(fork_and_end_the_child)
CONFORMANCE(fork_and_end_the_parent)
CONFORMANCE(split)
CONFORMANCE(resize)
CONFORMANCE(protect_all)
CONFORMANCE(protect_beyond_the_memorys_rights)
CONFORMANCE(protect_the_middle)
CONFORMANCE(move_and_keep_the_phase)
CONFORMANCE(move_and_change_the_phase)
CONFORMANCE(advise)
CONFORMANCE(share)
CONFORMANCE(fill_and_verify)
CONFORMANCE(end_in_pieces)

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 64 * MIB});
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_fault),
        cmocka_unit_test(test_populate),
        cmocka_unit_test(test_fork_and_end_the_child),
        cmocka_unit_test(test_fork_and_end_the_parent),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_protect_all),
        cmocka_unit_test(test_protect_beyond_the_memorys_rights),
        cmocka_unit_test(test_protect_the_middle),
        cmocka_unit_test(test_move_and_keep_the_phase),
        cmocka_unit_test(test_move_and_change_the_phase),
        cmocka_unit_test(test_advise),
        cmocka_unit_test(test_share),
        cmocka_unit_test(test_fill_and_verify),
        cmocka_unit_test(test_end_in_pieces),
    };
    return cmocka_run_group_tests_name("conformance", tests, start, NULL);
}
