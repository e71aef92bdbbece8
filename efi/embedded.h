/* What embedded.asm puts into the loader's image. */
#ifndef EFI_EMBEDDED_H
#define EFI_EMBEDDED_H

#include <stddef.h>

struct embedded_scenario {
    const char *file_name;
    const char *text; /* not terminated */
    size_t size_bytes;
};

_Static_assert(sizeof(struct embedded_scenario) == 24, "embedded.asm writes three words each");

extern const char embedded_core[];
extern const char embedded_core_end[];
/* Sorted by file name. */
extern const struct embedded_scenario embedded_scenarios[];
extern const struct embedded_scenario embedded_scenarios_end[];

#endif
