/* The variables that are always there, as tables. */
#include "core/script/variables.h"

#include "core/counters.h"
#include "core/fault_outcome.h"
#include "core/result.h"

struct named_variable {
    const char *name;
    enum variable_kind kind;
};

static const struct named_variable globals[] = {
    {"cpus", VARIABLE_CPUS}, {"memory", VARIABLE_MEMORY}, {"free", VARIABLE_FREE},
    {"page", VARIABLE_PAGE}, {"seed", VARIABLE_SEED},     {"rep", VARIABLE_REP},
    {"cpu", VARIABLE_CPU},   {"tsc_hz", VARIABLE_TSC_HZ},
};

static const struct named_variable of_space[] = {
    {"regions", VARIABLE_THING_REGIONS}, {"resident", VARIABLE_THING_RESIDENT},
    {"tables", VARIABLE_SPACE_TABLES},   {"low", VARIABLE_SPACE_LOW},
    {"high", VARIABLE_SPACE_HIGH},       {"digest", VARIABLE_SPACE_DIGEST},
};

static const struct named_variable of_object[] = {
    {"regions", VARIABLE_THING_REGIONS},
    {"resident", VARIABLE_THING_RESIDENT},
    {"phys", VARIABLE_OBJECT_PHYS},
    {"device_crc", VARIABLE_OBJECT_DEVICE_CRC},
    {"memory_crc", VARIABLE_OBJECT_MEMORY_CRC},
};

static const struct named_variable of_region[] = {
    {"base", VARIABLE_REGION_BASE},
    {"size", VARIABLE_REGION_SIZE},
    {"resident", VARIABLE_REGION_RESIDENT},
    {"run", VARIABLE_REGION_RUN},
};

static const char *const counter_names[] = {
#define COUNTER_TEXT(name, text) text,
    COUNTER_LIST(COUNTER_TEXT)
#undef COUNTER_TEXT
};

static const char *const error_names[] = {
#define ERROR_TEXT(name) #name,
    RESULT_LIST(ERROR_TEXT)
#undef ERROR_TEXT
};

static const char *const fault_names[] = {"segv", "prot", "bus"};
_Static_assert(FAULT_SEGV == 1 && FAULT_PROT == 2 && FAULT_BUS == 3, "order of fault_names");

/* EAGAIN never reaches a script. */
#define ERROR_NAMES_COUNT (ARRAY_COUNT(error_names) - 1)
_Static_assert(EAGAIN == RESULT_COUNT - 1, "EAGAIN is the last error");

static bool find(const struct named_variable *table, size_t count, struct text name,
                 enum variable_kind *kind)
{
    for (size_t i = 0; i < count; i++) {
        if (text_is(name, table[i].name)) {
            *kind = table[i].kind;
            return true;
        }
    }
    return false;
}

static void suggest(const struct named_variable *table, size_t count, struct suggestion *suggestion)
{
    for (size_t i = 0; i < count; i++)
        suggestion_offer(suggestion, text_of(table[i].name));
}

static bool find_name(const char *const *names, size_t count, struct text name, uint32_t *index)
{
    for (size_t i = 0; i < count; i++) {
        if (text_is(name, names[i])) {
            *index = (uint32_t)i;
            return true;
        }
    }
    return false;
}

static void suggest_names(const char *const *names, size_t count, struct suggestion *suggestion)
{
    for (size_t i = 0; i < count; i++)
        suggestion_offer(suggestion, text_of(names[i]));
}

bool variable_find_global(struct text name, enum variable_kind *kind)
{
    return find(globals, ARRAY_COUNT(globals), name, kind);
}

void variable_suggest_global(struct suggestion *suggestion)
{
    suggest(globals, ARRAY_COUNT(globals), suggestion);
}

bool variable_find_of_space(struct text attribute, enum variable_kind *kind)
{
    return find(of_space, ARRAY_COUNT(of_space), attribute, kind);
}

bool variable_find_of_object(struct text attribute, enum variable_kind *kind)
{
    return find(of_object, ARRAY_COUNT(of_object), attribute, kind);
}

void variable_suggest_of_object(struct suggestion *suggestion)
{
    suggest(of_object, ARRAY_COUNT(of_object), suggestion);
}

bool variable_find_of_region(struct text attribute, enum variable_kind *kind)
{
    return find(of_region, ARRAY_COUNT(of_region), attribute, kind);
}

void variable_suggest_of_space(struct suggestion *suggestion)
{
    suggest(of_space, ARRAY_COUNT(of_space), suggestion);
}

void variable_suggest_of_region(struct suggestion *suggestion)
{
    suggest(of_region, ARRAY_COUNT(of_region), suggestion);
}

bool counter_find(struct text name, uint32_t *counter)
{
    return find_name(counter_names, ARRAY_COUNT(counter_names), name, counter);
}

void counter_suggest(struct suggestion *suggestion)
{
    suggest_names(counter_names, ARRAY_COUNT(counter_names), suggestion);
}

bool error_find(struct text name, int64_t *number)
{
    uint32_t index;
    if (!find_name(error_names, ERROR_NAMES_COUNT, name, &index))
        return false;
    *number = (int64_t)index + 1;
    return true;
}

bool fault_find(struct text name, int64_t *number)
{
    uint32_t index;
    if (!find_name(fault_names, ARRAY_COUNT(fault_names), name, &index))
        return false;
    *number = FAULT_NUMBER_BASE + FAULT_SEGV + (int64_t)index;
    return true;
}

void error_suggest(struct suggestion *suggestion)
{
    suggest_names(error_names, ERROR_NAMES_COUNT, suggestion);
}

void fault_suggest(struct suggestion *suggestion)
{
    suggest_names(fault_names, ARRAY_COUNT(fault_names), suggestion);
}
