/* Where boot parameters come from. */
#include "efi/options.h"

#include "core/script/boot_params.h"
#include "efi/notes.h"
#include "efi/utf16.h"

#define CONFIG_PATH "\\pagelab\\pagelab.cfg"
/* So much of foreign load options is repeated in the note about them. */
#define SHOWN_MAX 200

static const EFI_GUID loaded_image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;

bool options_add(struct options *options, struct text text)
{
    size_t size_before = options->size;
    struct text rest = text;
    for (struct text word = boot_params_cut_word(&rest); word.size > 0;
         word = boot_params_cut_word(&rest)) {
        if (word.size + 1 > OPTIONS_MAX - options->size) {
            options->size = size_before;
            return false;
        }
        memcpy(options->words + options->size, word.data, word.size);
        options->words[options->size + word.size] = '\n';
        options->size += word.size + 1;
    }
    return true;
}

static void add_config(struct options *options, const struct volume *volume)
{
    struct text bytes;
    EFI_STATUS status = volume_read(volume, CONFIG_PATH, OPTIONS_MAX, &bytes);
    if (status == EFI_NOT_FOUND)
        return;
    if (EFI_ERROR(status)) {
        notes_add("%s cannot be read and is ignored: %s", CONFIG_PATH,
                  firmware_status_name(status));
        return;
    }
    char *text = firmware_pool(bytes.size + 1);
    size_t length = 0;
    if (text == NULL || utf16_decode_any(text, &length, bytes.data, bytes.size) != OK)
        notes_add("%s is ignored: it is not a text file", CONFIG_PATH);
    else if (!options_add(options, (struct text){text, length}))
        notes_add("%s is ignored: it is longer than %d bytes", CONFIG_PATH, OPTIONS_MAX);
}

/* A word SCENARIO.PARAM=VALUE of a scenario that exists is nobody else's. */
static bool names_scenario(struct text words, const struct library *library)
{
    for (struct text word = boot_params_cut_word(&words); word.size > 0;
         word = boot_params_cut_word(&words)) {
        struct text key = text_cut(&word, '=');
        struct text param = key;
        if (library_has(library, text_cut(&param, '.')) && param.size > 0)
            return true;
    }
    return false;
}

static void add_load_options(struct options *options, const struct library *library)
{
    void *interface = NULL;
    if (EFI_ERROR(firmware_protocol(firmware.image, &loaded_image_guid, &interface)))
        return;
    const EFI_LOADED_IMAGE_PROTOCOL *image = interface;
    if (image->LoadOptions == NULL || image->LoadOptionsSize == 0)
        return;

    char *text = firmware_pool(image->LoadOptionsSize + 1);
    size_t length = 0;
    if (text == NULL ||
        utf16_decode_any(text, &length, image->LoadOptions, image->LoadOptionsSize) != OK) {
        notes_add("load options are ignored: %u bytes that are not text", image->LoadOptionsSize);
        return;
    }
    struct text words = {text, length};
    if (!boot_params_are_ours(&words) && !names_scenario(words, library)) {
        struct text shown = text_trim(words);
        shown.size = shown.size < SHOWN_MAX ? shown.size : SHOWN_MAX;
        notes_add("load options are ignored, no word of them is a PageLab parameter: %.*s",
                  TEXT_ARGS(shown));
    } else if (!options_add(options, words)) {
        notes_add("load options are ignored: they are longer than %d bytes", OPTIONS_MAX);
    }
}

void options_collect(struct options *options, const struct volume *volume,
                     const struct library *library)
{
    options->size = 0;
    add_config(options, volume);
    add_load_options(options, library);
}
