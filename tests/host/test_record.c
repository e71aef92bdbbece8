/* The text of a run in memory: what is read back, and what a damaged memory is taken for. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/record.h"
#include "machine_sim.h"

#define SIZE (4 * PAGE_SIZE)
#define ROOM (SIZE - PAGE_SIZE)

static char *memory;

static int make(void **state)
{
    (void)state;
    memory = malloc(SIZE);
    memset(memory, 0xee, SIZE);
    record_format(memory, SIZE);
    record_open(memory);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

static void append(const char *text)
{
    record_append(text, strlen(text));
}

static enum record_state read_it(struct record_head *head, struct text *text)
{
    return record_read(memory, SIZE, head, text);
}

static void assert_text(const char *wanted)
{
    struct record_head head;
    struct text text;
    assert_int_equal(read_it(&head, &text), RECORD_GOOD);
    assert_int_equal(text.size, strlen(wanted));
    assert_memory_equal(text.data, wanted, text.size);
}

static void test_reads_what_was_written(void **state)
{
    (void)state;
    assert_text("");
    append("one\r\n");
    append("");
    append("\r\n");
    append("two\r\nthree");
    assert_text("one\n\ntwo\nthree");
    struct record_head head;
    struct text text;
    assert_int_equal(read_it(&head, &text), RECORD_GOOD);
    assert_int_equal(head.status, RECORD_NO_STATUS);
    record_end(2);
    assert_int_equal(read_it(&head, &text), RECORD_GOOD);
    assert_int_equal(head.status, 2);
}

/* The core opens what the loader formatted; what was there stays. */
static void test_goes_on_where_it_was(void **state)
{
    (void)state;
    append("first\n");
    record_open(memory);
    append("second\n");
    assert_text("first\nsecond\n");
}

static void test_says_how_much_is_lost(void **state)
{
    (void)state;
    char line[1000];
    memset(line, 'x', sizeof(line));
    for (unsigned i = 0; i < 20; i++)
        record_append(line, sizeof(line));
    append("y");
    struct record_head head;
    struct text text;
    assert_int_equal(read_it(&head, &text), RECORD_GOOD);
    assert_int_equal(text.size, ROOM);
    assert_int_equal(head.lost_bytes, 20 * sizeof(line) + 1 - ROOM);
    assert_null(memchr(text.data, 'y', text.size));
}

static void test_erased_is_none(void **state)
{
    (void)state;
    struct record_head head;
    struct text text;
    append("text\n");
    record_erase(memory);
    assert_int_equal(read_it(&head, &text), RECORD_NONE);
    memset(memory, 0xff, SIZE);
    assert_int_equal(read_it(&head, &text), RECORD_NONE);
    assert_int_equal(record_read(memory, PAGE_SIZE, &head, &text), RECORD_NONE);
}

/* Any byte of the text. */
static void test_damaged_text_is_recognised(void **state)
{
    (void)state;
    struct record_head head;
    struct text text;
    append("some text of a run\n");
    for (size_t i = 0; i < strlen("some text of a run\n"); i++) {
        memory[PAGE_SIZE + i] ^= 0x40;
        assert_int_equal(read_it(&head, &text), RECORD_DAMAGED);
        memory[PAGE_SIZE + i] ^= 0x40;
    }
    assert_int_equal(read_it(&head, &text), RECORD_GOOD);
}

/* Any byte of both heads at once: none is left. */
static void test_damaged_heads_are_none(void **state)
{
    (void)state;
    struct record_head head;
    struct text text;
    append("one\n");
    append("two\n");
    for (size_t i = 0; i < sizeof(head); i++) {
        memory[i] ^= 1;
        memory[PAGE_SIZE / 2 + i] ^= 1;
        assert_int_equal(read_it(&head, &text), RECORD_NONE);
        memory[i] ^= 1;
        memory[PAGE_SIZE / 2 + i] ^= 1;
    }
    assert_text("one\ntwo\n");
}

/* The machine stopped while the newer head was written: the older one still tells the truth. */
static void test_the_older_head_stands_in(void **state)
{
    (void)state;
    struct record_head newest;
    struct record_head head;
    struct text text;
    append("one\n");
    append("two\n");
    assert_int_equal(read_it(&newest, &text), RECORD_GOOD);
    char *at = memory + newest.sequence % 2 * (PAGE_SIZE / 2);
    assert_memory_equal(at, &newest, sizeof(newest));
    memset(at + 20, 0, sizeof(newest) - 20);
    assert_int_equal(read_it(&head, &text), RECORD_GOOD);
    assert_int_equal(head.sequence, newest.sequence - 1);
    assert_int_equal(text.size, 4);
    assert_memory_equal(text.data, "one\n", 4);
}

/* A record that says it is longer than the memory there is. */
static void test_must_fit(void **state)
{
    (void)state;
    struct record_head head;
    struct text text;
    assert_int_equal(record_read(memory, SIZE - 1, &head, &text), RECORD_NONE);
}

static void log_some(void *argument)
{
    (void)argument;
    record_open(memory);
    log_line("a line of the contract");
    log_info("for people");
    log_bytes("bytes", 5);
    struct record_head head;
    struct text text;
    (void)read_it(&head, &text);
    fwrite(text.data, 1, text.size, stdout);
}

/* The whole stream: what the console gets, and nothing else. */
static void test_the_log_goes_there(void **state)
{
    (void)state;
    static char output[4096];
    assert_int_equal(sim_in_child(log_some, NULL, output, sizeof(output)), 0);
    size_t half = strlen(output) / 2;
    assert_int_equal(strlen(output), 2 * half);
    assert_memory_equal(output, output + half, half);
    assert_non_null(strstr(output, "\na line of the contract\n["));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reads_what_was_written, make, drop),
        cmocka_unit_test_setup_teardown(test_goes_on_where_it_was, make, drop),
        cmocka_unit_test_setup_teardown(test_says_how_much_is_lost, make, drop),
        cmocka_unit_test_setup_teardown(test_erased_is_none, make, drop),
        cmocka_unit_test_setup_teardown(test_damaged_text_is_recognised, make, drop),
        cmocka_unit_test_setup_teardown(test_damaged_heads_are_none, make, drop),
        cmocka_unit_test_setup_teardown(test_the_older_head_stands_in, make, drop),
        cmocka_unit_test_setup_teardown(test_must_fit, make, drop),
        cmocka_unit_test_setup_teardown(test_the_log_goes_there, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
