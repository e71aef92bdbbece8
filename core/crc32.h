/* CRC-32 as zlib computes it (reflected polynomial 0xEDB88320, ISO 3309), table driven. */
#ifndef CORE_CRC32_H
#define CORE_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 at the start) over the bytes, as zlib's crc32() does. O(size). */
uint32_t crc32_update(uint32_t crc, const void *data, size_t size_bytes);

#endif
