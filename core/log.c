/* The console's line discipline.
 *
 * Concepts: a line is formatted on the stack and leaves in one piece under the report lock. The CPU
 * that has a block open holds that lock, so its own lines take none. After the first line of a panic
 * nobody takes it any more: whoever held it may never let go.
 * Invariants: the first byte of all is a line end, since firmware leaves a line open. */
#include "core/log.h"

#include "core/display.h"
#include "core/fmt.h"
#include "core/lock.h"
#include "core/machine.h"
#include "core/record.h"
#include "core/text.h"

#define LINE_MAX 1000
#define STAMP_MAX 32 /* "[18446744073709.551615] " */

static struct {
    struct lock lock;
    bool started;         /* guarded by the lock */
    bool panicking;       /* set once, never reset */
    uint32_t owner;       /* 1 + index of the CPU that has a block open; 0: none */
    enum log_level level; /* set at start */
} console = {
    .lock = {.rank = RANK_REPORT, .name = "console"},
    .level = LOG_INFO,
};

void log_set_level(enum log_level level)
{
    console.level = level;
}

static bool needs_lock(void)
{
    return !__atomic_load_n(&console.panicking, __ATOMIC_ACQUIRE) &&
           __atomic_load_n(&console.owner, __ATOMIC_RELAXED) != machine_cpu()->index + 1;
}

/* To every sink that takes the whole stream. */
static void write(const char *text, size_t size_bytes)
{
    machine_console_write(text, size_bytes);
    record_append(text, size_bytes);
}

static void write_line(const char *text, size_t size_bytes)
{
    if (!console.started) {
        console.started = true;
        write("\r\n", 2);
    }
    write(text, size_bytes);
}

/* Who sees a line on the screen; lines of the contract have a picture of their own there. */
enum line_kind { LINE_CONTRACT, LINE_INFO, LINE_ERROR };

static void show_line(enum line_kind kind, struct text line)
{
    if (kind == LINE_INFO)
        display_log_line(INK_DIM, line);
    else if (kind == LINE_ERROR)
        display_log_line(INK_BAD, line);
}

/* `text` ends in CR LF. */
static void emit(enum line_kind kind, const char *text, size_t size_bytes) NO_LOCK_ANALYSIS
{
    bool locked = needs_lock();
    if (locked)
        lock_acquire(&console.lock);
    write_line(text, size_bytes);
    show_line(kind, (struct text){text, size_bytes - 2});
    if (locked)
        lock_release(&console.lock);
}

/* Bytes that fmt_vprint() has put into a buffer of `size`. */
static size_t printed(size_t wanted, size_t size)
{
    return wanted < size ? wanted : size - 1;
}

static size_t stamp(char *line)
{
    uint64_t now = machine_microseconds();
    return fmt_print(line, STAMP_MAX, "[%llu.%06llu] ", (unsigned long long)(now / 1000000),
                     (unsigned long long)(now % 1000000));
}

static size_t finish(char *line, size_t length)
{
    line[length++] = '\r';
    line[length++] = '\n';
    return length;
}

static void log_v(enum line_kind kind, const char *format, va_list arguments)
{
    char line[STAMP_MAX + LINE_MAX + 3];
    size_t length = stamp(line);
    length += printed(fmt_vprint(line + length, LINE_MAX + 1, format, arguments), LINE_MAX + 1);
    emit(kind, line, finish(line, length));
}

void log_debug(const char *format, ...)
{
    if (console.level > LOG_DEBUG)
        return;
    va_list arguments;
    va_start(arguments, format);
    log_v(LINE_INFO, format, arguments);
    va_end(arguments);
}

void log_info(const char *format, ...)
{
    if (console.level > LOG_INFO)
        return;
    va_list arguments;
    va_start(arguments, format);
    log_v(LINE_INFO, format, arguments);
    va_end(arguments);
}

void log_progress(const char *format, ...)
{
    if (console.level > LOG_INFO)
        return;
    va_list arguments;
    va_start(arguments, format);
    log_v(LINE_CONTRACT, format, arguments);
    va_end(arguments);
}

void log_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_v(LINE_ERROR, format, arguments);
    va_end(arguments);
}

void log_line_v(const char *format, va_list arguments)
{
    char line[LINE_MAX + 3];
    size_t length = printed(fmt_vprint(line, LINE_MAX + 1, format, arguments), LINE_MAX + 1);
    emit(LINE_CONTRACT, line, finish(line, length));
}

void log_line(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_line_v(format, arguments);
    va_end(arguments);
}

void log_bytes(const char *text, size_t size_bytes) NO_LOCK_ANALYSIS
{
    bool locked = needs_lock();
    if (locked)
        lock_acquire(&console.lock);
    write_line(text, size_bytes);
    write("\r\n", 2);
    if (locked)
        lock_release(&console.lock);
}

void log_panic_line(const char *format, ...)
{
    if (!__atomic_exchange_n(&console.panicking, true, __ATOMIC_ACQ_REL) &&
        lock_is_held(&console.lock))
        write("\r\n", 2); /* the line that was interrupted */

    char line[STAMP_MAX + LINE_MAX + 3];
    size_t stamped = stamp(line);
    size_t length = stamped;
    va_list arguments;
    va_start(arguments, format);
    length += printed(fmt_vprint(line + length, LINE_MAX + 1, format, arguments), LINE_MAX + 1);
    va_end(arguments);
    write_line(line, finish(line, length));
    display_panic_line((struct text){line + stamped, length - stamped});
}

void log_block_begin(void) NO_LOCK_ANALYSIS
{
    if (!needs_lock())
        return;
    lock_acquire(&console.lock);
    __atomic_store_n(&console.owner, machine_cpu()->index + 1, __ATOMIC_RELAXED);
}

void log_block_end(void) NO_LOCK_ANALYSIS
{
    if (__atomic_load_n(&console.panicking, __ATOMIC_ACQUIRE))
        return;
    __atomic_store_n(&console.owner, 0, __ATOMIC_RELAXED);
    lock_release(&console.lock);
}
