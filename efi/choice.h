/* What is to run and how: boot parameters and ticked scenarios, checked against each other. */
#ifndef EFI_CHOICE_H
#define EFI_CHOICE_H

#include "efi/library.h"
#include "efi/options.h"

/* Slices of params point into options. */
struct parameters {
    struct options options;
    struct boot_params params;
};

/* Ticks are the `selected` flags of the library's scenarios. */
struct choice {
    struct library *library;
    struct parameters *current;
    struct parameters *spare;       /* where a change is tried */
    struct boot_params_error error; /* of the current parameters; empty when they are good */
    bool bad_word;                  /* the error is in a parameter itself, not in what it names */
};

/* Takes the parameters as they were found. Words that are good count even when others are not. */
[[nodiscard]] EFI_STATUS choice_init(struct choice *choice, struct library *library,
                                     const struct volume *volume);

/* Replaces all parameters; what is ticked changes only when run= or skip= did. EINVAL with *error, and
 * nothing has changed, when they are bad. */
result_t choice_replace(struct choice *choice, struct text words, struct boot_params_error *error);

size_t choice_ticked_count(const struct choice *choice);

/* Writes what is ticked into the parameters, as run=. ENOMEM: too many names. */
result_t choice_keep_ticks(struct choice *choice);

#endif
