/* What a person in front of the machine sees. See display.h.
 *
 *   title bar: version, the machine
 *   body: log lines, then a line for each scenario that has ended, scrolling; at last the summary
 *   progress: a bar, how many of how many, the counts so far
 *   what is running, or what happens next */
#include "core/display.h"

#include "core/fmt.h"
#include "core/log.h"
#include "core/machine.h"
#include "core/version.h"

#define LINE_MAX 256
#define BODY_TOP 2
#define BOTTOM_ROWS 3 /* a blank one, progress, what is running */
#define BAR_WIDTH 20
#define FACTS_MAX 100

/* The summary's memory: verdicts of so many scenarios, reasons of so many that did not pass. */
#define OUTCOMES_MAX 512
#define REASONS_MAX 32
#define REASON_MAX 100
/* Columns of the summary: mark, name, seconds. */
#define MARK_WIDTH 7
#define OUTCOME_WIDTH 38
#define NAME_WIDTH 20

struct outcome {
    struct text name;
    enum verdict verdict;
    uint32_t milliseconds;
    uint32_t reason; /* 1 + index of its reason; 0: none */
};

static struct {
    bool panicking;
    char facts[FACTS_MAX];
    unsigned next_row; /* of the body */

    size_t planned, ended;
    size_t counts[VERDICT_SKIP + 1];
    struct text scenario;
    uint64_t scenario_start; /* microseconds */
    size_t combination_count, combination;

    size_t outcome_count, reason_count;
    struct outcome outcomes[OUTCOMES_MAX];
    char reasons[REASONS_MAX][REASON_MAX];
    struct display_ending ending;
} display;

static const char *const marks[] = {"ok", "not ok", "skip"};
static const enum screen_ink mark_inks[] = {INK_GOOD, INK_BAD, INK_NOTICE};

/* --- rows ------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 4, 5))) static unsigned
put(unsigned row, unsigned column, enum screen_ink ink, const char *format, ...)
{
    char line[LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)fmt_vprint(line, sizeof(line), format, arguments);
    va_end(arguments);
    return screen_put(row, column, ink, text_of(line));
}

/* One below the last row of the body. A panic needs all rows but the last. */
static unsigned body_end(void)
{
    unsigned rows = screen_rows();
    unsigned bottom = display.panicking ? 1 : BOTTOM_ROWS;
    return rows > BODY_TOP + bottom ? rows - bottom : rows;
}

/* The next free row of the body; makes room when there is none, so that not every line scrolls. */
static unsigned next_row(void)
{
    unsigned end = body_end();
    if (display.next_row >= end) {
        unsigned by = display.panicking ? 1 : (end - BODY_TOP) / 3 + 1;
        screen_scroll(BODY_TOP, end, by);
        display.next_row = end - by;
    }
    return display.next_row++;
}

static void clear_body(void)
{
    for (unsigned row = BODY_TOP; row < body_end(); row++)
        screen_blank(row, 0, INK_NORMAL);
    display.next_row = BODY_TOP;
}

/* A line of the body, over as many rows as it needs; those after the first are indented. */
static void body_line(enum screen_ink ink, struct text line)
{
    unsigned columns = screen_columns();
    unsigned indent = 1;
    while (columns > 8) {
        size_t room = columns - indent - 1;
        struct text part = {line.data, line.size < room ? line.size : room};
        unsigned row = next_row();
        screen_blank(row, 0, INK_NORMAL);
        (void)screen_put(row, indent, ink, part);
        line = (struct text){line.data + part.size, line.size - part.size};
        if (line.size == 0)
            break;
        indent = 5;
    }
}

static void draw_title(void)
{
    enum screen_ink ink = display.panicking ? INK_BAR_BAD : INK_BAR;
    unsigned column = put(0, 0, ink, " PageLab %s%s  ", version_text,
                          display.panicking ? "  PANIC" : "  a laboratory for virtual memory");
    screen_blank(0, column, ink);
    size_t length = strlen(display.facts);
    if (column + length + 1 <= screen_columns())
        (void)put(0, screen_columns() - (unsigned)length - 1, ink, "%s", display.facts);
}

