/* Boot parameters: one table, a row a parameter, each with a function that checks and stores. */
#include "core/script/boot_params.h"

#include "core/fmt.h"
#include "core/script/commands.h"
#include "core/script/number.h"
#include "core/script/suggest.h"

/* So much of a bad word is repeated in a message. */
#define WORD_SHOWN_MAX 60
/* A word this many letters off a parameter's name is still meant for PageLab. */
#define OURS_DISTANCE_MAX 2
#define TIMEOUT_SECONDS_MAX 86400
#define CPUS_MAX 65535
#define SERIAL_CLOCK 115200

struct parameter {
    const char *name;
    const char *values; /* for messages: what is allowed */
    /* EINVAL: bad value. ENOTSUP: a value of a later version. */
    result_t (*apply)(struct boot_params *params, struct text value);
};

/* The index of a word in a list that blanks separate; -1: not there. */
static int index_in(const char *words, struct text word)
{
    struct text rest = text_of(words);
    for (int i = 0; rest.size > 0; i++) {
        if (text_equal(text_cut(&rest, ' '), word))
            return i;
    }
    return -1;
}

/* Reads a plain unsigned number up to `limit`. */
static bool read_number(struct text value, uint64_t limit, uint64_t *number)
{
    int64_t parsed;
    if (number_of(value, &parsed) != NUMBER_OK || (uint64_t)parsed > limit)
        return false;
    *number = (uint64_t)parsed;
    return true;
}

static result_t read_switch(struct text value, bool *on)
{
    int index = index_in("off on", value);
    if (index < 0)
        return EINVAL;
    *on = index == 1;
    return OK;
}

/* `run=` and `skip=`: names and `tag:TAG`, none empty; whether they exist is checked later. */
static bool is_selection(struct text value)
{
    if (value.size == 0 || value.data[value.size - 1] == ',')
        return false;
    while (value.size > 0) {
        struct text item = text_cut(&value, ',');
        if (item.size == 0 || text_is(item, "tag:"))
            return false;
    }
    return true;
}

static result_t apply_run(struct boot_params *params, struct text value)
{
    if (!is_selection(value))
        return EINVAL;
    params->run = value;
    return OK;
}

static result_t apply_skip(struct boot_params *params, struct text value)
{
    if (!is_selection(value))
        return EINVAL;
    params->skip = value;
    return OK;
}

static result_t apply_menu(struct boot_params *params, struct text value)
{
    int index = index_in("auto on off", value);
    if (index < 0)
        return EINVAL;
    params->menu = (enum menu_mode)index;
    return OK;
}

static result_t apply_timeout(struct boot_params *params, struct text value)
{
    uint64_t seconds;
    if (!read_number(value, TIMEOUT_SECONDS_MAX, &seconds))
        return EINVAL;
    params->timeout_seconds = (unsigned)seconds;
    return OK;
}

static result_t apply_cpus(struct boot_params *params, struct text value)
{
    uint64_t count = 0;
    if (!text_is(value, "all") && (!read_number(value, CPUS_MAX, &count) || count == 0))
        return EINVAL;
    params->cpus = (unsigned)count;
    return OK;
}

static result_t apply_seed(struct boot_params *params, struct text value)
{
    uint64_t seed;
    if (!read_number(value, UINT64_MAX, &seed))
        return EINVAL;
    params->seed = seed;
    params->has_seed = true;
    return OK;
}

static bool is_baud(struct text value)
{
    uint64_t baud;
    return read_number(value, SERIAL_CLOCK, &baud) && baud != 0 && SERIAL_CLOCK % baud == 0;
}

