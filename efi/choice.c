/* What is to run and how. */
#include "efi/choice.h"

#include "core/fmt.h"

static result_t check_references(const struct choice *choice, const struct boot_params *params,
                                 struct boot_params_error *error)
{
    return boot_params_check_scenarios(params, choice->library->scenarios, choice->library->count,
                                       error);
}

static result_t select(struct choice *choice, const struct boot_params *params,
                       struct boot_params_error *error)
{
    return scenario_select(choice->library->scenarios, choice->library->count, params, error);
}

EFI_STATUS choice_init(struct choice *choice, struct library *library, const struct volume *volume)
{
    *choice = (struct choice){
        .library = library,
        .current = firmware_pool(sizeof(struct parameters)),
        .spare = firmware_pool(sizeof(struct parameters)),
    };
    if (choice->current == NULL || choice->spare == NULL)
        return EFI_OUT_OF_RESOURCES;

    struct boot_params *params = &choice->current->params;
    options_collect(&choice->current->options, volume, library);
    boot_params_defaults(params);
    /* Word by word, because menu= and run= behind a bad word decide whether a menu can show it. */
    struct text rest = options_text(&choice->current->options);
    while (rest.size > 0) {
        struct boot_params_error error;
        if (boot_params_parse(params, text_cut(&rest, '\n'), &error) != OK && !choice->bad_word) {
            choice->error = error;
            choice->bad_word = true;
        }
    }
    struct boot_params_error error;
    if ((check_references(choice, params, &error) != OK || select(choice, params, &error) != OK) &&
        !choice->bad_word)
        choice->error = error;
    return EFI_SUCCESS;
}

static result_t try_parameters(struct choice *choice, struct text words,
                               struct boot_params_error *error)
{
    struct parameters *spare = choice->spare;
    spare->options.size = 0;
    boot_params_defaults(&spare->params);
    if (!options_add(&spare->options, words)) {
        fmt_print(error->text, sizeof(error->text), "parameters are longer than %d bytes",
                  OPTIONS_MAX);
        return EINVAL;
    }
    result_t result = boot_params_parse(&spare->params, options_text(&spare->options), error);
    return result == OK ? check_references(choice, &spare->params, error) : result;
}

/* Ticks what run= and skip= say; on failure the ticks stay as they are. */
static result_t tick_again(struct choice *choice, const struct boot_params *params,
                           struct boot_params_error *error)
{
    bool ticks[LIBRARY_MAX];
    struct scenario *scenarios = choice->library->scenarios;
    for (size_t i = 0; i < choice->library->count; i++)
        ticks[i] = scenarios[i].selected;
    result_t result = select(choice, params, error);
    for (size_t i = 0; result != OK && i < choice->library->count; i++)
        scenarios[i].selected = ticks[i];
    return result;
}

result_t choice_replace(struct choice *choice, struct text words, struct boot_params_error *error)
{
    if (try_parameters(choice, words, error) != OK)
        return EINVAL;
    const struct boot_params *old = &choice->current->params;
    const struct boot_params *new = &choice->spare->params;
    bool selects = !text_equal(old->run, new->run) || !text_equal(old->skip, new->skip);
    if (selects && tick_again(choice, new, error) != OK)
        return EINVAL;

    struct parameters *before = choice->current;
    choice->current = choice->spare;
    choice->spare = before;
    choice->error.text[0] = '\0';
    choice->bad_word = false;
    return OK;
}

size_t choice_ticked_count(const struct choice *choice)
{
    size_t count = 0;
    for (size_t i = 0; i < choice->library->count; i++)
        count += choice->library->scenarios[i].selected;
    return count;
}

static bool append(struct options *options, struct text text)
{
    if (text.size > OPTIONS_MAX - options->size)
        return false;
    memcpy(options->words + options->size, text.data, text.size);
    options->size += text.size;
    return true;
}

static bool append_ticks(struct options *options, const struct choice *choice)
{
    const struct library *library = choice->library;
    if (choice_ticked_count(choice) == library->count)
        return append(options, TEXT("run=all\n"));
    bool fits = append(options, TEXT("run="));
    bool first = true;
    for (size_t i = 0; i < library->count && fits; i++) {
        if (!library->scenarios[i].selected)
            continue;
        fits = (first || append(options, TEXT(","))) && append(options, library->scenarios[i].name);
        first = false;
    }
    return fits && append(options, TEXT("\n"));
}

result_t choice_keep_ticks(struct choice *choice)
{
    struct options *options = &choice->spare->options;
    options->size = 0;
    struct text rest = options_text(&choice->current->options);
    while (rest.size > 0) {
        struct text word = text_cut(&rest, '\n');
        if (text_starts(word, "run=") || text_starts(word, "skip="))
            continue;
        if (!append(options, word) || !append(options, TEXT("\n")))
            return ENOMEM;
    }
    if (!append_ticks(options, choice))
        return ENOMEM;
    struct boot_params_error error;
    boot_params_defaults(&choice->spare->params);
    result_t result = boot_params_parse(&choice->spare->params, options_text(options), &error);
    if (result != OK)
        return result;

    struct parameters *before = choice->current;
    choice->current = choice->spare;
    choice->spare = before;
    return OK;
}
