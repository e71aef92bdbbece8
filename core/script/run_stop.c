/* What stops a program, and how it is told. */
#include <stdarg.h>

#include "core/fmt.h"
#include "core/report/report.h"
#include "core/script/diagnostics.h"
#include "core/script/expression.h"
#include "core/script/run.h"

#define TEXT_MAX 1024

const struct op *run_stop(struct run *run, const struct op *op)
{
    run->stop.op = op;
    run->failed = NULL;
    return run_lead_on(run, op);
}

const struct op *run_lead_on(struct run *run, const struct op *op)
{
    const struct catcher *catcher = op->catcher;
    bool can_be_caught = run->stop.kind == STOP_ERROR || run->stop.kind == STOP_FAULT;
    if (!can_be_caught || catcher == NULL) {
        run->next = NULL;
        run->wanted_on = NULL;
        return NULL;
    }
    if (catcher->on == run->on)
        return catcher->end;
    run->next = catcher->end;
    run->wanted_on = catcher->on;
    return NULL;
}

const struct op *run_skip(struct run *run, const struct op *op, int64_t cpu_count)
{
    int number = cpu_count > INT32_MAX ? INT32_MAX : (int)cpu_count;
    run->stop = (struct stop){.kind = STOP_SKIP, .number = number};
    return run_stop(run, op);
}

const struct op *run_on_first_cpu(struct run *run, const struct op *op,
                                  void (*job)(struct run *run))
{
    run->job = job;
    run->job_op = op;
    run->wanted_on = run->on;
    run->next = op;
    return NULL;
}

const struct op *run_error(struct run *run, const struct op *op, result_t error)
{
    return run_error_detail(run, op, error, NULL);
}

const struct op *run_error_detail(struct run *run, const struct op *op, result_t error,
                                  const char *detail)
{
    run->stop = (struct stop){.kind = STOP_ERROR, .number = (int)error, .detail = detail};
    return run_stop(run, op);
}

bool run_is_late(struct run *run)
{
    if (LIKELY(machine_ticks() < run->deadline))
        return false;
    run->stop = (struct stop){.kind = STOP_TIMEOUT};
    return true;
}

/* --- telling ----------------------------------------------------------------------------------------------- */

/* Text that grows in a buffer, cut at its end. */
struct writer {
    char *buffer;
    size_t size;
    size_t length;
};