static bool is_serial(struct text value)
{
    if (text_is(value, "auto") || text_is(value, "off"))
        return true;
    if (value.size > 0 && value.data[value.size - 1] == ',')
        return false;
    bool has_baud = false;
    struct text kind = text_cut(&value, ',');
    if (text_is(kind, "mmio") || text_is(kind, "io")) {
        uint64_t address;
        uint64_t limit = text_is(kind, "io") ? 0xfff8 : INT64_MAX;
        if (!read_number(text_cut(&value, ','), limit, &address) || address == 0)
            return false;
        has_baud = value.size > 0;
    } else if (index_in("ttyS0 ttyS1 ttyS2 ttyS3", kind) >= 0) {
        has_baud = value.size > 0;
    } else {
        return false;
    }
    return !has_baud || is_baud(value);
}

static result_t apply_serial(struct boot_params *params, struct text value)
{
    if (!is_serial(value) || value.size >= sizeof(params->serial))
        return EINVAL;
    memcpy(params->serial, value.data, value.size);
    params->serial[value.size] = '\0';
    return OK;
}

static result_t apply_screen(struct boot_params *params, struct text value)
{
    int index = index_in("auto off", value);
    if (index < 0)
        return EINVAL;
    params->screen_off = index == 1;
    return OK;
}

static result_t apply_check(struct boot_params *params, struct text value)
{
    int index = index_in("each off debug deep", value);
    if (index < 0)
        return EINVAL;
    params->check = (enum check_mode)index;
    return OK;
}

static result_t apply_paging(struct boot_params *params, struct text value)
{
    static const unsigned levels[] = {0, 4, 5};
    int index = index_in("auto 4 5", value);
    if (index < 0)
        return EINVAL;
    params->paging = levels[index];
    return OK;
}

static result_t apply_samples(struct boot_params *params, struct text value)
{
    return read_switch(value, &params->samples);
}

static result_t apply_hist(struct boot_params *params, struct text value)
{
    return read_switch(value, &params->hist);
}

static result_t apply_phases(struct boot_params *params, struct text value)
{
    (void)params;
    bool on;
    result_t result = read_switch(value, &on);
    return result == OK && on ? ENOTSUP : result;
}

static result_t apply_on_exit(struct boot_params *params, struct text value)
{
    int index = index_in("poweroff reboot halt qemu", value);
    if (index < 0)
        return EINVAL;
    params->on_exit = (enum on_exit)index;
    return OK;
}

static result_t apply_log(struct boot_params *params, struct text value)
{
    static const enum log_level levels[] = {LOG_INFO, LOG_DEBUG, LOG_ERROR};
    int index = index_in("info debug error", value);
    if (index < 0)
        return EINVAL;
    params->log = levels[index];
    return OK;
}

static result_t apply_selftest(struct boot_params *params, struct text value)
{
    int index = index_in("panic hang stale", value);
    if (index < 0)
        return EINVAL;
    params->selftest = (enum selftest)(SELFTEST_PANIC + index);
    return OK;
}

static const struct parameter parameters[] = {
    {"run", "names and tag:TAG, separated by commas", apply_run},
    {"skip", "names and tag:TAG, separated by commas", apply_skip},
    {"menu", "auto, on or off", apply_menu},
    {"timeout", "seconds up to 86400; 0 waits for ever", apply_timeout},
    {"cpus", "all or a number from 1", apply_cpus},
    {"seed", "a number of 64 bits", apply_seed},
    {"serial", "auto, off, ttyS0..ttyS3, mmio,ADDR or io,PORT; then ,BAUD that divides 115200",
     apply_serial},
    {"screen", "auto or off", apply_screen},
    {"check", "each, off, debug or deep", apply_check},
    {"paging", "auto, 4 or 5", apply_paging},
    {"samples", "off or on", apply_samples},
    {"hist", "off or on", apply_hist},
    {"phases", "off (on arrives with a later version)", apply_phases},
    {"on-exit", "poweroff, reboot, halt or qemu", apply_on_exit},
    {"log", "info, debug or error", apply_log},
    {"selftest", "panic, hang or stale", apply_selftest},
};

