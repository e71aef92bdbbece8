/* libFuzzer: any bytes as a row of operations on address spaces, done to the simulated machine and to the
 * model of tests/host/space_model.h; the two must agree. */
#include <stdio.h>
#include <stdlib.h>

#include "core/check.h"
#include "core/machine.h"
#include "core/mm/mm.h"
#include "core/panic.h"
#include "tests/host/machine_sim.h"
#include "tests/host/space_model.h"

#define STEPS_MAX 400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    const uint8_t *next;
    const uint8_t *end;
} input;

/* As many bytes as the bound needs; 0 when there are none left. */
static uint64_t draw_bytes(uint64_t bound)
{
    uint64_t value = 0;
    for (uint64_t reach = 1; reach < bound && input.next < input.end; reach <<= 8)
        value = value << 8 | *input.next++;
    return value % bound;
}

static void differs(const char *text)
{
    fprintf(stderr, "the model differs: %s\n", text);
    abort();
}

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* One machine for all inputs: each leaves it as it was. */
static void start_machine(void)
{
    const struct boot_info *boot = sim_start(&(struct sim_config){.memory_bytes = 128 * MIB});
    panic_exit = EXIT_QEMU;
    machine_init_early(boot);
    require(machine_choose_levels(boot, 0) == NULL);
    require(mm_init(boot) == OK);
    require(machine_init(boot, mm_machine_services()) == OK);
    machine_start_cpus(1);
    require(mm_start() == OK);
    check_level = 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    static const uint64_t bases[] = {GIB - 13 * PAGE_SIZE, 4 * MIB, GIB - 700 * PAGE_SIZE};
    static const uint64_t page_counts[] = {48, 1024, 1500};
    if (!started)
        start_machine();
    started = true;
    input.next = data;
    input.end = data + size;
    uint64_t window = draw_bytes(3);
    space_model_start(&(struct space_model_config){
        .spaces = 3,
        .page_count = page_counts[window],
        .base = bases[window],
        .inject = true,
        .draw = draw_bytes,
        .differs = differs,
    });
    for (unsigned step = 0; input.next < input.end && step < STEPS_MAX; step++)
        space_model_step();
    space_model_compare();
    space_model_end();
    return 0;
}
