/* What the commands of the language take: the meaning, the form and the row of each argument. */
#ifndef CORE_SCRIPT_ARGUMENTS_H
#define CORE_SCRIPT_ARGUMENTS_H

#include "core/text.h"

/* What an argument means; each at most once in a command. */
enum argument_id {
    ARGUMENT_NAME,  /* what a command makes: S, S.R */
    ARGUMENT_THING, /* what it works on: S, S.R, S@EXPR */
    ARGUMENT_WHAT,  /* touch read|write|exec; floor WHAT; kind of an object; a fault; an error */
    ARGUMENT_FROM,  /* the region that `share` shares; that a stack pointer is in */
    ARGUMENT_VALUE, /* an expression or a value to write */
    ARGUMENT_VARIABLE,
    ARGUMENT_METRIC,
    ARGUMENT_COUNTER,
    ARGUMENT_MESSAGE,
    ARGUMENT_LIST,
    ARGUMENT_BLOCK,
    ARGUMENT_ELSE,
    ARGUMENT_ASLR,
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
    ARGUMENT_BACKING,
    ARGUMENT_CACHE,
    ARGUMENT_SHARE,
    ARGUMENT_PAGE,
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
    ARGUMENT_OPS,
    ARGUMENT_CPUS,
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
};

struct argument_spec {
    const char *name; /* of an option; of a positional one as messages call it */
    enum argument_id id;
    enum argument_type type;
    unsigned flags;
    const char *words;    /* separated by blanks; NULL: none */
    const char *fallback; /* what holds without it, for the reference */
};

#endif
