/* pagelab-host: a whole run of PageLab on the simulated machine, from the loader's hand-over to the
 * status. It prints the stream that the serial port would carry. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/main.h"
#include "machine_sim.h"

#define FILES_MAX 512
#define FILE_BYTES_MAX (4 * MIB)
#define RAMDISK_BYTES_MAX (64 * MIB)
#define PARAMETERS_MAX 65536

static const char usage[] =
    "usage: pagelab-host [PARAM ...] [FILE.scn ...] [options]\n"
    "\n"
    "Runs PageLab's core on a simulated machine. PARAM are boot parameters (run=fork-cow,\n"
    "check=debug, ...). A FILE replaces the scenario of its name; without run= the FILEs are run.\n"
    "\n"
    "  --memory SIZE      RAM, with suffix K, M or G (256M)\n"
    "  --low-memory SIZE  of it below 4 GiB (up to 2G)\n"
    "  --cpus N           CPUs (2)\n"
    "  --disk SIZE        of the read-only disk; 0: none (64M)\n"
    "  --ramdisk FILE     what RAM disks begin with (nothing; up to 64M)\n"
    "  --protect          a write to kernel objects outside their window is a panic (check=deep; slow)\n"
    "  --exact            time is a counter that moves only when it is looked at; seed=1\n"
    "  --scenarios DIR    the library (scenarios)\n"
    "\n"
    "Exits with the run's status: 0 passed, 1 failed, 2 panic, 3 bad parameter or file.\n"
    "PAGELAB_ABORT=1 in the environment makes a panic dump core.\n";

static struct sim_file files[FILES_MAX];
static size_t file_count;
static char parameters[PARAMETERS_MAX];

[[gnu::noreturn]] static void complain(const char *what, const char *about)
{
    fprintf(stderr, "pagelab-host: %s '%s' (pagelab-host --help tells more)\n", what, about);
    exit(3);
}

static void add_parameter(const char *word)
{
    if (strlen(parameters) + strlen(word) + 2 > sizeof(parameters))
        complain("too many parameters at", word);
    strcat(parameters, word);
    strcat(parameters, "\n");
}

static uint64_t parse_size(const char *option, const char *text)
{
    char *end;
    errno = 0;
    uint64_t size = strtoull(text, &end, 10);
    unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;

    if (shift != 0)
        end++;
    if (errno != 0 || end == text || *end != '\0' || size == 0 || size > UINT64_MAX >> shift)
        complain(option, text);
    return size << shift;
}

/* --- files ------------------------------------------------------------------------------------------ */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static void read_file(const char *path, struct sim_file *file, size_t most)
{
    FILE *stream = fopen(path, "rb");
    char *text = malloc(most);

    if (stream == NULL || text == NULL)
        complain("cannot read", path);
    file->size_bytes = fread(text, 1, most, stream);
    if (ferror(stream) || !feof(stream))
        complain(most == FILE_BYTES_MAX ? "cannot read (or above 4 MiB)"
                                        : "cannot read (or above 64 MiB)",
                 path);
    fclose(stream);
    file->text = text;
    file->name = strdup(base_name(path));
}

/* A file replaces an earlier one of its name. */
static void add_file(const char *path)
{
    size_t at = 0;
    while (at < file_count && strcmp(files[at].name, base_name(path)) != 0)
        at++;
    if (at == FILES_MAX)
        complain("too many scenarios at", path);
    read_file(path, &files[at], FILE_BYTES_MAX);
    if (at == file_count)
        file_count++;
}

static int is_scenario(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".scn") == 0;
}

static void add_library(const char *directory)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, is_scenario, alphasort);
    if (count < 0)
        complain("cannot read the directory", directory);
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
        add_file(path);
        free(entries[i]);
    }
    free(entries);
}

/* --- the command line --------------------------------------------------------------------------------- */

struct command {
    struct sim_config config;
    const char *library;
    const char *files[FILES_MAX];
    size_t file_count;
    bool has_run;
};

static void add_ramdisk(struct sim_config *config, const char *path)
{
    struct sim_file file;
    read_file(path, &file, RAMDISK_BYTES_MAX);
    config->ramdisk = file.text;
    config->ramdisk_bytes = file.size_bytes;
}

/* An option with a value; false if `name` is none. */
static bool parse_option(struct command *command, const char *name, const char *value)
{
    bool known = strcmp(name, "--memory") == 0 || strcmp(name, "--low-memory") == 0 ||
                 strcmp(name, "--cpus") == 0 || strcmp(name, "--scenarios") == 0 ||
                 strcmp(name, "--disk") == 0 || strcmp(name, "--ramdisk") == 0;
    if (known && value == NULL)
        complain("a value is missing behind", name);
    if (!known)
        return false;
    if (name[2] == 'm')
        command->config.memory_bytes = parse_size(name, value);
    else if (name[2] == 'l')
        command->config.low_memory_bytes = parse_size(name, value);
    else if (name[2] == 'd')
        command->config.disk_bytes = parse_size(name, value);
    else if (name[2] == 'r')
        add_ramdisk(&command->config, value);
    else if (name[2] == 'c')
        command->config.cpu_count = (unsigned)parse_size(name, value);
    else
        command->library = value;
    return true;
}

static void parse_word(struct command *command, const char *word)
{
    size_t length = strlen(word);

    if (strcmp(word, "--help") == 0) {
        fputs(usage, stdout);
        exit(0);
    }
    if (strcmp(word, "--exact") == 0) {
        command->config.exact = true;
        return;
    }
    if (strcmp(word, "--protect") == 0) {
        command->config.protect_objects = true;
        return;
    }
    if (word[0] == '-')
        complain("unknown option", word);
    if (strchr(word, '=') == NULL && length > 4 && strcmp(word + length - 4, ".scn") == 0) {
        if (command->file_count == FILES_MAX)
            complain("too many files at", word);
        command->files[command->file_count++] = word;
        return;
    }
    command->has_run |= strncmp(word, "run=", 4) == 0;
    add_parameter(word);
}

/* `run=` of the files named on the command line. */
static void run_the_files(const struct command *command)
{
    char word[PARAMETERS_MAX] = "run=";
    size_t length = 4;
    for (size_t i = 0; i < command->file_count && length < sizeof(word); i++) {
        const char *name = base_name(command->files[i]);
        length += (size_t)snprintf(word + length, sizeof(word) - length, "%s%.*s",
                                   i == 0 ? "" : ",", (int)strlen(name) - 4, name);
    }
    add_parameter(word);
}

int main(int count, char **words)
{
    static struct command command = {
        .config.cpu_count = 2, .config.disk_bytes = 64 * MIB, .library = "scenarios"};

    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--exact") == 0)
            add_parameter("seed=1"); /* a seed given behind it wins */
        if (parse_option(&command, words[i], words[i + 1]))
            i++;
        else
            parse_word(&command, words[i]);
    }
    add_library(command.library);
    for (size_t i = 0; i < command.file_count; i++)
        add_file(command.files[i]);
    if (command.file_count != 0 && !command.has_run)
        run_the_files(&command);

    command.config.parameters = parameters;
    command.config.scenarios = files;
    command.config.scenario_count = file_count;
    core_main(sim_start(&command.config));
}
