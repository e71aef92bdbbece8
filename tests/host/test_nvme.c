/* The NVMe driver and the block layer above it, against a simulated device. */
#include "mm_testing.h"

#include <string.h>

#include "core/block.h"
#include "core/mm/frames.h"
#include "nvme_sim.h"

#define TIMEOUT_US 20000
/* So that a test that wants no time-out has none, however slow its machine is. */
#define NO_TIMEOUT_US 3600000000ull
#define PAGES 300

static struct nvme_sim sim;
static struct nvme nvme;
static phys_t pages[PAGES];
static char *console;

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 64 * MIB});
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(frames_take(FRAME_KERNEL, &pages[i]), OK);
    console = malloc(1 << 20);
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    sim_console_collect(console, 1 << 20);
    nvme_sim_init(&sim);
    return 0;
}

static result_t init_with(uint64_t timeout_us)
{
    static void *memory;
    if (memory == NULL)
        memory = mm_machine_services()->device_memory_create(NVME_MEMORY_PAGES);
    struct nvme_bus bus = nvme_sim_bus(&sim);
    assert_int_equal(nvme_register_bytes(&bus), 0x1000 + (16u << sim.stride_shift));
    return nvme_init(&nvme, &bus, memory, timeout_us);
}

static result_t init(void)
{
    return init_with(TIMEOUT_US);
}

static void spoil_pages(void)
{
    for (unsigned i = 0; i < PAGES; i++)
        memset(machine_phys_to_virt(pages[i]), 0x5a, PAGE_SIZE);
}

/* Exactly these bytes were written. */
static void assert_content(uint64_t offset, uint64_t size)
{
    for (uint64_t at = 0; at < PAGES * PAGE_SIZE; at += 8) {
        uint64_t *words = machine_phys_to_virt(pages[at / PAGE_SIZE]);
        uint64_t expected = at < size ? block_pattern(offset + at) : 0x5a5a5a5a5a5a5a5aull;
        if (words[at % PAGE_SIZE / 8] != expected)
            fail_msg("byte %lu of %lu at %lu is wrong", (unsigned long)at, (unsigned long)size,
                     (unsigned long)offset);
    }
}

static void assert_reads(uint64_t offset, uint64_t size)
{
    spoil_pages();
    assert_int_equal(block_read(&nvme.block, offset, size, pages), OK);
    assert_content(offset, size);
}

static void assert_console(const char *text)
{
    if (strstr(sim_console_text(), text) == NULL)
        fail_msg("'%s' is not in:\n%s", text, sim_console_text());
}

static void test_facts(void **state)
{
    (void)state;
    assert_int_equal(init(), OK);
    assert_string_equal(nvme.block.name, "Simulated ?isk");
    assert_int_equal(nvme.block.block_count, 4096);
    assert_int_equal(nvme.block.block_bytes, 512);
    assert_null(nvme.block.ops->write);
    assert_int_equal(block_device_bytes(&nvme.block), 2 * MIB);
}

static void test_reads_of_every_shape(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0,    512,       4096,       4608,
                                     8192, 3 * 4096u, 128 * 4096, PAGES * 4096 - 512};
    for (unsigned shift = 0; shift < 8; shift += 7) {
        nvme_sim_init(&sim);
        sim.transfer_shift = shift == 0 ? 0 : 3;
        sim.stride_shift = shift;
        sim.entries = shift == 0 ? 2 : 1024;
        assert_int_equal(init(), OK);
        for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
            assert_reads(0, sizes[i]);
            assert_reads(512 * 77, sizes[i]);
            assert_reads(2 * MIB - sizes[i], sizes[i]);
        }
        assert_int_equal(sim.pages_max_seen, shift == 0 ? 128 : 8);
    }
}

static void test_blocks_of_4_kib(void **state)
{
    (void)state;
    sim.block_shift = 12;
    sim.block_count = 512;
    assert_int_equal(init(), OK);
    assert_reads(4096 * 5, 4096 * 7);
    assert_int_equal(block_read(&nvme.block, 512, 4096, pages), EINVAL);
}

static void test_bounds(void **state)
{
    (void)state;
    assert_int_equal(init(), OK);
    spoil_pages();
    assert_int_equal(block_read(&nvme.block, 2 * MIB, 512, pages), ERANGE);
    assert_int_equal(block_read(&nvme.block, 2 * MIB - 512, 1024, pages), ERANGE);
    assert_int_equal(block_read(&nvme.block, UINT64_MAX - 511, 1024, pages), ERANGE);
    assert_int_equal(block_read(&nvme.block, 0, 100, pages), EINVAL);
    assert_int_equal(block_write(&nvme.block, 0, 512, pages), ENOTSUP);
    assert_content(0, 0);
    assert_int_equal(sim.reads, 0);
}

/* Queues wrap, phases turn, command ids go round. */
static void test_many_reads(void **state)
{
    (void)state;
    assert_int_equal(init(), OK);
    for (unsigned i = 0; i < 70000; i++) {
        uint64_t offset = i % 4096 * 512;
        assert_int_equal(block_read(&nvme.block, offset, 512, pages), OK);
        assert_int_equal(*(uint64_t *)machine_phys_to_virt(pages[0]), block_pattern(offset));
    }
    assert_int_equal(sim.reads, 70000);
    assert_int_equal(sim.foreign, 0);
}

static void test_error_status(void **state)
{
    (void)state;
    assert_int_equal(init(), OK);
    sim.mood = NVME_ERROR;
    assert_int_equal(block_read(&nvme.block, 4096, 512, pages), EIO);
    assert_console("disk Simulated ?isk: reading 1 blocks at 8: status 0x281");
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(block_read(&nvme.block, 4096, 512, pages), EIO);
    assert_console("further failures are not shown");
    sim.mood = NVME_GOOD;
    assert_reads(4096, 512);
    assert_int_equal(sim.resets, 0);
}