void boot_params_defaults(struct boot_params *params)
{
    memset(params, 0, sizeof(*params));
    params->menu = MENU_AUTO;
    params->timeout_seconds = 30;
    params->check = CHECK_EACH;
    params->on_exit = ON_EXIT_POWEROFF;
    params->log = LOG_INFO;
    memcpy(params->serial, "auto", sizeof("auto"));
}

static struct text shown(struct text word)
{
    if (word.size > WORD_SHOWN_MAX)
        word.size = WORD_SHOWN_MAX;
    return word;
}

static const struct parameter *find_parameter(struct text key)
{
    for (size_t i = 0; i < ARRAY_COUNT(parameters); i++) {
        if (text_is(key, parameters[i].name))
            return &parameters[i];
    }
    return NULL;
}

static struct suggestion nearest_parameter(struct text key)
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, key);
    for (size_t i = 0; i < ARRAY_COUNT(parameters); i++)
        suggestion_offer(&suggestion, text_of(parameters[i].name));
    return suggestion;
}

static result_t refuse_unknown(struct text word, struct text key, struct boot_params_error *error)
{
    struct suggestion suggestion = nearest_parameter(key);
    fmt_print(error->text, sizeof(error->text), "unknown boot parameter '%.*s' (nearest: '%.*s=')",
              TEXT_ARGS(shown(word)), TEXT_ARGS(suggestion.nearest));
    return EINVAL;
}

/* Keeps SCENARIO.PARAM=VALUES; a second word for the same parameter takes the first one's place. */
static result_t keep_override(struct boot_params *params, struct text word, struct text key,
                              struct text values, struct boot_params_error *error)
{
    struct boot_override override = {.values = values, .word = word, .param = key};
    override.scenario = text_cut(&override.param, '.');
    if (values.size == 0 || override.scenario.size == 0 || override.param.size == 0) {
        fmt_print(error->text, sizeof(error->text),
                  "bad boot parameter '%.*s': SCENARIO.PARAM=VALUE,... is meant",
                  TEXT_ARGS(shown(word)));
        return EINVAL;
    }
    size_t at = 0;
    while (at < params->override_count &&
           !(text_equal(params->overrides[at].scenario, override.scenario) &&
             text_equal(params->overrides[at].param, override.param)))
        at++;
    if (at == BOOT_OVERRIDES_MAX) {
        fmt_print(error->text, sizeof(error->text),
                  "too many parameters of scenarios: '%.*s' is one more than %d",
                  TEXT_ARGS(shown(word)), BOOT_OVERRIDES_MAX);
        return EINVAL;
    }
    params->overrides[at] = override;
    if (at == params->override_count)
        params->override_count++;
    return OK;
}

static const struct {
    const char *name;
    const char *words;
    unsigned values[POLICY_VALUES_MAX];
} policies[POLICY_COUNT] = {
    [POLICY_MAP_AROUND] = {"map_around", "0 16", {0, 16}},
};

const char *policy_name(enum policy policy)
{
    return policies[policy].name;
}

size_t boot_params_policy(const struct boot_params *params, enum policy policy,
                          unsigned values[POLICY_VALUES_MAX])
{
    size_t count = 0;
    struct text rest = params->policies[policy];
    while (rest.size > 0 && count < POLICY_VALUES_MAX) {
        int index = words_index(policies[policy].words, text_cut(&rest, ','));
        values[count++] = policies[policy].values[index];
    }
    return count;
}

