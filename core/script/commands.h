/* The one table of the language's commands, with their arguments. The parser, the checker and the
 * printed reference (pagelab-check --reference) come from it. */
#ifndef CORE_SCRIPT_COMMANDS_H
#define CORE_SCRIPT_COMMANDS_H

#include "core/text.h"

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
    COMMAND_FORK,
    COMMAND_EXEC,
    COMMAND_DROP,
    COMMAND_TOUCH,
    COMMAND_FILL,
    COMMAND_VERIFY,
    COMMAND_FLOOR,
    COMMAND_LOOKUP,
    COMMAND_FRAMES,
    COMMAND_INJECT,
    COMMAND_CHECK,
    COMMAND_REPEAT,
    COMMAND_FOREACH,
    COMMAND_BREAK,
    COMMAND_SET,
    COMMAND_RANDOM,
    COMMAND_IF,
    COMMAND_ON,
    COMMAND_LOG,
    COMMAND_TIME,
    COMMAND_COUNT,
    COMMAND_MARK,
    COMMAND_EXPECT,
    COMMAND_EXPECT_FAULT,
    COMMAND_EXPECT_ERROR,
    COMMAND_TRY,
    COMMAND_LATER, /* every command that arrives with a later version */
    /* what the parser puts at the end of blocks */
    COMMAND_ELSE,
    COMMAND_END,
};

/* What an argument means; each at most once in a command. */
enum argument_id {
    ARGUMENT_NAME,  /* what a command makes: S, S.R */
    ARGUMENT_THING, /* what it works on: S, S.R, S@EXPR */
    ARGUMENT_WHAT,  /* touch read|write|exec; floor WHAT; kind of an object; a fault; an error */
    ARGUMENT_FROM,  /* the region that `share` shares */
    ARGUMENT_VALUE, /* an expression or a value to write */
    ARGUMENT_VARIABLE,
    ARGUMENT_METRIC,
    ARGUMENT_COUNTER,
    ARGUMENT_MESSAGE,
    ARGUMENT_LIST,
    ARGUMENT_BLOCK,
    ARGUMENT_ELSE,
    ARGUMENT_SIZE,
    ARGUMENT_OFFSET,
    ARGUMENT_PROT,
    ARGUMENT_AT,
    ARGUMENT_ALIGN,
    ARGUMENT_IF_TAKEN,
    ARGUMENT_COMMIT,
    ARGUMENT_POPULATE,
    ARGUMENT_OBJECT,
    ARGUMENT_PURGEABLE,
    ARGUMENT_CACHE,
    ARGUMENT_SHARE,
    ARGUMENT_STACK,
    ARGUMENT_BELOW,
    ARGUMENT_TEXT, /* sizes of the parts of `exec` */
    ARGUMENT_DATA,
    ARGUMENT_NTH,
    ARGUMENT_EVERY,
    ARGUMENT_STRIDE,
    ARGUMENT_ORDER,
    ARGUMENT_AS,
    ARGUMENT_PATTERN,
    ARGUMENT_N,
    ARGUMENT_WARMUP,
    ARGUMENT_PER,
    ARGUMENT_SECONDS,
    ARGUMENT_UNUSED, /* taken and checked, but means what happens anyway */
};

enum argument_type {
    TYPE_SPACE_NEW,  /* S */
    TYPE_SPACE,      /* S */
    TYPE_OBJECT_NEW, /* O */
    TYPE_OBJECT,     /* O, or one of `words` */
    TYPE_REGION_NEW, /* S.R or S._ */
    TYPE_REGION,     /* S.R */
    TYPE_RANGE,      /* S.R or S@EXPR */
    TYPE_ADDRESS,    /* S@EXPR */
    TYPE_THING,      /* S, O or S.R */
    TYPE_NUMBER,     /* an expression; or one of `words` */
    TYPE_CHOICE,     /* one of `words`, written or as the value of an expression */
    TYPE_PROT,       /* none or letters of rwx */
    TYPE_WORD,       /* one of `words`, written */
    TYPE_METRIC,
    TYPE_COUNTER,
    TYPE_VARIABLE,   /* a name without dots */
    TYPE_EXPRESSION, /* all words that are left */
    TYPE_CONDITION,  /* one word */
    TYPE_LIST,
    TYPE_STRING,
    TYPE_BLOCK,
    TYPE_ELSE, /* `else {...}` */
};

enum argument_flags {
    POSITIONAL = 1, /* found by its place; else by `name=` */
    REQUIRED = 2,
    LATER = 4, /* not yet supported at all */
};

struct argument_spec {
    const char *name; /* of an option; of a positional one as messages call it */
    enum argument_id id;
    enum argument_type type;
    unsigned flags;
    const char *words;       /* separated by blanks; NULL: none */
    const char *later_words; /* of them those which arrive with a later version */
    const char *fallback;    /* what holds without it, for the reference */
};

enum command_flags {
    HEAD = 1,     /* before every other command, at file level */
    BLOCK = 2,    /* its last argument is a block */
    SCOPE = 4,    /* the block is a scope */
    LOOP = 8,     /* `break` ends it */
    SPECIAL = 16, /* its words are read by a function of their own */
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
enum object_kind { OBJECT_ANON, OBJECT_CONTIGUOUS, OBJECT_PHYSICAL };

extern const struct command_spec command_table[];
extern const size_t command_table_count;

/* The row of a name; NULL. `expect fault` and `expect error` have rows of their own under these
 * names. */
const struct command_spec *command_find(struct text name);
const struct command_spec *command_of(enum command_id id);

/* Index of a word in a list that blanks separate, -1: not there. */
int words_index(const char *words, struct text word);

#endif
