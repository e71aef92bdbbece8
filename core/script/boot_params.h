/* Boot parameters: the words of the load options and of pagelab.cfg (docs/boot-parameters). The same
 * code runs in the loader, in the core and on the host.
 *
 * Concepts: parsing and checking are one step, over one table of parameters; SCENARIO.PARAM words are
 * kept and checked by boot_params_check_scenarios() once the scenarios are known. */
#ifndef CORE_SCRIPT_BOOT_PARAMS_H
#define CORE_SCRIPT_BOOT_PARAMS_H

#include "core/arena.h"
#include "core/log.h"
#include "core/result.h"
#include "core/text.h"
#include "core/types.h"

#define BOOT_OVERRIDES_MAX 256

enum menu_mode { MENU_AUTO, MENU_ON, MENU_OFF };
enum check_mode { CHECK_EACH, CHECK_OFF, CHECK_DEBUG, CHECK_DEEP };
enum on_exit { ON_EXIT_POWEROFF, ON_EXIT_REBOOT, ON_EXIT_HALT, ON_EXIT_QEMU };

/* `SCENARIO.PARAM=V1,V2`. */
struct boot_override {
    struct text scenario;
    struct text param;
    struct text values;
    struct text word; /* as written, for messages */
};

/* What the core does by default and a run can set, and sweep: `policy.NAME=V1,V2`. */
enum policy {
    POLICY_MAP_AROUND, /* pages mapped by a read fault on a resident page of a file; 0: that one */
    POLICY_COUNT,
};
#define POLICY_VALUES_MAX 2

/* `selftest=`: what goes wrong on purpose, for tests. */
enum selftest {
    SELFTEST_NONE,
    SELFTEST_PANIC,
    SELFTEST_HANG,  /* a CPU does not answer any more */
    SELFTEST_STALE, /* a CPU keeps a translation */
};

struct boot_params {
    struct text run;  /* empty: not given */
    struct text skip; /* empty: not given */
    enum menu_mode menu;
    unsigned timeout_seconds;
    unsigned cpus; /* 0: all */
    bool has_seed;
    uint64_t seed;
    char serial[48]; /* terminated, checked; "auto" by default */
    bool screen_off;
    enum check_mode check;
    unsigned paging; /* levels: 4, 5; 0: as firmware has them */
    bool samples;
    bool hist;
    enum on_exit on_exit;
    enum log_level log;
    enum selftest selftest;
    struct text policies[POLICY_COUNT]; /* values, checked; empty: as the core likes */
    size_t override_count;
    struct boot_override overrides[BOOT_OVERRIDES_MAX];
};

/* One complaint, one line, without a line end: names the word and the nearest match. */
struct boot_params_error {
    char text[256];
};

void boot_params_defaults(struct boot_params *params);
/* Applies the words of `text` (separated by blanks, line ends; `#` starts a comment up to the line's
 * end), later ones win. Slices of `text` are kept: it must live as long as params. EINVAL with *error
 * at the first bad word; ENOTSUP for a parameter that this version does not support yet. */
result_t boot_params_parse(struct boot_params *params, struct text text,
                           struct boot_params_error *error);
/* Are these load options meant for PageLab? False when no word is a parameter or within two letters
 * of one. The first word is passed over when it has no `=` (*words is then cut accordingly). */
bool boot_params_are_ours(struct text *words);
/* The same for one word. SCENARIO.PARAM words do not count: who knows the scenarios asks
 * scenario_words_are_ours() (core/script/script.h) instead. */
bool boot_params_is_ours(struct text word);
/* Cuts the next word off *words, passing over blanks and comments; empty at the end. */
struct text boot_params_cut_word(struct text *words);

const char *policy_name(enum policy policy);
/* The values that a run gives a policy, in the order given; 0: none. */
size_t boot_params_policy(const struct boot_params *params, enum policy policy,
                          unsigned values[POLICY_VALUES_MAX]);

/* May this run show a menu? (`run=` without `menu=on`, or `menu=off`: no.) */
bool boot_params_wants_menu(const struct boot_params *params);

#endif
