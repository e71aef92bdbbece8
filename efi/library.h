/* The scenarios of this boot: the built-in ones, and those of the boot volume, which replace built-in
 * ones of the same name. All are checked; broken ones stay, with their errors. */
#ifndef EFI_LIBRARY_H
#define EFI_LIBRARY_H

#include "core/boot_info.h"
#include "core/script/script.h"
#include "efi/volume.h"

#define LIBRARY_MAX 512

struct library_file {
    char file_name[sizeof(((struct boot_scenario *)0)->file_name)];
    struct text source;
    enum boot_scenario_origin origin;
};

/* Both arrays are sorted by file name and have `count` elements that belong together. */
struct library {
    struct library_file *files;
    struct scenario *scenarios;
    size_t count;
};

/* EFI_OUT_OF_RESOURCES when there is too little memory to check them. Files that cannot be read are
 * left out with a note. */
[[nodiscard]] EFI_STATUS library_load(struct library *library, const struct volume *volume);

/* Is there a scenario of that name, broken or not? */
bool library_has(const struct library *library, struct text name);

#endif
