/* The one table of the language's commands. */
#include "core/script/commands.h"

#define NEED (POSITIONAL | REQUIRED)
#define NO_WORDS NULL, NULL

static const struct argument_spec limit_arguments[] = {
    {"time", ARGUMENT_SECONDS, TYPE_NUMBER, REQUIRED, NO_WORDS, NULL},
};
static const struct argument_spec space_arguments[] = {
    {"SPACE", ARGUMENT_NAME, TYPE_SPACE_NEW, NEED, NO_WORDS, NULL},
    {"aslr", ARGUMENT_UNUSED, TYPE_CHOICE, 0, "off on", "on", "off"},
};
static const struct argument_spec map_arguments[] = {
    {"SPACE.REGION", ARGUMENT_NAME, TYPE_REGION_NEW, NEED, NO_WORDS, NULL},
    {"size", ARGUMENT_SIZE, TYPE_NUMBER, REQUIRED, NO_WORDS, NULL},
    {"object", ARGUMENT_OBJECT, TYPE_WORD, 0, "none", NULL, "fresh anonymous memory"},
    {"offset", ARGUMENT_UNUSED, TYPE_NUMBER, LATER, NO_WORDS, "0"},
    {"prot", ARGUMENT_PROT, TYPE_PROT, 0, NO_WORDS, "rw"},
    {"share", ARGUMENT_UNUSED, TYPE_CHOICE, 0, "private shared", "shared", "private"},
    {"at", ARGUMENT_AT, TYPE_NUMBER, 0, "any random", "random", "any"},
    {"if-taken", ARGUMENT_IF_TAKEN, TYPE_CHOICE, 0, "refuse replace elsewhere", NULL, "refuse"},
    {"align", ARGUMENT_ALIGN, TYPE_NUMBER, 0, NO_WORDS, "4K"},
    {"commit", ARGUMENT_COMMIT, TYPE_CHOICE, 0, "off on", NULL, "on"},
    {"populate", ARGUMENT_POPULATE, TYPE_CHOICE, 0, "off on", NULL, "off"},
    {"page", ARGUMENT_UNUSED, TYPE_NUMBER, LATER, NO_WORDS, "4K"},
    {"stack", ARGUMENT_UNUSED, TYPE_CHOICE, 0, "off on", "on", "off"},
    {"cache", ARGUMENT_UNUSED, TYPE_CHOICE, LATER, "wb wc uc", NULL, "wb"},
};
static const struct argument_spec unmap_arguments[] = {
    {"RANGE", ARGUMENT_THING, TYPE_RANGE, NEED, NO_WORDS, NULL},
    {"offset", ARGUMENT_OFFSET, TYPE_NUMBER, 0, NO_WORDS, "0"},
    {"size", ARGUMENT_SIZE, TYPE_NUMBER, 0, "rest", NULL, "rest"},
};
static const struct argument_spec protect_arguments[] = {
    {"RANGE", ARGUMENT_THING, TYPE_RANGE, NEED, NO_WORDS, NULL},
    {"prot", ARGUMENT_PROT, TYPE_PROT, REQUIRED, NO_WORDS, NULL},
    {"offset", ARGUMENT_OFFSET, TYPE_NUMBER, 0, NO_WORDS, "0"},
    {"size", ARGUMENT_SIZE, TYPE_NUMBER, 0, "rest", NULL, "rest"},
};
static const struct argument_spec fork_arguments[] = {
    {"SPACE", ARGUMENT_THING, TYPE_SPACE, NEED, NO_WORDS, NULL},
    {"CHILD", ARGUMENT_NAME, TYPE_SPACE_NEW, NEED, NO_WORDS, NULL},
};
static const struct argument_spec drop_arguments[] = {
    {"THING", ARGUMENT_THING, TYPE_THING, NEED, NO_WORDS, NULL},
};
static const struct argument_spec touch_arguments[] = {
    {"RANGE", ARGUMENT_THING, TYPE_RANGE, NEED, NO_WORDS, NULL},
    {"ACCESS", ARGUMENT_WHAT, TYPE_CHOICE, NEED, "read write exec", NULL, NULL},
    {"offset", ARGUMENT_OFFSET, TYPE_NUMBER, 0, NO_WORDS, "0"},
    {"size", ARGUMENT_SIZE, TYPE_NUMBER, 0, "rest", NULL, "rest"},
    {"stride", ARGUMENT_STRIDE, TYPE_NUMBER, 0, NO_WORDS, "4K"},
    {"order", ARGUMENT_ORDER, TYPE_CHOICE, 0, "up down random", NULL, "up"},
    {"value", ARGUMENT_VALUE, TYPE_NUMBER, 0, NO_WORDS, "1"},
    {"as", ARGUMENT_AS, TYPE_CHOICE, 0, "user kernel", NULL, "user"},
    {"each", ARGUMENT_METRIC, TYPE_METRIC, 0, NO_WORDS, NULL},
    {"sp", ARGUMENT_UNUSED, TYPE_WORD, LATER, NO_WORDS, NULL},
};
static const struct argument_spec fill_arguments[] = {
    {"RANGE", ARGUMENT_THING, TYPE_RANGE, NEED, NO_WORDS, NULL},
    {"pattern", ARGUMENT_PATTERN, TYPE_NUMBER, REQUIRED, NO_WORDS, NULL},
    {"offset", ARGUMENT_OFFSET, TYPE_NUMBER, 0, NO_WORDS, "0"},
    {"size", ARGUMENT_SIZE, TYPE_NUMBER, 0, "rest", NULL, "rest"},
};
static const struct argument_spec floor_arguments[] = {
    {"WHAT", ARGUMENT_WHAT, TYPE_CHOICE, NEED,
     "gate trap ring3 page_clear page_copy invlpg root_load ipi ap_start", "ipi ap_start", NULL},
    {"each", ARGUMENT_METRIC, TYPE_METRIC, REQUIRED, NO_WORDS, NULL},
    {"n", ARGUMENT_N, TYPE_NUMBER, 0, NO_WORDS, "1000"},
};
static const struct argument_spec lookup_arguments[] = {
    {"SPACE@ADDRESS", ARGUMENT_THING, TYPE_ADDRESS, NEED, NO_WORDS, NULL},
    {"each", ARGUMENT_METRIC, TYPE_METRIC, REQUIRED, NO_WORDS, NULL},
    {"n", ARGUMENT_N, TYPE_NUMBER, 0, NO_WORDS, "1000"},
};
static const struct argument_spec repeat_arguments[] = {
    {"COUNT", ARGUMENT_N, TYPE_NUMBER, NEED, NO_WORDS, NULL},
    {"warmup", ARGUMENT_WARMUP, TYPE_NUMBER, 0, NO_WORDS, "0"},
    {"BLOCK", ARGUMENT_BLOCK, TYPE_BLOCK, NEED, NO_WORDS, NULL},
};
static const struct argument_spec foreach_arguments[] = {
    {"VARIABLE", ARGUMENT_VARIABLE, TYPE_VARIABLE, NEED, NO_WORDS, NULL},
    {"LIST", ARGUMENT_LIST, TYPE_LIST, NEED, NO_WORDS, NULL},
    {"BLOCK", ARGUMENT_BLOCK, TYPE_BLOCK, NEED, NO_WORDS, NULL},
};
static const struct argument_spec set_arguments[] = {
    {"VARIABLE", ARGUMENT_VARIABLE, TYPE_VARIABLE, NEED, NO_WORDS, NULL},
    {"VALUE", ARGUMENT_VALUE, TYPE_EXPRESSION, NEED, NO_WORDS, NULL},
};
static const struct argument_spec random_arguments[] = {
    {"VARIABLE", ARGUMENT_VARIABLE, TYPE_VARIABLE, NEED, NO_WORDS, NULL},
    {"BOUND", ARGUMENT_N, TYPE_NUMBER, NEED, NO_WORDS, NULL},
};
static const struct argument_spec if_arguments[] = {
    {"CONDITION", ARGUMENT_VALUE, TYPE_CONDITION, NEED, NO_WORDS, NULL},
    {"BLOCK", ARGUMENT_BLOCK, TYPE_BLOCK, NEED, NO_WORDS, NULL},
    {"ELSE", ARGUMENT_ELSE, TYPE_ELSE, POSITIONAL, NO_WORDS, NULL},
};
static const struct argument_spec on_arguments[] = {
    {"CPU", ARGUMENT_N, TYPE_NUMBER, NEED, NO_WORDS, NULL},
    {"BLOCK", ARGUMENT_BLOCK, TYPE_BLOCK, NEED, NO_WORDS, NULL},
};
static const struct argument_spec log_arguments[] = {
    {"TEXT", ARGUMENT_MESSAGE, TYPE_STRING, NEED, NO_WORDS, NULL},
};
static const struct argument_spec time_arguments[] = {
    {"METRIC", ARGUMENT_METRIC, TYPE_METRIC, NEED, NO_WORDS, NULL},
    {"per", ARGUMENT_PER, TYPE_NUMBER, 0, NO_WORDS, "1"},
    {"BLOCK", ARGUMENT_BLOCK, TYPE_BLOCK, NEED, NO_WORDS, NULL},
};
static const struct argument_spec count_arguments[] = {
    {"METRIC", ARGUMENT_METRIC, TYPE_METRIC, NEED, NO_WORDS, NULL},
    {"COUNTER", ARGUMENT_COUNTER, TYPE_COUNTER, NEED, NO_WORDS, NULL},
    {"BLOCK", ARGUMENT_BLOCK, TYPE_BLOCK, NEED, NO_WORDS, NULL},
};
static const struct argument_spec expect_arguments[] = {
    {"CONDITION", ARGUMENT_VALUE, TYPE_EXPRESSION, NEED, NO_WORDS, NULL},
    {"MESSAGE", ARGUMENT_MESSAGE, TYPE_STRING, POSITIONAL, NO_WORDS, NULL},
};
static const struct argument_spec expect_fault_arguments[] = {
    {"FAULT", ARGUMENT_WHAT, TYPE_WORD, NEED, "segv prot bus", NULL, NULL},
    {"BLOCK", ARGUMENT_BLOCK, TYPE_BLOCK, NEED, NO_WORDS, NULL},
};
static const struct argument_spec expect_error_arguments[] = {
    {"ERROR", ARGUMENT_WHAT, TYPE_WORD, NEED,
     "EINVAL ERANGE EEXIST ENOENT ENOMEM EACCES ENOTSUP EBUSY EFAULT EIO", NULL, NULL},
    {"BLOCK", ARGUMENT_BLOCK, TYPE_BLOCK, NEED, NO_WORDS, NULL},
};
static const struct argument_spec try_arguments[] = {
    {"VARIABLE", ARGUMENT_VARIABLE, TYPE_VARIABLE, NEED, NO_WORDS, NULL},
    {"BLOCK", ARGUMENT_BLOCK, TYPE_BLOCK, NEED, NO_WORDS, NULL},
};

