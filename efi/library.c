/* The scenarios of this boot. */
#include "efi/library.h"

#include "core/fmt.h"
#include "efi/embedded.h"
#include "efi/notes.h"

#define DIRECTORY "\\pagelab\\scenarios"
#define SUFFIX ".scn"
/* What checked scenarios need, as a multiple of their text, within limits. */
#define ARENA_PER_TEXT 64
#define ARENA_MIN (4 * MIB)
#define ARENA_MAX (32 * MIB)

struct collector {
    struct library *library;
    const struct volume *volume;
};

static struct library_file *find_file(const struct library *library, const char *file_name)
{
    for (size_t i = 0; i < library->count; i++) {
        if (text_is(text_of(library->files[i].file_name), file_name))
            return &library->files[i];
    }
    return NULL;
}

/* A file of the same name is replaced. */
static void add_file(struct library *library, const char *file_name, struct text source,
                     enum boot_scenario_origin origin)
{
    struct library_file *file = find_file(library, file_name);
    if (file == NULL && library->count == LIBRARY_MAX) {
        notes_add("%s is ignored: there are more than %d scenarios", file_name, LIBRARY_MAX);
        return;
    }
    if (file == NULL)
        file = &library->files[library->count++];
    fmt_print(file->file_name, sizeof(file->file_name), "%s", file_name);
    file->source = source;
    file->origin = origin;
}

static bool has_suffix(struct text name)
{
    struct text suffix = TEXT(SUFFIX);
    if (name.size <= suffix.size)
        return false;
    return text_equal((struct text){name.data + name.size - suffix.size, suffix.size}, suffix);
}

/* Short names on FAT have no case of their own, and scenarios have small letters. */
static void to_lower(char *name)
{
    for (; *name != '\0'; name++) {
        if (*name >= 'A' && *name <= 'Z')
            *name = (char)(*name - 'A' + 'a');
    }
}

/* No file system allows a `?` in a name: volume_list() has put it there. */
static bool has_unknown_letters(const char *name)
{
    struct text rest = text_of(name);
    return text_cut(&rest, '?').size < strlen(name);
}

static void visit_volume_file(void *context, const char *name)
{
    struct collector *collector = context;
    char lower[VOLUME_NAME_MAX];
    fmt_print(lower, sizeof(lower), "%s", name);
    to_lower(lower);
    /* Other systems leave files like ._fork-cow.scn behind. */
    if (lower[0] == '.' || !has_suffix(text_of(lower)))
        return;
    if (has_unknown_letters(lower)) {
        notes_add("%s\\%s is ignored: its name is not ASCII", DIRECTORY, name);
        return;
    }
    if (strlen(lower) >= sizeof(collector->library->files[0].file_name)) {
        notes_add("%s\\%s is ignored: its name is too long", DIRECTORY, name);
        return;
    }

    char path[sizeof(DIRECTORY) + VOLUME_NAME_MAX];
    fmt_print(path, sizeof(path), "%s\\%s", DIRECTORY, name);
    struct text source;
    EFI_STATUS status = volume_read(collector->volume, path, SCRIPT_FILE_MAX, &source);
    if (EFI_ERROR(status))
        notes_add("%s cannot be read and is ignored: %s", path, firmware_status_name(status));
    else
        add_file(collector->library, lower, source, SCENARIO_VOLUME);
}

static void sort_files(struct library *library)
{
    for (size_t i = 1; i < library->count; i++) {
        struct library_file file = library->files[i];
        size_t at = i;
        for (; at > 0 &&
               text_compare(text_of(library->files[at - 1].file_name), text_of(file.file_name)) > 0;
             at--)
            library->files[at] = library->files[at - 1];
        library->files[at] = file;
    }
}

static void collect(struct library *library, const struct volume *volume)
{
    for (const struct embedded_scenario *embedded = embedded_scenarios;
         embedded < embedded_scenarios_end; embedded++)
        add_file(library, embedded->file_name, (struct text){embedded->text, embedded->size_bytes},
                 SCENARIO_BUILT_IN);

    struct collector collector = {.library = library, .volume = volume};
    EFI_STATUS status = volume_list(volume, DIRECTORY, visit_volume_file, &collector);
    if (EFI_ERROR(status))
        notes_add("%s cannot be read in full: %s", DIRECTORY, firmware_status_name(status));
    sort_files(library);
}

static EFI_STATUS check_all(struct library *library)
{
    size_t text_bytes = 0;
    for (size_t i = 0; i < library->count; i++)
        text_bytes += library->files[i].source.size;

    /* A small machine has less than the largest scripts might need, and still enough for the others. */
    struct arena arena;
    void *memory = NULL;
    size_t arena_bytes = ARENA_MIN + text_bytes * ARENA_PER_TEXT;
    arena_bytes = arena_bytes < ARENA_MAX ? arena_bytes : ARENA_MAX;
    EFI_STATUS status = firmware_allocate(arena_bytes, 1, &memory);
    for (; EFI_ERROR(status) && arena_bytes > ARENA_MIN; arena_bytes /= 2)
        status = firmware_allocate(arena_bytes / 2, 1, &memory);
    if (EFI_ERROR(status))
        return status;
    arena_init(&arena, memory, arena_bytes);
    for (size_t i = 0; i < library->count; i++) {
        const struct library_file *file = &library->files[i];
        result_t result =
            scenario_load(&library->scenarios[i], &arena, file->file_name, file->source);
        if (result == ENOMEM)
            notes_add("%s could not be checked: too little memory", file->file_name);
    }
    return EFI_SUCCESS;
}

bool library_has(const struct library *library, struct text name)
{
    for (size_t i = 0; i < library->count; i++) {
        if (text_equal(library->scenarios[i].name, name))
            return true;
    }
    return false;
}

EFI_STATUS library_load(struct library *library, const struct volume *volume)
{
    *library = (struct library){.files = firmware_pool(LIBRARY_MAX * sizeof(struct library_file))};
    if (library->files == NULL)
        return EFI_OUT_OF_RESOURCES;
    collect(library, volume);
    library->scenarios = firmware_pool((library->count + 1) * sizeof(struct scenario));
    if (library->scenarios == NULL)
        return EFI_OUT_OF_RESOURCES;
    return check_all(library);
}
