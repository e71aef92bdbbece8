/* Firmware's UTF-16 and our ASCII. */
#include "efi/utf16.h"

#include "core/text.h"

#define BYTE_ORDER_MARK 0xfeff

static bool is_blank(unsigned character)
{
    return character == ' ' || character == '\t' || character == '\r' || character == '\n';
}

static bool is_ascii(unsigned character)
{
    return character > ' ' && character < 0x7f;
}

/* A character that a person may have written: no control character, no half of a pair. */
static bool is_written(unsigned character)
{
    return is_blank(character) || is_ascii(character) ||
           (character >= 0xa0 && character < 0xd800) || (character >= 0xe000 && character < 0xfffe);
}

size_t utf16_length(const uint16_t *text, size_t limit)
{
    size_t length = 0;
    while (length < limit && text[length] != 0)
        length++;
    return length;
}

size_t utf16_to_ascii(char *buffer, size_t size, const uint16_t *text, size_t length)
{
    if (size == 0)
        return 0;
    size_t count = length < size ? length : size - 1;
    for (size_t i = 0; i < count; i++)
        buffer[i] = text[i] == ' ' || is_ascii(text[i]) ? (char)text[i] : '?';
    buffer[count] = '\0';
    return count;
}

size_t utf16_from_ascii(uint16_t *buffer, size_t size, const char *text)
{
    size_t count = 0;
    for (; text[count] != '\0' && count + 1 < size; count++) {
        unsigned char byte = (unsigned char)text[count];
        buffer[count] = byte < 0x80 ? byte : '?';
    }
    buffer[count] = 0;
    return count;
}

static result_t decode_utf16(char *buffer, size_t *length, const unsigned char *bytes, size_t count)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned character = bytes[2 * i] | (unsigned)bytes[2 * i + 1] << 8;
        if (character == 0)
            break;
        if (i == 0 && character == BYTE_ORDER_MARK)
            continue;
        if (!is_written(character))
            return EINVAL;
        buffer[used++] = is_blank(character) || is_ascii(character) ? (char)character : '?';
    }
    buffer[used] = '\0';
    *length = used;
    return OK;
}

static result_t decode_bytes(char *buffer, size_t *length, const unsigned char *bytes, size_t size)
{
    static const unsigned char mark[] = {0xef, 0xbb, 0xbf};
    size_t first =
        size >= sizeof(mark) && memcmp(bytes, mark, sizeof(mark)) == 0 ? sizeof(mark) : 0;
    size_t used = 0;
    for (size_t i = first; i < size && bytes[i] != 0; i++) {
        unsigned byte = bytes[i];
        if (byte < 0x80 && !is_blank(byte) && !is_ascii(byte))
            return EINVAL;
        buffer[used++] = byte < 0x80 ? (char)byte : '?';
    }
    buffer[used] = '\0';
    *length = used;
    return OK;
}

/* UTF-16 of ASCII text has a zero in every second byte; no other text has one at all. */
static bool looks_like_utf16(const unsigned char *bytes, size_t size)
{
    if (size < 2 || size % 2 != 0)
        return false;
    return (bytes[0] == 0xff && bytes[1] == 0xfe) || (bytes[0] != 0 && bytes[1] == 0);
}

result_t utf16_decode_any(char *buffer, size_t *length, const void *data, size_t size_bytes)
{
    if (looks_like_utf16(data, size_bytes))
        return decode_utf16(buffer, length, data, size_bytes / 2);
    return decode_bytes(buffer, length, data, size_bytes);
}
