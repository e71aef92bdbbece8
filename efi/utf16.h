/* Firmware's UTF-16 and our ASCII. */
#ifndef EFI_UTF16_H
#define EFI_UTF16_H

#include "core/result.h"
#include "core/types.h"

/* Length up to the terminator, at most `limit`. */
size_t utf16_length(const uint16_t *text, size_t limit);

/* Writes at most size - 1 characters and the terminating zero; what is not printable ASCII becomes
 * `?`. Returns the length written. */
size_t utf16_to_ascii(char *buffer, size_t size, const uint16_t *text, size_t length);
/* The other direction; `?` for bytes above 127. */
size_t utf16_from_ascii(uint16_t *buffer, size_t size, const char *text);

/* Bytes of unknown origin (load options, a file written on Windows) as text: UTF-16 with or without a
 * byte-order mark, else ASCII or UTF-8 with or without its mark; up to the first zero. Blanks and line
 * ends are kept, other characters beyond ASCII become `?`. EINVAL when it is not text. The buffer
 * needs size_bytes + 1 bytes. */
result_t utf16_decode_any(char *buffer, size_t *length, const void *data, size_t size_bytes);

#endif
