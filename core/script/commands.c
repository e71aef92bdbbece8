/* The one table of the language's commands. */
#include "core/script/commands.h"

#define NEED (POSITIONAL | REQUIRED)
#define NO_WORDS NULL

static const struct argument_spec limit_arguments[] = {
    {"time", ARGUMENT_SECONDS, TYPE_NUMBER, REQUIRED, NO_WORDS, NULL},
};
static const struct argument_spec space_arguments[] = {
    {"SPACE", ARGUMENT_NAME, TYPE_SPACE_NEW, NEED, NO_WORDS, NULL},
    {"aslr", ARGUMENT_ASLR, TYPE_CHOICE, 0, "off on", "off"},
};
static const struct argument_spec object_arguments[] = {
    {"OBJECT", ARGUMENT_NAME, TYPE_OBJECT_NEW, NEED, NO_WORDS, NULL},
    {"KIND", ARGUMENT_WHAT, TYPE_WORD, NEED, OBJECT_KINDS, NULL},
    {"size", ARGUMENT_SIZE, TYPE_NUMBER, 0, NO_WORDS, NULL},
    {"commit", ARGUMENT_COMMIT, TYPE_CHOICE, 0, "off on", "on"},
    {"purgeable", ARGUMENT_PURGEABLE, TYPE_CHOICE, 0, "off on", "off"},
    {"align", ARGUMENT_ALIGN, TYPE_NUMBER, 0, NO_WORDS, "4K"},
    {"below", ARGUMENT_BELOW, TYPE_NUMBER, 0, NO_WORDS, "anywhere"},
    {"at", ARGUMENT_AT, TYPE_NUMBER, 0, "auto", NULL},
    {"backing", ARGUMENT_BACKING, TYPE_CHOICE, 0, "ram disk", "ram"},
    {"offset", ARGUMENT_OFFSET, TYPE_NUMBER, 0, NO_WORDS, "0"},
};
static const struct argument_spec map_arguments[] = {
    {"SPACE.REGION", ARGUMENT_NAME, TYPE_REGION_NEW, NEED, NO_WORDS, NULL},
    {"size", ARGUMENT_SIZE, TYPE_NUMBER, 0, NO_WORDS, "the object's, from offset= on"},
    {"object", ARGUMENT_OBJECT, TYPE_OBJECT, 0, "none", "fresh anonymous memory"},
    {"offset", ARGUMENT_OFFSET, TYPE_NUMBER, 0, NO_WORDS, "0"},
    {"prot", ARGUMENT_PROT, TYPE_PROT, 0, NO_WORDS, "rw"},
    {"share", ARGUMENT_SHARE, TYPE_CHOICE, 0, "private shared", "private"},
    {"at", ARGUMENT_AT, TYPE_NUMBER, 0, "any random", "any"},
    {"if-taken", ARGUMENT_IF_TAKEN, TYPE_CHOICE, 0, "refuse replace elsewhere", "refuse"},
    {"align", ARGUMENT_ALIGN, TYPE_NUMBER, 0, NO_WORDS, "4K"},
    {"commit", ARGUMENT_COMMIT, TYPE_CHOICE, 0, "off on", "on"},
    {"populate", ARGUMENT_POPULATE, TYPE_CHOICE, 0, "off on", "off"},
    {"page", ARGUMENT_PAGE, TYPE_NUMBER, 0, NO_WORDS, "4K"},
    {"stack", ARGUMENT_STACK, TYPE_CHOICE, 0, "off on", "off"},
    {"cache", ARGUMENT_CACHE, TYPE_CHOICE, 0, "wb wc uc", "wb; wc of a framebuffer"},
};
static const struct argument_spec share_arguments[] = {
    {"SPACE.REGION", ARGUMENT_NAME, TYPE_REGION_NEW, NEED, NO_WORDS, NULL},
    {"from", ARGUMENT_FROM, TYPE_REGION, REQUIRED, NO_WORDS, NULL},
};
static const struct argument_spec identity_arguments[] = {
    {"SPACE", ARGUMENT_THING, TYPE_SPACE, NEED, NO_WORDS, NULL},
    {"at", ARGUMENT_AT, TYPE_NUMBER, REQUIRED, NO_WORDS, NULL},
    {"size", ARGUMENT_SIZE, TYPE_NUMBER, REQUIRED, NO_WORDS, NULL},
};
static const struct argument_spec sync_arguments[] = {
    {"SPACE.REGION", ARGUMENT_THING, TYPE_REGION, NEED, NO_WORDS, NULL},
};
static const struct argument_spec resize_arguments[] = {
    {"SPACE.REGION", ARGUMENT_THING, TYPE_REGION, NEED, NO_WORDS, NULL},
    {"size", ARGUMENT_SIZE, TYPE_NUMBER, REQUIRED, NO_WORDS, NULL},
};
static const struct argument_spec move_arguments[] = {
    {"SPACE.REGION", ARGUMENT_THING, TYPE_REGION, NEED, NO_WORDS, NULL},
    {"at", ARGUMENT_AT, TYPE_NUMBER, 0, "any random", "any"},
};
static const struct argument_spec advise_arguments[] = {
    {"RANGE", ARGUMENT_THING, TYPE_RANGE, NEED, NO_WORDS, NULL},
    {"ADVICE", ARGUMENT_WHAT, TYPE_CHOICE, NEED, "dontneed willneed volatile nonvolatile", NULL},
    {"offset", ARGUMENT_OFFSET, TYPE_NUMBER, 0, NO_WORDS, "0"},
    {"size", ARGUMENT_SIZE, TYPE_NUMBER, 0, "rest", "rest"},
};
static const struct argument_spec exec_arguments[] = {
    {"SPACE", ARGUMENT_THING, TYPE_SPACE, NEED, NO_WORDS, NULL},
    {"text", ARGUMENT_TEXT, TYPE_NUMBER, REQUIRED, NO_WORDS, NULL},
    {"data", ARGUMENT_DATA, TYPE_NUMBER, REQUIRED, NO_WORDS, NULL},
    {"stack", ARGUMENT_STACK, TYPE_NUMBER, REQUIRED, NO_WORDS, NULL},
};
static const struct argument_spec unmap_arguments[] = {
    {"RANGE", ARGUMENT_THING, TYPE_RANGE, NEED, NO_WORDS, NULL},
    {"offset", ARGUMENT_OFFSET, TYPE_NUMBER, 0, NO_WORDS, "0"},
    {"size", ARGUMENT_SIZE, TYPE_NUMBER, 0, "rest", "rest"},
};
static const struct argument_spec protect_arguments[] = {
    {"RANGE", ARGUMENT_THING, TYPE_RANGE, NEED, NO_WORDS, NULL},
    {"prot", ARGUMENT_PROT, TYPE_PROT, REQUIRED, NO_WORDS, NULL},
    {"offset", ARGUMENT_OFFSET, TYPE_NUMBER, 0, NO_WORDS, "0"},
    {"size", ARGUMENT_SIZE, TYPE_NUMBER, 0, "rest", "rest"},
};
static const struct argument_spec fork_arguments[] = {
    {"SPACE", ARGUMENT_THING, TYPE_SPACE, NEED, NO_WORDS, NULL},
    {"CHILD", ARGUMENT_NAME, TYPE_SPACE_NEW, NEED, NO_WORDS, NULL},
};
static const struct argument_spec switch_arguments[] = {
    {"OBJECT", ARGUMENT_THING, TYPE_OBJECT, NEED, NO_WORDS, NULL},
    {"FACE", ARGUMENT_WHAT, TYPE_CHOICE, NEED, "graphics text", NULL},
};
static const struct argument_spec drop_arguments[] = {
    {"THING", ARGUMENT_THING, TYPE_THING, NEED, NO_WORDS, NULL},
};
static const struct argument_spec touch_arguments[] = {
    {"RANGE", ARGUMENT_THING, TYPE_RANGE, NEED, NO_WORDS, NULL},
    {"ACCESS", ARGUMENT_WHAT, TYPE_CHOICE, NEED, "read write exec", NULL},
    {"offset", ARGUMENT_OFFSET, TYPE_NUMBER, 0, NO_WORDS, "0"},
    {"size", ARGUMENT_SIZE, TYPE_NUMBER, 0, "rest", "rest"},
    {"stride", ARGUMENT_STRIDE, TYPE_NUMBER, 0, NO_WORDS, "4K"},
    {"order", ARGUMENT_ORDER, TYPE_CHOICE, 0, "up down random", "up"},
    {"value", ARGUMENT_VALUE, TYPE_NUMBER, 0, NO_WORDS, "1"},
    {"as", ARGUMENT_AS, TYPE_CHOICE, 0, "user kernel", "user"},
    {"each", ARGUMENT_METRIC, TYPE_METRIC, 0, NO_WORDS, NULL},
    {"sp", ARGUMENT_FROM, TYPE_REGION, 0, NO_WORDS, NULL},
};
static const struct argument_spec fill_arguments[] = {
    {"RANGE", ARGUMENT_THING, TYPE_RANGE, NEED, NO_WORDS, NULL},
    {"pattern", ARGUMENT_PATTERN, TYPE_NUMBER, REQUIRED, NO_WORDS, NULL},
    {"offset", ARGUMENT_OFFSET, TYPE_NUMBER, 0, NO_WORDS, "0"},
    {"size", ARGUMENT_SIZE, TYPE_NUMBER, 0, "rest", "rest"},
};
static const struct argument_spec floor_arguments[] = {
    {"WHAT", ARGUMENT_WHAT, TYPE_CHOICE, NEED,
     "gate trap ring3 page_clear page_copy invlpg root_load ipi ap_start", NULL},
    {"each", ARGUMENT_METRIC, TYPE_METRIC, REQUIRED, NO_WORDS, NULL},
    {"n", ARGUMENT_N, TYPE_NUMBER, 0, NO_WORDS, "1000"},
};
static const struct argument_spec lookup_arguments[] = {
    {"SPACE@ADDRESS", ARGUMENT_THING, TYPE_ADDRESS, NEED, NO_WORDS, NULL},
    {"each", ARGUMENT_METRIC, TYPE_METRIC, REQUIRED, NO_WORDS, NULL},
    {"n", ARGUMENT_N, TYPE_NUMBER, 0, NO_WORDS, "1000"},
};
static const struct argument_spec frames_arguments[] = {
    {"count", ARGUMENT_SIZE, TYPE_NUMBER, REQUIRED, NO_WORDS, NULL},
    {"below", ARGUMENT_BELOW, TYPE_NUMBER, 0, NO_WORDS, "anywhere"},
    {"each", ARGUMENT_METRIC, TYPE_METRIC, REQUIRED, NO_WORDS, NULL},
    {"n", ARGUMENT_N, TYPE_NUMBER, 0, NO_WORDS, "1000"},
};
static const struct argument_spec stray_arguments[] = {
    {"SPACE", ARGUMENT_THING, TYPE_SPACE, NEED, NO_WORDS, NULL},
};
static const struct argument_spec inject_arguments[] = {
    {"WHAT", ARGUMENT_WHAT, TYPE_WORD, NEED, "alloc off", NULL},
    {"nth", ARGUMENT_NTH, TYPE_NUMBER, 0, NO_WORDS, NULL},
    {"every", ARGUMENT_EVERY, TYPE_NUMBER, 0, NO_WORDS, NULL},
};
static const struct argument_spec squeeze_arguments[] = {
    {"off", ARGUMENT_WHAT, TYPE_WORD, POSITIONAL, "off", NULL},
    {"free", ARGUMENT_SIZE, TYPE_NUMBER, 0, NO_WORDS, NULL},
};
static const struct argument_spec reclaim_arguments[] = {
    {"pages", ARGUMENT_N, TYPE_NUMBER, REQUIRED, NO_WORDS, NULL},
};
static const struct argument_spec soak_arguments[] = {
    {"ops", ARGUMENT_OPS, TYPE_NUMBER, REQUIRED, NO_WORDS, NULL},
    {"cpus", ARGUMENT_CPUS, TYPE_NUMBER, 0, NO_WORDS, "all"},
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
static const struct argument_spec parallel_arguments[] = {
    {"COUNT", ARGUMENT_N, TYPE_NUMBER, NEED, NO_WORDS, NULL},
    {"cpu", ARGUMENT_VARIABLE, TYPE_VARIABLE, 0, NO_WORDS, NULL},
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
    {"FAULT", ARGUMENT_WHAT, TYPE_WORD, NEED, "segv prot bus", NULL},
    {"BLOCK", ARGUMENT_BLOCK, TYPE_BLOCK, NEED, NO_WORDS, NULL},
};
static const struct argument_spec expect_error_arguments[] = {
    {"ERROR", ARGUMENT_WHAT, TYPE_WORD, NEED,
     "EINVAL ERANGE EEXIST ENOENT ENOMEM EACCES ENOTSUP EBUSY EFAULT EIO", NULL},
    {"BLOCK", ARGUMENT_BLOCK, TYPE_BLOCK, NEED, NO_WORDS, NULL},
};
static const struct argument_spec try_arguments[] = {
    {"VARIABLE", ARGUMENT_VARIABLE, TYPE_VARIABLE, NEED, NO_WORDS, NULL},
    {"BLOCK", ARGUMENT_BLOCK, TYPE_BLOCK, NEED, NO_WORDS, NULL},
};

#define ARGUMENTS(array) (array), ARRAY_COUNT(array)
#define NO_ARGUMENTS NULL, 0

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
    {"space", COMMAND_SPACE, 0, "space S ?aslr=off|on?", "makes a new, empty address space",
     ARGUMENTS(space_arguments)},
    {"object", COMMAND_OBJECT, 0,
     "object O anon size=N ?commit=on|off? ?purgeable=off|on? | contiguous size=N ?align=4K? ?below=N? | "
     "physical at=ADDRESS|auto size=N | file size=N ?backing=ram|disk? ?offset=0? | "
     "framebuffer ?size=N?",
     "makes memory that regions can show", ARGUMENTS(object_arguments)},
    {"map", COMMAND_MAP, 0,
     "map S.R ?size=N? ?object=O|none? ?offset=0? ?prot=rw? ?share=private|shared? "
     "?at=any|random|ADDRESS? ?if-taken=refuse|replace|elsewhere? ?align=4K? ?commit=on|off? "
     "?populate=off|on? ?page=4K|2M? ?stack=off|on? ?cache=wb|wc|uc?",
     "maps an object or fresh anonymous memory, or reserves a range (object=none)",
     ARGUMENTS(map_arguments)},
    {"share", COMMAND_SHARE, 0, "share S2.R2 from=S1.R1",
     "maps the object of S1.R1 in another space, shared", ARGUMENTS(share_arguments)},
    {"identity", COMMAND_IDENTITY, 0, "identity S at=PADDR size=N",
     "maps frames one to one, outside the tree", ARGUMENTS(identity_arguments)},
    {"unmap", COMMAND_UNMAP, 0, "unmap RANGE ?offset=0? ?size=rest?",
     "unmaps any part; passes over what is not mapped", ARGUMENTS(unmap_arguments)},
    {"protect", COMMAND_PROTECT, 0, "protect RANGE prot=PROT ?offset=0? ?size=rest?",
     "changes rights", ARGUMENTS(protect_arguments)},
    {"resize", COMMAND_RESIZE, 0, "resize S.R size=N", "grows or shrinks in place",
     ARGUMENTS(resize_arguments)},
    {"move", COMMAND_MOVE, 0, "move S.R ?at=any|random|ADDRESS?",
     "moves to another address: pages, not bytes", ARGUMENTS(move_arguments)},
    {"advise", COMMAND_ADVISE, 0,
     "advise RANGE dontneed|willneed|volatile|nonvolatile ?offset=0? ?size=rest?",
     "says what will be needed and what may go; nonvolatile sets $purged",
     ARGUMENTS(advise_arguments)},
    {"sync", COMMAND_SYNC, 0, "sync S.R", "writes dirty pages of a shared file back",
     ARGUMENTS(sync_arguments)},
    {"fork", COMMAND_FORK, 0, "fork S C", "makes C a copy-on-write copy of S",
     ARGUMENTS(fork_arguments)},
    {"exec", COMMAND_EXEC, 0, "exec S text=N data=N stack=N",
     "replaces what S maps by S.text, S.data and S.stack", ARGUMENTS(exec_arguments)},
    {"switch", COMMAND_SWITCH, 0, "switch O text|graphics",
     "gives the screen to the console, or back to the owners of a framebuffer",
     ARGUMENTS(switch_arguments)},
    {"drop", COMMAND_DROP, 0, "drop S|O|S.R", "destroys a space or an object, or unmaps a region",
     ARGUMENTS(drop_arguments)},
    {"touch", COMMAND_TOUCH, 0,
     "touch RANGE read|write|exec ?offset=0? ?size=rest? ?stride=4K? ?order=up|down|random? "
     "?value=1? ?as=user|kernel? ?each=METRIC? ?sp=S.R?",
     "one access of 8 bytes per stride", ARGUMENTS(touch_arguments)},
    {"fill", COMMAND_FILL, 0, "fill RANGE pattern=N ?offset=0? ?size=rest?",
     "writes a pattern through the object, without faults", ARGUMENTS(fill_arguments)},
    {"verify", COMMAND_VERIFY, 0, "verify RANGE pattern=N ?offset=0? ?size=rest?",
     "checks a pattern through the object, without faults", ARGUMENTS(fill_arguments)},
    {"floor", COMMAND_FLOOR, ALONE, "floor WHAT each=METRIC ?n=1000?",
     "measures what the hardware charges", ARGUMENTS(floor_arguments)},
    {"lookup", COMMAND_LOOKUP, 0, "lookup S@EXPR each=METRIC ?n=1000?",
     "finds an address's region as a fault does; sets $found", ARGUMENTS(lookup_arguments)},
    {"frames", COMMAND_FRAMES, 0, "frames count=N ?below=ADDRESS? each=METRIC ?n=1000?",
     "takes N frames in a row, uncleared, and gives them back", ARGUMENTS(frames_arguments)},
    {"stray", COMMAND_STRAY, 0, "stray S",
     "writes to S's kernel object outside its window: fault prot with check=deep, else ENOTSUP",
     ARGUMENTS(stray_arguments)},
    {"inject", COMMAND_INJECT, ALONE, "inject alloc nth=N|every=N | inject off",
     "makes the N-th allocation from here on fail; sets $inject.fired",
     ARGUMENTS(inject_arguments)},
    {"squeeze", COMMAND_SQUEEZE, ALONE, "squeeze free=N | squeeze off",
     "takes frames until N bytes are free; gives them back", ARGUMENTS(squeeze_arguments)},
    {"reclaim", COMMAND_RECLAIM, 0, "reclaim pages=N",
     "reclaims as an allocation would; sets $reclaimed", ARGUMENTS(reclaim_arguments)},
    {"check", COMMAND_CHECK, ALONE, "check", "audits the whole virtual memory now", NO_ARGUMENTS},
    {"soak", COMMAND_SOAK, ALONE, "soak ops=N ?cpus=N?",
     "random operations of several CPUs at once, checked against a model",
     ARGUMENTS(soak_arguments)},
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
    {"on", COMMAND_ON, BLOCK | SCOPE | ALONE, "on CPU {...}", "runs the block on one CPU",
     ARGUMENTS(on_arguments)},
    {"parallel", COMMAND_PARALLEL, BLOCK | SCOPE | ALONE, "parallel N ?cpu=V? {...}",
     "runs the block on CPUs 0..N-1 at once; V is the CPU's number", ARGUMENTS(parallel_arguments)},
    {"barrier", COMMAND_BARRIER, 0, "barrier", "waits for all CPUs of the 'parallel' around it",
     NO_ARGUMENTS},
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

const char *command_result(enum command_id id)
{
    if (id == COMMAND_LOOKUP)
        return "found";
    if (id == COMMAND_ADVISE)
        return "purged";
    return id == COMMAND_RECLAIM ? "reclaimed" : NULL;
}