static void draw_progress(void)
{
    unsigned row = screen_rows() - 2;
    char bar[BAR_WIDTH + 1];
    size_t done = display.planned ? display.ended * BAR_WIDTH / display.planned : 0;
    for (size_t i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < done ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    unsigned column =
        put(row, 1, INK_BRIGHT, "[%s] %zu of %zu", bar, display.ended, display.planned);
    for (enum verdict i = VERDICT_PASS; i <= VERDICT_SKIP; i++) {
        static const char *const names[] = {"passed", "failed", "skipped"};
        column = put(row, column, display.counts[i] ? mark_inks[i] : INK_DIM, "  %zu %s",
                     display.counts[i], names[i]);
    }
    screen_blank(row, column, INK_NORMAL);
}

/* --- start, log, panic -------------------------------------------------------------------------------- */

bool display_open(const struct boot_framebuffer *framebuffer, volatile void *pixels)
{
    if (!screen_open(framebuffer, pixels))
        return false;
    display.next_row = BODY_TOP;
    draw_title();
    return true;
}

bool display_is_open(void)
{
    return screen_rows() != 0;
}

void display_facts(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fmt_vprint(display.facts, sizeof(display.facts), format, arguments);
    va_end(arguments);
    log_block_begin();
    draw_title();
    log_block_end();
}

void display_log_line(enum screen_ink ink, struct text line)
{
    if (display_is_open())
        body_line(ink, line);
}

void display_panic_line(struct text line)
{
    if (!display_is_open())
        return;
    if (!display.panicking) {
        display.panicking = true;
        screen_show(); /* whoever had the screen has lost it */
        draw_title();
        clear_body();
    }
    body_line(display.next_row == BODY_TOP ? INK_BAD : INK_NORMAL, line);
}

void display_leave(void)
{
    log_block_begin();
    screen_hide();
    log_block_end();
}

void display_return(void)
{
    log_block_begin();
    screen_show();
    log_block_end();
}

/* --- the run --------------------------------------------------------------------------------------------- */

/* Below one scenario at a time the screen shows its combinations, in the last row. */
static void draw_running(struct text params)
{
    unsigned row = screen_rows() - 1;
    unsigned column = put(row, 1, INK_BRIGHT, "%.*s", TEXT_ARGS(display.scenario));
    if (display.combination_count > 1)
        column = put(row, column, INK_DIM, "  %zu of %zu", display.combination,
                     display.combination_count);
    column = put(row, column, INK_NORMAL, "  %.*s", TEXT_ARGS(params));
    screen_blank(row, column, INK_NORMAL);
}

void display_run_begin(size_t scenario_count)
{
    log_block_begin();
    display.planned = scenario_count;
    if (display_is_open())
        draw_progress();
    log_block_end();
}

void display_scenario_begin(struct text name, size_t combination_count)
{
    log_block_begin();
    display.scenario = name;
    display.scenario_start = machine_microseconds();
    display.combination_count = combination_count;
    display.combination = 0;
    if (display_is_open())
        draw_running(TEXT(""));
    log_block_end();
}

void display_combination_begin(struct text params)
{
    log_block_begin();
    display.combination++;
    if (display_is_open())
        draw_running(params);
    log_block_end();
}

void display_diagnostic(struct text line)
{
    log_block_begin();
    if (display_is_open())
        body_line(INK_BAD, line);
    log_block_end();
}

static void keep_outcome(enum verdict verdict, uint32_t milliseconds, const char *reason)
{
    if (display.outcome_count == OUTCOMES_MAX)
        return;
    struct outcome *outcome = &display.outcomes[display.outcome_count++];
    *outcome = (struct outcome){display.scenario, verdict, milliseconds, 0};
    if (reason == NULL || reason[0] == '\0' || display.reason_count == REASONS_MAX)
        return;
    (void)fmt_print(display.reasons[display.reason_count], REASON_MAX, "%s", reason);
    outcome->reason = (uint32_t)++display.reason_count;
}

/* Mark, name, seconds. */
static unsigned draw_outcome(unsigned row, unsigned column, const struct outcome *outcome)
{
    (void)put(row, column, mark_inks[outcome->verdict], "%s", marks[outcome->verdict]);
    (void)put(row, column + MARK_WIDTH, INK_NORMAL, "%.*s", TEXT_ARGS(outcome->name));
    unsigned after = MARK_WIDTH + NAME_WIDTH;
    if (outcome->name.size >= NAME_WIDTH)
        after = MARK_WIDTH + (unsigned)outcome->name.size + 1;
    if (outcome->verdict == VERDICT_SKIP)
        return column + after;
    return put(row, column + after, INK_DIM, "%5u.%u s", outcome->milliseconds / 1000,
               outcome->milliseconds / 100 % 10);
}

void display_scenario_end(enum verdict verdict, const char *reason)
{
    uint64_t elapsed = machine_microseconds() - display.scenario_start;
    log_block_begin();
    display.ended++;
    display.counts[verdict]++;
    keep_outcome(verdict, (uint32_t)(elapsed / 1000), reason);
    if (display_is_open() && !display.panicking && display.outcome_count > 0) {
        unsigned row = next_row();
        screen_blank(row, 0, INK_NORMAL);
        unsigned column = draw_outcome(row, 1, &display.outcomes[display.outcome_count - 1]);
        if (reason != NULL)
            (void)put(row, column, INK_DIM, "  %s", reason);
        draw_progress();
    }
    log_block_end();
}

/* --- the summary ------------------------------------------------------------------------------------------ */

/* Everything that did not pass, a line each, with its reason. */
static void list_the_others(void)
{
    for (size_t i = 0; i < display.outcome_count; i++) {
        const struct outcome *outcome = &display.outcomes[i];
        if (outcome->verdict == VERDICT_PASS || display.next_row >= body_end())
            continue;
        unsigned column = draw_outcome(display.next_row, 1, outcome);
        if (outcome->reason != 0)
            (void)put(display.next_row, column, INK_DIM, "  %s",
                      display.reasons[outcome->reason - 1]);
        display.next_row++;
    }
}

/* Everything that passed, column by column, as far as there is room. */
static void list_the_passed(void)
{
    unsigned rows = body_end() - display.next_row;
    unsigned columns = (screen_columns() - 1) / OUTCOME_WIDTH;
    columns = columns > 0 ? columns : 1;
    size_t room = (size_t)rows * columns;
    size_t shown = 0;
    for (size_t i = 0; i < display.outcome_count && shown < room; i++) {
        if (display.outcomes[i].verdict != VERDICT_PASS)
            continue;
        bool rest = shown + 1 == room && display.counts[VERDICT_PASS] > room;
        unsigned row = display.next_row + (unsigned)(shown % rows);
        unsigned column = 1 + (unsigned)(shown / rows) * OUTCOME_WIDTH;
        if (rest)
            (void)put(row, column, INK_DIM, "and %zu more that passed",
                      display.counts[VERDICT_PASS] - shown);
        else
            (void)draw_outcome(row, column, &display.outcomes[i]);
        shown++;
    }
}

static void draw_verdict(unsigned status)
{
    static const char *const words[] = {
        "Every scenario passed or was skipped.",
        "A scenario failed.",
        "Panic.",
        "A boot parameter or a scenario file is bad.",
    };
    enum screen_ink ink = status == 0 ? INK_GOOD : INK_BAD;
    unsigned column =
        put(display.next_row, 1, ink, "%s", words[status < ARRAY_COUNT(words) ? status : 2]);
    (void)put(display.next_row, column, INK_DIM, "  (status %u)", status);
    if (display.ending.results != NULL)
        (void)put(display.next_row + 1, 1, INK_NORMAL, "%s", display.ending.results);
    display.next_row += 3;
}

void display_run_end(unsigned status)
{
    log_block_begin();
    if (display_is_open() && !display.panicking) {
        /* What was said about a run that never began is worth more than an empty list. */
        if (display.outcome_count > 0)
            clear_body();
        else if (display.next_row + 3 >= body_end())
            (void)next_row();
        draw_verdict(status);
        list_the_others();
        display.next_row += display.counts[VERDICT_FAIL] + display.counts[VERDICT_SKIP] > 0;
        if (display.next_row < body_end())
            list_the_passed();
        draw_progress();
        screen_blank(screen_rows() - 1, 0, INK_NORMAL);
    }
    log_block_end();
}

/* --- the end ------------------------------------------------------------------------------------------------ */

void display_set_ending(const struct display_ending *ending)
{
    display.ending = *ending;
}

static void draw_countdown(uint64_t seconds_left)
{
    unsigned row = screen_rows() - 1;
    unsigned column = put(row, 1, INK_NOTICE, "Press a key to %s", display.ending.what);
    if (display.ending.seconds != 0)
        column = put(row, column, INK_NOTICE, "; it happens in %lu s", (unsigned long)seconds_left);
    screen_blank(row, column, INK_NORMAL);
}

void display_wait(void)
{
    if (!display_is_open() || display.ending.what == NULL)
        return;
    (void)machine_key_pressed(); /* what was typed before was not meant for this */
    uint64_t start = machine_microseconds();
    uint64_t limit = display.ending.seconds;
    uint64_t gone = 0;
    do {
        draw_countdown(limit - gone);
        machine_pause();
        gone = (machine_microseconds() - start) / 1000000;
    } while (!machine_key_pressed() && (limit == 0 || gone < limit));
}