#define ARGUMENTS(array) (array), ARRAY_COUNT(array)
#define NO_ARGUMENTS NULL, 0
#define NOT_YET(name)                                         \
    {                                                         \
        name, COMMAND_LATER, 0, name " ...", "", NO_ARGUMENTS \
    }

const struct command_spec command_table[] = {
    {"scenario", COMMAND_SCENARIO, HEAD | SPECIAL, "scenario NAME \"one line\"",
     "first command of a file; NAME is the file's name without .scn", NO_ARGUMENTS},
    {"tags", COMMAND_TAGS, HEAD | SPECIAL, "tags WORD ...", "words for picking groups",
     NO_ARGUMENTS},
    {"needs", COMMAND_NEEDS, HEAD | SPECIAL,
     "needs ?cpus>=N? ?memory>=SIZE? ?framebuffer? ?disk? ?feature:NAME?",
     "what the machine must have; else the combination is skipped", NO_ARGUMENTS},
    {"param", COMMAND_PARAM, HEAD | SPECIAL, "param NAME VALUE ... ?\"help\"?",
     "a parameter; several values are a sweep", NO_ARGUMENTS},
    {"limit", COMMAND_LIMIT, HEAD, "limit time=SECONDS", "time limit of each combination",
     ARGUMENTS(limit_arguments)},
    {"space", COMMAND_SPACE, 0, "space S", "makes a new, empty address space",
     ARGUMENTS(space_arguments)},
    {"map", COMMAND_MAP, 0,
     "map S.R size=N ?prot=rw? ?at=any|ADDRESS? ?if-taken=refuse|replace|elsewhere? ?align=4K? "
     "?commit=on|off? ?populate=off|on? ?object=none?",
     "maps fresh anonymous memory, or reserves a range (object=none)", ARGUMENTS(map_arguments)},
    {"unmap", COMMAND_UNMAP, 0, "unmap RANGE ?offset=0? ?size=rest?",
     "unmaps any part; passes over what is not mapped", ARGUMENTS(unmap_arguments)},
    {"protect", COMMAND_PROTECT, 0, "protect RANGE prot=PROT ?offset=0? ?size=rest?",
     "changes rights", ARGUMENTS(protect_arguments)},
    {"fork", COMMAND_FORK, 0, "fork S C", "makes C a copy-on-write copy of S",
     ARGUMENTS(fork_arguments)},
    {"drop", COMMAND_DROP, 0, "drop S|S.R", "destroys a space, or unmaps a region",
     ARGUMENTS(drop_arguments)},
    {"touch", COMMAND_TOUCH, 0,
     "touch RANGE read|write|exec ?offset=0? ?size=rest? ?stride=4K? ?order=up|down|random? "
     "?value=1? ?as=user|kernel? ?each=METRIC?",
     "one access of 8 bytes per stride", ARGUMENTS(touch_arguments)},
    {"fill", COMMAND_FILL, 0, "fill RANGE pattern=N ?offset=0? ?size=rest?",
     "writes a pattern through the object, without faults", ARGUMENTS(fill_arguments)},
    {"verify", COMMAND_VERIFY, 0, "verify RANGE pattern=N ?offset=0? ?size=rest?",
     "checks a pattern through the object, without faults", ARGUMENTS(fill_arguments)},
    {"floor", COMMAND_FLOOR, 0, "floor WHAT each=METRIC ?n=1000?",
     "measures what the hardware charges", ARGUMENTS(floor_arguments)},
    {"lookup", COMMAND_LOOKUP, 0, "lookup S@EXPR each=METRIC ?n=1000?",
     "finds an address's region as a fault does; sets $found", ARGUMENTS(lookup_arguments)},
    {"check", COMMAND_CHECK, 0, "check", "audits the whole virtual memory now", NO_ARGUMENTS},
    {"repeat", COMMAND_REPEAT, BLOCK | SCOPE | LOOP, "repeat N ?warmup=W? {...}",
     "N rounds, after W whose samples are thrown away", ARGUMENTS(repeat_arguments)},
    {"foreach", COMMAND_FOREACH, BLOCK | SCOPE | LOOP, "foreach V {A B C} {...}",
     "one round for each value", ARGUMENTS(foreach_arguments)},
    {"break", COMMAND_BREAK, 0, "break", "ends the innermost repeat or foreach", NO_ARGUMENTS},
    {"set", COMMAND_SET, SPECIAL, "set V EXPR", "gives a variable a value",
     ARGUMENTS(set_arguments)},
    {"random", COMMAND_RANDOM, 0, "random V N", "V becomes uniform in 0..N-1, from the seed",
     ARGUMENTS(random_arguments)},
    {"if", COMMAND_IF, BLOCK, "if {EXPR} {...} ?else {...}?", "runs one of two blocks",
     ARGUMENTS(if_arguments)},
    {"on", COMMAND_ON, BLOCK | SCOPE, "on CPU {...}", "runs the block on one CPU",
     ARGUMENTS(on_arguments)},
    {"log", COMMAND_LOG, 0, "log \"text $v\"", "a line on the console", ARGUMENTS(log_arguments)},
    {"time", COMMAND_TIME, BLOCK, "time METRIC ?per=N? {...}",
     "one sample: the block's ticks, divided by N", ARGUMENTS(time_arguments)},
    {"count", COMMAND_COUNT, BLOCK, "count METRIC COUNTER {...}",
     "one sample: how far a counter moved", ARGUMENTS(count_arguments)},
    {"mark", COMMAND_MARK, 0, "mark", "from here on $d.COUNTER counts", NO_ARGUMENTS},
    {"expect", COMMAND_EXPECT, SPECIAL, "expect EXPR ?\"message\"?",
     "fails the scenario unless EXPR holds", ARGUMENTS(expect_arguments)},
    {"expect fault", COMMAND_EXPECT_FAULT, BLOCK, "expect fault KIND {...}",
     "the block must be stopped by this fault", ARGUMENTS(expect_fault_arguments)},
    {"expect error", COMMAND_EXPECT_ERROR, BLOCK, "expect error NAME {...}",
     "the block must be stopped by this error", ARGUMENTS(expect_error_arguments)},
    {"try", COMMAND_TRY, BLOCK, "try V {...}",
     "V becomes 0, or the number of what stopped the block", ARGUMENTS(try_arguments)},
    NOT_YET("object"),
    NOT_YET("share"),
    NOT_YET("identity"),
    NOT_YET("resize"),
    NOT_YET("move"),
    NOT_YET("advise"),
    NOT_YET("sync"),
    NOT_YET("exec"),
    NOT_YET("switch"),
    NOT_YET("squeeze"),
    NOT_YET("frames"),
    NOT_YET("stray"),
    NOT_YET("reclaim"),
    NOT_YET("inject"),
    NOT_YET("soak"),
    NOT_YET("parallel"),
    NOT_YET("barrier"),
    {"else", COMMAND_ELSE, 0, "", "", NO_ARGUMENTS},
    {"}", COMMAND_END, 0, "", "", NO_ARGUMENTS},
};
const size_t command_table_count = ARRAY_COUNT(command_table);

const struct command_spec *command_find(struct text name)
{
    for (size_t i = 0; i < command_table_count; i++) {
        if (text_is(name, command_table[i].name))
            return &command_table[i];
    }
    return NULL;
}

const struct command_spec *command_of(enum command_id id)
{
    size_t i = 0;
    while (command_table[i].id != id)
        i++;
    return &command_table[i];
}

int words_index(const char *words, struct text word)
{
    struct text rest = text_of(words);
    for (int i = 0; rest.size > 0; i++) {
        if (text_equal(text_cut(&rest, ' '), word))
            return i;
    }
    return -1;
}
