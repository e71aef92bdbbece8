/* The one table of the language's commands, with their arguments. The parser, the checker and the
 * printed reference (pagelab-check --reference) come from it. */
#ifndef CORE_SCRIPT_COMMANDS_H
#define CORE_SCRIPT_COMMANDS_H

#include "core/script/arguments.h"

enum command_id {
    COMMAND_SCENARIO,
    COMMAND_TAGS,
    COMMAND_NEEDS,
    COMMAND_PARAM,
    COMMAND_LIMIT,
    COMMAND_SPACE,
    COMMAND_OBJECT,
    COMMAND_MAP,
    COMMAND_UNMAP,
    COMMAND_PROTECT,
    COMMAND_SHARE,
    COMMAND_IDENTITY,
    COMMAND_RESIZE,
    COMMAND_MOVE,
    COMMAND_ADVISE,
    COMMAND_SYNC,
    COMMAND_FORK,
    COMMAND_EXEC,
    COMMAND_SWITCH,
    COMMAND_DROP,
    COMMAND_TOUCH,
    COMMAND_FILL,
    COMMAND_VERIFY,
    COMMAND_FLOOR,
    COMMAND_LOOKUP,
    COMMAND_FRAMES,
    COMMAND_STRAY,
    COMMAND_INJECT,
    COMMAND_SQUEEZE,
    COMMAND_RECLAIM,
    COMMAND_CHECK,
    COMMAND_SOAK,
    COMMAND_REPEAT,
    COMMAND_FOREACH,
    COMMAND_BREAK,
    COMMAND_SET,
    COMMAND_RANDOM,
    COMMAND_IF,
    COMMAND_ON,
    COMMAND_PARALLEL,
    COMMAND_BARRIER,
    COMMAND_LOG,
    COMMAND_TIME,
    COMMAND_COUNT,
    COMMAND_MARK,
    COMMAND_EXPECT,
    COMMAND_EXPECT_FAULT,
    COMMAND_EXPECT_ERROR,
    COMMAND_TRY,
    /* what the parser puts at the end of blocks */
    COMMAND_ELSE,
    COMMAND_END,
};

enum command_flags {
    HEAD = 1,     /* before every other command, at file level */
    BLOCK = 2,    /* its last argument is a block */
    SCOPE = 4,    /* the block is a scope */
    LOOP = 8,     /* `break` ends it */
    SPECIAL = 16, /* its words are read by a function of their own */
    ALONE = 32,   /* cannot stand inside `parallel` */
};

struct command_spec {
    const char *name;
    enum command_id id;
    unsigned flags;
    const char *usage;
    const char *help;
    const struct argument_spec *arguments;
    size_t argument_count;
};

/* The regions that `exec` makes. */
#define EXEC_REGIONS "text data stack"

/* Kinds of objects, in the order of enum object_kind. */
#define OBJECT_KINDS "anon contiguous physical file framebuffer"
enum object_kind {
    OBJECT_ANON,
    OBJECT_CONTIGUOUS,
    OBJECT_PHYSICAL,
    OBJECT_FILE,
    OBJECT_FRAMEBUFFER,
};

extern const struct command_spec command_table[];
extern const size_t command_table_count;

/* The row of a name; NULL. `expect fault` and `expect error` have rows of their own under these
 * names. */
const struct command_spec *command_find(struct text name);
const struct command_spec *command_of(enum command_id id);

/* Index of a word in a list that blanks separate, -1: not there. */
int words_index(const char *words, struct text word);

/* The variable that a command sets without being told its name, or NULL. */
const char *command_result(enum command_id id);

#endif
