/* The console: one stream of text lines to every sink (serial port, kept memory; the screen shows
 * those for people).
 *
 * Concepts: whole lines go out at once, so that lines of several CPUs and CSV blocks do not mix. Lines
 * end in CR LF on the wire; callers write none of both. */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <stdarg.h>
#include <stddef.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_ERROR };

/* What reaches the console (`log=`); contract lines always do. */
void log_set_level(enum log_level level);

/* "[seconds.micros] text": for people. At most 1000 bytes, longer ones are cut. */
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same as log_info(), but not for the screen, which shows how far the run is in its own way. */
void log_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A line of the contract (KTAP, CSV, `@pagelab`): verbatim. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_line_v(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));
/* The same for text that is ready, of any length. */
void log_bytes(const char *text, size_t size_bytes);

/* A line of a panic: takes no lock, works from any context. */
void log_panic_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From start_block to end_block no other CPU's line gets in between (CSV blocks). Not nested. */
void log_block_begin(void);
void log_block_end(void);

#endif
