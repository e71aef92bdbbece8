/* libFuzzer: any bytes as boot parameters, parsed, judged and applied to a small library. */
#include <stdlib.h>
#include <string.h>

#include "core/script/boot_params.h"
#include "core/script/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void require_message(const struct boot_params_error *error, result_t result)
{
    size_t length = strlen(error->text);
    require(length < sizeof(error->text));
    require((result == OK) == (length == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct boot_params params;
    static struct boot_params_error error;
    static struct scenario library[2] = {
        {.name = {"null", 4}, .tag_count = 1, .tags = {{"quick", 5}}},
        {.name = {"fork-cow", 8}, .param_count = 1, .params = {{.name = {"pages", 5}}}},
    };
    struct text words = {(const char *)data, size};
    (void)scenario_words_are_ours(&words, library, 2);
    boot_params_defaults(&params);
    result_t result = boot_params_parse(&params, words, &error);
    require_message(&error, result);
    (void)boot_params_wants_menu(&params);
    if (result != OK)
        return 0;
    result = scenario_select(library, 2, &params, &error);
    require_message(&error, result);
    result = boot_params_check_scenarios(&params, library, 2, &error);
    require_message(&error, result);
    return 0;
}
