/* What the tests of the scenario language share: loading a scenario, and running one on the simulated
 * machine in a process of its own. */
#ifndef TESTS_HOST_SCRIPT_TESTING_H
#define TESTS_HOST_SCRIPT_TESTING_H

#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/machine.h"
#include "core/mm/mm.h"
#include "core/panic.h"
#include "core/script/runner.h"
#include "core/script/script.h"
#include "machine_sim.h"

#define SCRIPT_ARENA_BYTES (128 * MIB)
#define SCRIPT_TEXT_MAX (SCRIPT_FILE_MAX + 4096)
#define SCRIPT_OUTPUT_MAX (1 << 20)

/* --- loading ------------------------------------------------------------------------------------------ */

/* Loads a text as "t.scn"; the scenario lives until the next call. */
static inline const struct scenario *load_text(const char *text, size_t size)
{
    static struct scenario scenario;
    static char *memory;
    static char *copy;
    struct arena arena;
    if (memory == NULL)
        memory = malloc(SCRIPT_ARENA_BYTES);
    assert_non_null(memory);
    arena_init(&arena, memory, SCRIPT_ARENA_BYTES);
    /* Exactly as large as the text, so that the sanitizer sees who reads beyond it. */
    free(copy);
    copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, text, size);
    result_t result = scenario_load(&scenario, &arena, "t.scn", (struct text){copy, size});
    assert_int_equal(result == OK, scenario.error_count == 0);
    assert_int_equal(result == OK, scenario.script != NULL);
    return &scenario;
}

/* The same for a body: the head is line 1, the body starts at line 2. */
static inline const struct scenario *load_body(const char *body)
{
    static char text[SCRIPT_TEXT_MAX];
    int size = snprintf(text, sizeof(text), "scenario t \"a test\"\n%s", body);
    return load_text(text, (size_t)size);
}

static inline void fail_with_errors(const struct scenario *scenario, const char *body,
                                    const char *wanted)
{
    char text[4096] = "(no error)";
    if (scenario->error_count > 0)
        scenario_format_error(scenario, 0, text, sizeof(text));
    fail_msg("in\n%.500s\nwanted: %s\ngot: %s", body, wanted, text);
}

static inline void expect_valid(const char *body)
{
    const struct scenario *scenario = load_body(body);
    if (scenario->error_count != 0)
        fail_with_errors(scenario, body, "no error");
}

/* The first error is at this place of the body (lines count from 1) and contains the text. */
static inline void expect_error(const char *body, unsigned line, unsigned column,
                                const char *message)
{
    char wanted[512];
    const struct scenario *scenario = load_body(body);
    const struct script_error *error = &scenario->errors[0];
    snprintf(wanted, sizeof(wanted), "t.scn:%u:%u: ...%s...", line + 1, column, message);
    if (scenario->error_count == 0 || error->line != line + 1 || error->column != column ||
        strstr(error->message, message) == NULL)
        fail_with_errors(scenario, body, wanted);
}

/* --- running -------------------------------------------------------------------------------------------- */

struct script_run {
    const char *name;         /* of the scenario; NULL: t */
    const char *text;         /* of the scenario, from its head on */
    const char *parameters;   /* one a line; NULL: none */
    unsigned cpu_count;       /* 0: 1 */
    uint64_t memory_bytes;    /* 0: 128 MiB */
    uint64_t disk_bytes;      /* 0: no disk */
    uint64_t disk_bad_offset; /* where it cannot be read; 0: nowhere */
    bool exact;
    bool leak;  /* a frame is lost before the scenario */
    bool panic; /* the first fault panics */
};

static char script_output[SCRIPT_OUTPUT_MAX];

static inline enum fault_outcome panic_at_fault(uint64_t address, unsigned access)
{
    panic("a test wants a panic at 0x%lx, access %u", (unsigned long)address, access);
}

/* What core/main.c does, without its end. */
static inline void run_in_child(void *argument)
{
    const struct script_run *wanted = argument;
    static struct boot_params params;
    static struct boot_params_error error;
    char file_name[80];
    snprintf(file_name, sizeof(file_name), "%s.scn", wanted->name ? wanted->name : "t");
    const struct sim_file file = {file_name, wanted->text, strlen(wanted->text)};
    const struct sim_config config = {
        .memory_bytes = wanted->memory_bytes != 0 ? wanted->memory_bytes : 128 * MIB,
        .cpu_count = wanted->cpu_count,
        .disk_bytes = wanted->disk_bytes,
        .disk_bad_offset = wanted->disk_bad_offset,
        .exact = wanted->exact,
        .scenarios = &file,
        .scenario_count = 1,
    };
    const struct boot_info *boot = sim_start(&config);
    boot_params_defaults(&params);
    if (wanted->parameters != NULL &&
        boot_params_parse(&params, text_of(wanted->parameters), &error) != OK) {
        fprintf(stderr, "%s\n", error.text);
        abort();
    }
    panic_exit = EXIT_QEMU;
    check_level = 2;
    machine_init_early(boot);
    if (mm_init(boot) != OK || machine_init(boot, mm_machine_services()) != OK)
        abort();
    machine_start_cpus(CPU_MAX);
    if (mm_start() != OK)
        abort();
    if (wanted->leak)
        mm_debug_leak_frame();
    if (wanted->panic)
        machine_fault_handler = panic_at_fault;
    uint64_t size;
    void *memory = mm_harness_memory(&size);
    struct arena arena;
    arena_init(&arena, memory, size);
    machine_end(EXIT_QEMU,
                runner_run(&(struct run_args){.boot = boot, .params = &params, .arena = &arena}));
}

/* Runs it, leaves what it printed in script_output, returns the run's status. */
static inline int run_script(struct script_run wanted)
{
    return sim_in_child(run_in_child, &wanted, script_output, sizeof(script_output));
}

/* The same for a body that stands behind a head. */
static inline int run_body_with(const char *body, const char *parameters, unsigned cpu_count)
{
    static char text[SCRIPT_TEXT_MAX];
    snprintf(text, sizeof(text), "scenario t \"a test\"\n%s", body);
    return run_script(
        (struct script_run){.text = text, .parameters = parameters, .cpu_count = cpu_count});
}

static inline int run_body(const char *body)
{
    return run_body_with(body, NULL, 1);
}

/* Where the report of the only scenario begins: what stands before is the same in all runs. */
static inline const char *said_by_scenario(void)
{
    const char *said = strstr(script_output, "scenario 1 of 1");
    return said != NULL ? said : script_output;
}

static inline void assert_output(const char *text)
{
    if (strstr(script_output, text) == NULL)
        fail_msg("'%s' is not in:\n%s", text, said_by_scenario());
}

static inline void assert_no_output(const char *text)
{
    if (strstr(script_output, text) != NULL)
        fail_msg("'%s' is in:\n%s", text, said_by_scenario());
}

static inline void assert_passes(const char *body)
{
    if (run_body(body) != STATUS_PASSED)
        fail_msg("does not pass:\n%s\n%s", body, said_by_scenario());
    assert_output("passed=1 failed=0 skipped=0 status=0");
}

/* The body fails, and says this. */
static inline void assert_fails(const char *body, const char *text)
{
    if (run_body(body) != STATUS_FAILED)
        fail_msg("does not fail:\n%s\n%s", body, said_by_scenario());
    assert_output("passed=0 failed=1 skipped=0 status=1");
    assert_output(text);
}

#endif
