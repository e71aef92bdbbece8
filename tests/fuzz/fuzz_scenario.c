/* libFuzzer: any bytes as a scenario file. The front half must neither crash nor hang, and must say what
 * it refuses, with a place that is in the file. */
#include <stdio.h>
#include <stdlib.h>

#include "core/script/script.h"

#define ARENA_BYTES (16 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void format_errors(const struct scenario *scenario)
{
    char text[1024];
    for (size_t i = 0; i < scenario->error_count; i++) {
        require(scenario->errors[i].line >= 1 && scenario->errors[i].column >= 1);
        require(scenario->errors[i].message[0] != '\0');
        require(scenario_format_error(scenario, i, text, sizeof(text)) < sizeof(text));
    }
}

/* The file is called what its scenario is called, or the checker would never be reached. */
static void name_file(struct text source, char *name, size_t size)
{
    struct text rest = source;
    if (text_starts(source, "scenario ")) {
        (void)text_cut(&rest, ' ');
        rest = text_cut(&rest, ' ');
    }
    snprintf(name, size, "%.*s.scn", (int)(rest.size < 64 ? rest.size : 64), rest.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char *memory;
    static struct scenario scenario;
    struct arena arena;
    if (memory == NULL)
        memory = malloc(ARENA_BYTES);
    require(memory != NULL);
    arena_init(&arena, memory, ARENA_BYTES);
    struct text source = {(const char *)data, size};
    char name[80];
    name_file(source, name, sizeof(name));
    result_t result = scenario_load(&scenario, &arena, name, source);
    require((result == OK) == (scenario.error_count == 0));
    require((result == OK) == (scenario.script != NULL));
    format_errors(&scenario);
    return 0;
}
