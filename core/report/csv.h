/* CSV blocks of the serial stream: RFC 4180 rows between two marker lines, numbered, with row count
 * and CRC.
 *
 * Concepts: a row is built field by field and goes out whole. The CRC is over the bytes between the
 * marker lines, each line ended by LF (the CR of the wire is not counted). A field that would make its
 * row longer than CSV_ROW_MAX is cut and ends in "..."; control characters become blanks and bytes
 * that are not ASCII question marks, so that a row is one line of plain text.
 * Locking: csv_begin() to csv_end() holds the console against other CPUs; for one CPU at a time. */
#ifndef CORE_REPORT_CSV_H
#define CORE_REPORT_CSV_H

#include "core/text.h"

#define CSV_ROW_MAX 8192

/* Begins a block: the begin line and the header row (the column names, separated by commas). */
void csv_begin(const char *block_name, const char *columns);
/* Add a field to the row under way. Text is quoted where RFC 4180 wants it. */
void csv_text(struct text value);
void csv_unsigned(uint64_t value);
void csv_signed(int64_t value);
/* Thousandths, as a decimal fraction without trailing zeros. */
void csv_milli(uint64_t value);
void csv_row_end(void);
void csv_end(void);

#endif