static void test_late_answers(void **state)
{
    (void)state;
    assert_int_equal(init_with(NO_TIMEOUT_US), OK);
    sim.mood = NVME_LATE;
    for (unsigned patience = 0; patience < 10; patience++) {
        sim.patience = patience;
        assert_reads(512 * patience, 4096);
    }
    assert_int_equal(sim.resets, 0);
}

/* A virtual machine may stand still for longer than its disk is given. */
static void test_answers_while_this_cpu_does_not_run(void **state)
{
    (void)state;
    assert_int_equal(init(), OK);
    sim.mood = NVME_LATE;
    sim.patience = 0;
    sim.stall_us = 2 * TIMEOUT_US;
    assert_reads(0, 4096);
    assert_int_equal(sim.resets, 0);
}

static void test_no_answer(void **state)
{
    (void)state;
    assert_int_equal(init(), OK);
    sim.mood = NVME_SILENT;
    uint64_t begin = machine_microseconds();
    assert_int_equal(block_read(&nvme.block, 0, 512, pages), EIO);
    assert_true(machine_microseconds() - begin >= TIMEOUT_US);
    assert_console("no answer in time");
    assert_console("reset; it answers again");
    assert_int_equal(sim.resets, 1);
    sim.mood = NVME_GOOD;
    assert_reads(0, 8192);
}

/* An answer that would have come after the reset must not come: its frames are somebody else's. */
static void test_too_late(void **state)
{
    (void)state;
    assert_int_equal(init(), OK);
    sim.mood = NVME_LATE;
    sim.patience = UINT32_MAX;
    spoil_pages();
    assert_int_equal(block_read(&nvme.block, 0, 512, pages), EIO);
    assert_false(sim.pending);
    assert_content(0, 0);
    sim.mood = NVME_GOOD;
    assert_reads(0, 512);
}

static void assert_gone(const char *why)
{
    assert_int_equal(block_read(&nvme.block, 0, 512, pages), EIO);
    assert_console(why);
    assert_console("it is not used any more");
    assert_int_equal(sim.cut_offs, 1);
    unsigned reads = sim.reads;
    sim.mood = NVME_GOOD; /* too late */
    uint64_t accesses = sim.accesses;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(block_read(&nvme.block, 0, 512, pages), EIO);
    assert_int_equal(sim.accesses, accesses);
    assert_int_equal(sim.reads, reads);
    assert_int_equal(sim.cut_offs, 1);
}

static void test_dead(void **state)
{
    (void)state;
    assert_int_equal(init(), OK);
    sim.mood = NVME_DEAD;
    assert_gone("it does not stop in time");
}

static void test_pulled_out(void **state)
{
    (void)state;
    assert_int_equal(init(), OK);
    assert_reads(0, 512);
    sim.mood = NVME_GONE;
    assert_gone("the device is not there any more");
}

static void test_fatal_error(void **state)
{
    (void)state;
    assert_int_equal(init(), OK);
    sim.mood = NVME_FATAL;
    assert_int_equal(block_read(&nvme.block, 0, 512, pages), EIO);
    assert_console("the device reports a fatal error");
    sim.mood = NVME_GOOD;
    assert_reads(0, 512);
}

static void test_devices_that_cannot_be_used(void **state)
{
    (void)state;
    sim.metadata_bytes = 8;
    assert_int_equal(init(), ENOTSUP);
    assert_console("it has no namespace with blocks of 512 to 4096 bytes");
    nvme_sim_init(&sim);
    sim.block_shift = 13;
    assert_int_equal(init(), ENOTSUP);
    nvme_sim_init(&sim);
    sim.namespace_id = 0;
    assert_int_equal(init(), ENOTSUP);
    nvme_sim_init(&sim);
    sim.block_count = 0;
    assert_int_equal(init(), ENOTSUP);
    assert_int_equal(sim.status, 0);
    nvme_sim_init(&sim);
    sim.command_sets = 0x40;
    assert_int_equal(init(), ENOTSUP);
    nvme_sim_init(&sim);
    sim.mood = NVME_DEAD;
    assert_int_equal(init(), EIO);
    assert_console("it does not start in time");
    assert_int_equal(sim.cut_offs, 1);
}

static void test_nothing_there(void **state)
{
    (void)state;
    static void *memory;
    memory = mm_machine_services()->device_memory_create(NVME_MEMORY_PAGES);
    struct nvme_bus bus = nvme_sim_bus(&sim);
    sim.mood = NVME_GONE;
    assert_int_equal(nvme_init(&nvme, &bus, memory, TIMEOUT_US), EIO);
    assert_console("the device is not there any more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_facts, fresh),
        cmocka_unit_test_setup(test_reads_of_every_shape, fresh),
        cmocka_unit_test_setup(test_blocks_of_4_kib, fresh),
        cmocka_unit_test_setup(test_bounds, fresh),
        cmocka_unit_test_setup(test_many_reads, fresh),
        cmocka_unit_test_setup(test_error_status, fresh),
        cmocka_unit_test_setup(test_late_answers, fresh),
        cmocka_unit_test_setup(test_answers_while_this_cpu_does_not_run, fresh),
        cmocka_unit_test_setup(test_no_answer, fresh),
        cmocka_unit_test_setup(test_too_late, fresh),
        cmocka_unit_test_setup(test_dead, fresh),
        cmocka_unit_test_setup(test_pulled_out, fresh),
        cmocka_unit_test_setup(test_fatal_error, fresh),
        cmocka_unit_test_setup(test_devices_that_cannot_be_used, fresh),
        cmocka_unit_test_setup(test_nothing_there, fresh),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
