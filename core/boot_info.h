/* What the loader hands to the core: plain data, versioned, no pointers into firmware.
 *
 * Concepts: one allocation of the loader (MEMORY_BOOT_DATA) holds this structure and everything that
 * it refers to, but for `record` and `ramdisk`, which have one each; references are physical addresses, read
 * through the direct map, which the loader's boot page tables already have. The core never writes to it;
 * only the record is its own. */
#ifndef CORE_BOOT_INFO_H
#define CORE_BOOT_INFO_H

#include "core/types.h"

#define BOOT_INFO_MAGIC 0x62614c6567615021ull /* "!PageLab" in memory order */
#define BOOT_INFO_VERSION 3

/* The start of the direct map of physical memory; the same with 4 and 5 levels of page tables. */
#define BOOT_DIRECT_MAP_BASE 0xffff800000000000ull
/* Where the core is linked and mapped. */
#define BOOT_CORE_BASE 0xffffffff80000000ull

enum boot_memory_kind {
    MEMORY_USABLE,    /* free for the core: conventional, boot services code and data */
    MEMORY_CORE,      /* the core's image as loaded, bss included */
    MEMORY_BOOT_DATA, /* boot_info, scenario texts, symbols, RAM disk: kept for the whole run */
    MEMORY_BOOT_TEMPORARY, /* boot page tables and stack, the loader itself: free once the core's own
                              tables are loaded */
    MEMORY_TRAMPOLINE,     /* one page below 1 MiB for starting CPUs */
    MEMORY_ACPI_RECLAIM,
    MEMORY_ACPI_NVS,
    MEMORY_RUNTIME_CODE,
    MEMORY_RUNTIME_DATA,
    MEMORY_RESERVED,
    MEMORY_MMIO,
    MEMORY_UNUSABLE,
    MEMORY_KIND_COUNT,
};

struct boot_memory_range {
    uint64_t start; /* physical, page aligned */
    uint64_t page_count;
    uint32_t kind;     /* enum boot_memory_kind */
    uint32_t efi_type; /* the firmware's own type, for the log */
};

/* Text or data of the loader: a physical range. size_bytes 0: none. Text is not terminated. */
struct boot_blob {
    uint64_t start;
    uint64_t size_bytes;
};

enum boot_scenario_origin { SCENARIO_BUILT_IN, SCENARIO_VOLUME };

struct boot_scenario {
    char file_name[72]; /* "fork-cow.scn", terminated */
    struct boot_blob text;
    uint32_t origin; /* enum boot_scenario_origin */
    uint32_t reserved;
};

enum boot_pixel_format { PIXEL_NONE, PIXEL_RGBX, PIXEL_BGRX, PIXEL_BITMASK, PIXEL_BLT_ONLY };

struct boot_framebuffer {
    uint64_t start;
    uint64_t size_bytes;
    uint32_t width;
    uint32_t height;
    uint32_t pixels_per_line;
    uint32_t format; /* enum boot_pixel_format; PIXEL_NONE: no screen */
    uint32_t red_mask, green_mask, blue_mask, reserved_mask;
    /* Nothing else is mapped where the direct map would have it: the boot page tables have it there, and
     * the core may do the same. */
    uint32_t is_mapped;
    uint32_t reserved;
};

struct boot_info {
    uint64_t magic;
    uint32_t version;
    uint32_t size_bytes; /* of this structure */

    struct boot_blob memory_map; /* array of struct boot_memory_range, ascending, not overlapping */
    struct boot_blob scenarios;  /* array of struct boot_scenario */
    /* Boot parameters, one word a line, weakest first: pagelab.cfg, load options, the menu's edits.
     * The core parses them again with the same code. */
    struct boot_blob parameters;
    /* A complaint of the loader that ends the run with status 3 before anything runs, e.g. a bad boot
     * parameter; empty when there is none. Lines for the log end in LF. */
    struct boot_blob fatal;
    /* What the loader has to say for the log: ignored load options, unreadable files; lines end in LF. */
    struct boot_blob notes;

    /* Room for the run's text, formatted (core/record.h); empty when the run's end would lose it. Part of
     * MEMORY_BOOT_DATA. */
    struct boot_blob record;

    /* What RAM disks begin with (core/mm/ramdisk.h): page aligned, zero behind its last byte to the end of
     * that page. Empty: nothing. Part of MEMORY_BOOT_DATA. */
    struct boot_blob ramdisk;

    struct boot_blob core_image;   /* physical range of the core, bss included */
    struct boot_blob symbol_table; /* Elf64_Sym array of core.elf */
    struct boot_blob string_table; /* its names */
    uint64_t boot_root;            /* the boot page tables' root, as in CR3 */
    uint64_t trampoline;           /* page below 1 MiB for starting CPUs; 0: none could be had */

    uint64_t acpi_rsdp; /* physical; 0: none */
    struct boot_framebuffer framebuffer;

    /* Runtime services, for reset and power-off only; 0: none. Physical mode. */
    uint64_t efi_reset_system; /* address of the ResetSystem function */

    uint64_t start_time_unix; /* seconds since 1970 by the firmware's clock; 0: unknown */
    uint32_t uefi_revision;   /* as in the system table's header */
    uint32_t firmware_revision;
    char firmware_vendor[64];
    /* SMBIOS types 1 and 2, for `meta`; empty when unknown. */
    char board_vendor[64];
    char board_product[64];
    char system_vendor[64];
    char system_product[64];
};

#endif