static void write_text(struct writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void write_text(struct writer *writer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t left = writer->size - writer->length;
    size_t length = fmt_vprint(writer->buffer + writer->length, left, format, arguments);
    va_end(arguments);
    writer->length += length < left ? length : left - 1;
}

size_t run_format_place(const struct program *program, const char *at, char *buffer, size_t size)
{
    unsigned line;
    unsigned column;
    script_place(program->scenario->source, at, &line, &column);
    return fmt_print(buffer, size, "%s:%u:%u", program->scenario->file_name, line, column);
}

static void write_value(struct writer *writer, const struct run *run, const struct value *value)
{
    if (value->word == WORD_UNSET)
        write_text(writer, "(no value)");
    else if (value->word != WORD_NONE)
        write_text(writer, "%.*s", TEXT_ARGS(run->program->words[value->word]));
    else
        write_text(writer, "%ld", (long)value->number);
}

/* The value of a variable that an expression of the script names. */
static bool read_term(struct run *run, const struct op *op, const struct term *term,
                      struct value *value)
{
    struct variable variable = term->variable;
    if (variable.kind == VARIABLE_REP)
        variable.slot =
            op != NULL && op->loop != NULL ? (uint32_t)(op->loop - run->program->loops) : NO_SLOT;
    struct stop stop = run->stop;
    bool known = run_read_variable(run, &variable, value);
    run->stop = stop;
    return known;
}

size_t run_format_string(struct run *run, const struct string_part *parts, char *buffer,
                         size_t size)
{
    struct writer writer = {.buffer = buffer, .size = size};
    buffer[0] = '\0';
    for (const struct string_part *part = parts; part != NULL; part = part->next) {
        struct value value;
        if (part->variable == NULL)
            write_text(&writer, "%.*s", TEXT_ARGS(part->text));
        else if (read_term(run, run->current, &part->variable->terms[0], &value))
            write_value(&writer, run, &value);
        else
            write_text(&writer, "(not alive)");
    }
    return writer.length;
}

static const char *fault_name(int outcome)
{
    return outcome == FAULT_SEGV ? "segv" : outcome == FAULT_PROT ? "prot" : "bus";
}

static void write_stop_name(struct writer *writer, enum stop_kind kind, int number)
{
    if (kind == STOP_ERROR)
        write_text(writer, "error %s", result_name((result_t)number));
    else if (kind == STOP_FAULT)
        write_text(writer, "fault %s", fault_name(number));
    else
        write_text(writer, "the end of the block");
}

static void write_access(struct writer *writer, const struct stop *stop)
{
    if (stop->has_access)
        write_text(writer, " at address 0x%lx, access %lu of %lu", (unsigned long)stop->address,
                   (unsigned long)stop->done + 1, (unsigned long)stop->count);
}

/* Each variable of the condition once, with its value. */
static void report_values(struct run *run, const struct expression *expression)
{
    for (uint32_t i = 0; i < expression->count; i++) {
        const struct term *term = &expression->terms[i];
        bool seen = term->kind != TERM_VARIABLE;
        for (uint32_t k = 0; k < i && !seen; k++)
            seen = expression->terms[k].kind == TERM_VARIABLE &&
                   text_equal(expression->terms[k].text, term->text);
        struct value value;
        if (seen)
            continue;
        char buffer[TEXT_MAX];
        struct writer writer = {.buffer = buffer, .size = sizeof(buffer)};
        write_text(&writer, "    $%.*s = ", TEXT_ARGS(term->text));
        if (read_term(run, run->stop.op, term, &value))
            write_value(&writer, run, &value);
        else
            write_text(&writer, "(not alive)");
        report_diagnostic("%s", buffer);
    }
}

static void write_expect(struct writer *writer, struct run *run)
{
    const struct command *command = run->stop.op->command;
    const struct argument *condition = command_argument(command, ARGUMENT_VALUE);
    const struct argument *message = command_argument(command, ARGUMENT_MESSAGE);
    write_text(writer, "does not hold: %.*s", TEXT_ARGS(condition->expression->text));
    if (message != NULL) {
        char text[TEXT_MAX / 2];
        run_format_string(run, message->string, text, sizeof(text));
        write_text(writer, ": %s", text);
    }
}

static void write_stop(struct writer *writer, struct run *run)
{
    const struct stop *stop = &run->stop;
    switch (stop->kind) {
    case STOP_NONE:
        break;
    case STOP_ERROR:
    case STOP_FAULT:
        write_stop_name(writer, stop->kind, stop->number);
        write_access(writer, stop);
        break;
    case STOP_ARITHMETIC:
        write_text(writer, "%s", arithmetic_text((enum arithmetic)stop->number));
        break;
    case STOP_EXPECT:
        write_expect(writer, run);
        break;
    case STOP_NOT_STOPPED:
        write_text(writer, "the block was to be stopped by ");
        write_stop_name(writer,
                        stop->kind == STOP_NOT_STOPPED &&
                                stop->op->command->spec->id == COMMAND_EXPECT_ERROR
                            ? STOP_ERROR
                            : STOP_FAULT,
                        stop->number);
        write_text(writer, ", but it came to ");
        write_stop_name(writer, stop->other_kind, stop->other_number);
        break;
    case STOP_MISMATCH:
        write_text(writer, "at address 0x%lx: expected 0x%016lx, found 0x%016lx",
                   (unsigned long)stop->address, (unsigned long)stop->expected,
                   (unsigned long)stop->found);
        break;
    case STOP_AUDIT:
        write_text(writer, "the audit found: %s", stop->text);
        break;
    case STOP_CLEANUP:
        write_text(writer, "dropping the names of a scope at its end: error %s",
                   result_name((result_t)stop->number));
        break;
    case STOP_TIMEOUT:
        write_text(writer, "the time limit has passed");
        break;
    case STOP_BARRIER:
        write_text(writer, "CPU %d does not come here: its block has ended", stop->number);
        break;
    case STOP_SOAK:
        write_text(writer, "CPU %d, %s", stop->number, stop->text);
        break;
    case STOP_SKIP:
        write_text(writer, "wants %d CPUs", stop->number);
        break;
    }
    if (stop->detail != NULL)
        write_text(writer, ": %s", stop->detail);
}

void run_report_stop(struct run *stopped)
{
    struct run *run = stopped->failed != NULL ? stopped->failed : stopped;
    const struct stop *stop = &run->stop;
    const struct command *command = stop->op->command;
    char text[TEXT_MAX];
    struct writer writer = {.buffer = text, .size = sizeof(text)};
    const char *at = stop->at != NULL ? stop->at : command->at;
    writer.length = run_format_place(run->program, at, text, sizeof(text));
    write_text(&writer, ": %s: ", command->spec->name);
    if (stopped->failed != NULL)
        write_text(&writer, "on CPU %u: ", run->cpu);
    write_stop(&writer, run);
    report_diagnostic("%s", text);

    struct text line = text_trim(script_line(run->program->scenario->source, at));
    report_diagnostic("    %.*s", TEXT_ARGS(line));
    if (stop->kind == STOP_EXPECT)
        report_values(run, command_argument(command, ARGUMENT_VALUE)->expression);
}