/* Keeps policy.NAME=VALUES; later words win. */
static result_t keep_policy(struct boot_params *params, struct text word, struct text name,
                            struct text values, struct boot_params_error *error)
{
    size_t policy = 0;
    while (policy < POLICY_COUNT && !text_is(name, policies[policy].name))
        policy++;
    if (policy == POLICY_COUNT) {
        fmt_print(error->text, sizeof(error->text),
                  "unknown boot parameter '%.*s' (the policies are: policy.%s)",
                  TEXT_ARGS(shown(word)), policies[0].name);
        return EINVAL;
    }
    struct text rest = values;
    size_t count = 0;
    bool good = values.size > 0;
    for (; good && rest.size > 0; count++)
        good = words_index(policies[policy].words, text_cut(&rest, ',')) >= 0;
    if (!good || count > POLICY_VALUES_MAX) {
        fmt_print(error->text, sizeof(error->text),
                  "bad boot parameter '%.*s': 'policy.%s' takes some of %s, with commas between",
                  TEXT_ARGS(shown(word)), policies[policy].name, policies[policy].words);
        return EINVAL;
    }
    params->policies[policy] = values;
    return OK;
}

static result_t apply_word(struct boot_params *params, struct text word,
                           struct boot_params_error *error)
{
    struct text value = word;
    struct text key = text_cut(&value, '=');
    if (key.size == word.size)
        return refuse_unknown(word, key, error);
    if (text_starts(key, "policy.")) {
        struct text name = key;
        (void)text_cut(&name, '.');
        return keep_policy(params, word, name, value, error);
    }
    const struct parameter *parameter = find_parameter(key);
    if (parameter == NULL) {
        struct text rest = key;
        if (text_cut(&rest, '.').size != key.size)
            return keep_override(params, word, key, value, error);
        return refuse_unknown(word, key, error);
    }
    result_t result = parameter->apply(params, value);
    if (result == ENOTSUP)
        fmt_print(error->text, sizeof(error->text),
                  "boot parameter '%.*s' is not yet supported: '%s' takes %s",
                  TEXT_ARGS(shown(word)), parameter->name, parameter->values);
    else if (result != OK)
        fmt_print(error->text, sizeof(error->text), "bad boot parameter '%.*s': '%s' takes %s",
                  TEXT_ARGS(shown(word)), parameter->name, parameter->values);
    return result;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n' || byte == '\0';
}

/* Cuts the next word off *rest, passing over blanks and comments; empty at the end. */
static struct text cut_word(struct text *rest)
{
    struct text t = *rest;
    bool in_comment = false;
    size_t at = 0;
    for (; at < t.size; at++) {
        in_comment = (in_comment || t.data[at] == '#') && t.data[at] != '\n';
        if (!in_comment && !is_blank(t.data[at]))
            break;
    }
    size_t start = at;
    while (at < t.size && !is_blank(t.data[at]))
        at++;
    *rest = (struct text){t.data + at, t.size - at};
    return (struct text){t.data + start, at - start};
}

result_t boot_params_parse(struct boot_params *params, struct text text,
                           struct boot_params_error *error)
{
    error->text[0] = '\0';
    for (struct text word = cut_word(&text); word.size > 0; word = cut_word(&text)) {
        result_t result = apply_word(params, word, error);
        if (result != OK)
            return result;
    }
    return OK;
}

static bool has_equals(struct text word)
{
    size_t size = word.size;
    return text_cut(&word, '=').size != size;
}

bool boot_params_is_ours(struct text word)
{
    struct text value = word;
    struct text key = text_cut(&value, '=');
    if (key.size == word.size || key.size == 0)
        return false;
    if (text_starts(key, "policy."))
        return true;
    return nearest_parameter(key).distance <= OURS_DISTANCE_MAX;
}

struct text boot_params_cut_word(struct text *words)
{
    return cut_word(words);
}

bool boot_params_are_ours(struct text *words)
{
    struct text rest = *words;
    struct text first = cut_word(&rest);
    if (!has_equals(first))
        *words = rest;
    rest = *words;
    bool any = false;
    for (struct text word = cut_word(&rest); word.size > 0; word = cut_word(&rest)) {
        any = true;
        if (boot_params_is_ours(word))
            return true;
    }
    return !any;
}

bool boot_params_wants_menu(const struct boot_params *params)
{
    if (params->menu == MENU_AUTO)
        return params->run.size == 0;
    return params->menu == MENU_ON;
}
