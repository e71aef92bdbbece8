/* Rows, blocks, checksums. */
#include "core/report/csv.h"

#include "core/check.h"
#include "core/crc32.h"
#include "core/fmt.h"
#include "core/log.h"

/* Room that text fields leave for the numbers behind them. */
#define CSV_RESERVE 1024

static struct csv {
    const char *block_name; /* NULL: between blocks */
    unsigned block_count;
    uint64_t row_count;
    uint32_t crc;
    size_t field_count;
    size_t size;
    char row[CSV_ROW_MAX];
} csv;

static void put(char byte)
{
    ASSERT(csv.size < CSV_ROW_MAX);
    csv.row[csv.size++] = byte;
}

static void put_terminated(const char *text)
{
    while (*text != '\0')
        put(*text++);
}

static void line_out(void)
{
    csv.crc = crc32_update(csv.crc, csv.row, csv.size);
    csv.crc = crc32_update(csv.crc, "\n", 1);
    log_bytes(csv.row, csv.size);
    csv.size = 0;
    csv.field_count = 0;
}

void csv_begin(const char *block_name, const char *columns)
{
    ASSERT(csv.block_name == NULL);
    csv.block_name = block_name;
    csv.block_count++;
    csv.row_count = 0;
    csv.crc = 0;

    log_block_begin();
    log_line("@pagelab begin %s block=%u", block_name, csv.block_count);
    put_terminated(columns);
    line_out();
}

static void field_begin(void)
{
    ASSERT(csv.block_name != NULL);
    if (csv.field_count++ != 0)
        put(',');
}

static bool needs_quotes(struct text value)
{
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] == ',' || value.data[i] == '"')
            return true;
    }
    return false;
}

static char printable(char byte)
{
    unsigned char value = (unsigned char)byte;
    if (value < ' ')
        return ' ';
    return value > '~' ? '?' : byte;
}

void csv_text(struct text value)
{
    bool quotes = needs_quotes(value);

    field_begin();
    if (quotes)
        put('"');
    for (size_t i = 0; i < value.size; i++) {
        if (csv.size >= CSV_ROW_MAX - CSV_RESERVE) {
            put_terminated("...");
            break;
        }
        if (value.data[i] == '"')
            put('"');
        put(printable(value.data[i]));
    }
    if (quotes)
        put('"');
}

void csv_unsigned(uint64_t value)
{
    char digits[24];

    field_begin();
    fmt_print(digits, sizeof(digits), "%llu", (unsigned long long)value);
    put_terminated(digits);
}

void csv_signed(int64_t value)
{
    char digits[24];

    field_begin();
    fmt_print(digits, sizeof(digits), "%lld", (long long)value);
    put_terminated(digits);
}

void csv_milli(uint64_t value)
{
    char digits[28];
    unsigned fraction = (unsigned)(value % 1000);
    int places = 3;

    while (places > 0 && fraction % 10 == 0) {
        fraction /= 10;
        places--;
    }
    field_begin();
    fmt_print(digits, sizeof(digits), "%llu", (unsigned long long)(value / 1000));
    put_terminated(digits);
    if (places > 0) {
        fmt_print(digits, sizeof(digits), ".%0*u", places, fraction);
        put_terminated(digits);
    }
}

void csv_row_end(void)
{
    ASSERT(csv.field_count != 0);
    csv.row_count++;
    line_out();
}

void csv_end(void)
{
    ASSERT(csv.block_name != NULL && csv.field_count == 0);
    log_line("@pagelab end %s block=%u rows=%llu crc32=%08x", csv.block_name, csv.block_count,
             (unsigned long long)csv.row_count, csv.crc);
    log_block_end();
    csv.block_name = NULL;
}
