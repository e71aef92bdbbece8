/* pagelab-check: the checks that scenario files get at boot, on the host.
 *
 *   pagelab-check FILE...         errors on stderr, three lines each; exit 1 if there are any
 *   pagelab-check --list FILE...  name, tags, params and description, separated by tabs
 *   pagelab-check --reference     the commands of the language, from the table that checks them */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/script/commands.h"
#include "core/script/script.h"

#define ARENA_BYTES (256 * MIB)

static const char *file_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* The whole file; one byte more than allowed is enough to refuse it. (The C library's errno.h cannot
 * be included here: core/result.h has its names.) */
static bool read_file(const char *path, char *buffer, size_t *size)
{
    FILE *file = fopen(path, "rb");
    bool readable = file != NULL;
    if (readable) {
        *size = fread(buffer, 1, SCRIPT_FILE_MAX + 1, file);
        readable = ferror(file) == 0;
    }
    if (!readable)
        perror(path);
    if (file != NULL)
        fclose(file);
    return readable;
}

static void print_errors(const struct scenario *scenario)
{
    for (size_t i = 0; i < scenario->error_count; i++) {
        char text[2048];
        scenario_format_error(scenario, i, text, sizeof(text));
        fputs(text, stderr);
    }
}

static void print_row(const struct scenario *scenario)
{
    printf("%.*s\t", TEXT_ARGS(scenario->name));
    for (size_t i = 0; i < scenario->tag_count; i++)
        printf("%s%.*s", i > 0 ? " " : "", TEXT_ARGS(scenario->tags[i]));
    putchar('\t');
    for (size_t i = 0; i < scenario->param_count; i++) {
        const struct script_param *param = &scenario->params[i];
        printf("%s%.*s=", i > 0 ? " " : "", TEXT_ARGS(param->name));
        for (size_t k = 0; k < param->value_count; k++)
            printf("%s%.*s", k > 0 ? "," : "", TEXT_ARGS(param->values[k]));
    }
    printf("\t%.*s\n", TEXT_ARGS(scenario->description));
}

static void print_reference(void)
{
    for (size_t i = 0; i < command_table_count; i++) {
        const struct command_spec *spec = &command_table[i];
        if (spec->id < COMMAND_ELSE)
            printf("%s\t%s\n", spec->usage, spec->help);
    }
}

static bool check_file(const char *path, char *memory, char *buffer, bool list)
{
    size_t size;
    if (!read_file(path, buffer, &size))
        return false;
    struct arena arena;
    arena_init(&arena, memory, ARENA_BYTES);
    static struct scenario scenario;
    result_t result =
        scenario_load(&scenario, &arena, file_part(path), (struct text){buffer, size});
    print_errors(&scenario);
    if (list)
        print_row(&scenario);
    return result == OK;
}

static int usage(void)
{
    fprintf(stderr, "usage: pagelab-check FILE...\n"
                    "       pagelab-check --list FILE...\n"
                    "       pagelab-check --reference\n");
    return 2;
}

int main(int argc, char **argv)
{
    bool list = argc > 1 && strcmp(argv[1], "--list") == 0;
    if (argc == 2 && strcmp(argv[1], "--reference") == 0) {
        print_reference();
        return 0;
    }
    if (argc < (list ? 3 : 2) || (!list && argv[1][0] == '-'))
        return usage();

    char *memory = malloc(ARENA_BYTES);
    char *buffer = malloc(SCRIPT_FILE_MAX + 1);
    if (memory == NULL || buffer == NULL) {
        perror("pagelab-check");
        return 2;
    }
    bool valid = true;
    for (int i = list ? 2 : 1; i < argc; i++)
        valid &= check_file(argv[i], memory, buffer, list);
    free(buffer);
    free(memory);
    return valid ? 0 : 1;
}
