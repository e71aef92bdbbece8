/* The core's ELF file: what of it must be where. The file is part of the loader, so what is checked
 * here is the build; a damaged copy is found all the same. */
#ifndef EFI_CORE_IMAGE_H
#define EFI_CORE_IMAGE_H

#include "core/result.h"
#include "core/text.h"
#include "efi/page_tables.h"

#define CORE_SEGMENTS_MAX 8
#define CORE_SIZE_MAX (256 * MIB)

struct core_segment {
    uint64_t virt;       /* page aligned */
    uint64_t size_bytes; /* in memory */
    struct text content; /* in the file; the rest is zero */
    enum page_rights rights;
};

/* Slices point into the file. Segments are ascending and share no page. */
struct core_image {
    uint64_t size_bytes; /* from BOOT_CORE_BASE to the end of the last segment, in whole pages */
    uint64_t entry;
    struct core_segment segments[CORE_SEGMENTS_MAX];
    size_t segment_count;
    struct text symbol_table; /* empty when the file has none */
    struct text string_table;
};

/* EINVAL when the file is not a core that can be loaded; *problem then says why. */
result_t core_image_parse(struct core_image *image, struct text file, const char **problem);

/* Copies the segments to where the core will be; `memory` stands for BOOT_CORE_BASE and has size_bytes
 * bytes. */
void core_image_copy(const struct core_image *image, void *memory);

#endif
