/* What is found before a scenario runs: every rule of the syntax and of names, with its place. */
#include "script_testing.h"

#include "core/counters.h"
#include "core/script/commands.h"

/* --- words and commands --------------------------------------------------------------------------------- */

static void test_commands_end_at_lines_and_semicolons(void **state)
{
    (void)state;
    expect_valid("space a; space b\nspace f;space g;\n;;\n");
    expect_valid("space \\\n  a ; # a comment\\\n that goes on\nspace b");
    expect_valid("space a\r\nmap a.x size=4K\r\n");
    expect_valid("\t space a ;# at the end");
    expect_error("space a b", 1, 9, "unexpected word 'b'");
    expect_error("space a # not a comment", 1, 9, "unexpected word '#'");
}

static void test_braces_and_quotes(void **state)
{
    (void)state;
    expect_valid("space a\nmap a.x size={ 4K *\n 2 }");
    expect_valid("log \"a \\\"quoted\\\" \\[word\\] for \\$1\"");
    expect_valid("set a 1\nlog \"$a ${a}b $a.\"");
    expect_error("repeat 2 {\nspace a\n", 1, 10, "missing '}'");
    expect_error("log \"open\n", 1, 5, "missing '\"'");
    expect_error("log \"a\"b", 1, 8, "directly after '\"'");
    expect_error("repeat 2 {}x", 1, 12, "directly after '}'");
    expect_error("space a}", 1, 8, "unexpected '}'");
    expect_error("space a\nmap a.x size=[x]", 2, 14, "'[...]' is not part of the language");
    expect_error("log \"[x]\"", 1, 6, "'[...]' is not part of the language");
    expect_error("set a {[x]}", 1, 8, "'[...]' is not part of the language");
    expect_error("space a\\b", 1, 8, "a backslash only continues a line");
    expect_error("space \x01", 1, 7, "unexpected byte 0x01");
}

static void test_unknown_words_get_a_suggestion(void **state)
{
    (void)state;
    expect_error("spase a", 1, 1, "unknown command 'spase' (did you mean 'space'?)");
    expect_error("space a\n    map a.x sizee=4K", 2, 13,
                 "unknown option 'sizee' of 'map' (did you mean 'size'?)");
    expect_error("space a\nmap a.x size=4K if-taken=replac", 2, 26, "(did you mean 'replace'?)");
    expect_error("space heap\ndrop haep", 2, 6,
                 "unknown space or object 'haep' (did you mean 'heap'?)");
    expect_error("space a\nmap a.heap size=4K\ndrop a.haep", 3, 6,
                 "unknown region 'a.haep' (did you mean 'heap'?)");
    expect_error("set pages 3\nset x $page_ + $pagse", 2, 7,
                 "unknown variable '$page_' (did you mean 'page'?)");
    expect_error("expect $d.fault.cow_cop == 1", 1, 8, "(did you mean 'fault.cow_copy'?)");
    expect_error("count m fault.anno {}", 1, 9, "(did you mean 'fault.anon'?)");
    expect_error("expect error ENOMEN {}", 1, 14, "(did you mean 'ENOMEM'?)");
    expect_error("expect fault seg {}", 1, 14, "(did you mean 'segv'?)");
    expect_error("space a\nexpect $a.residen == 1", 2, 8, "(did you mean 'resident'?)");
    expect_error("expect $F.segw == $E.ENOENT", 1, 8, "(did you mean 'segv'?)");
    expect_error("quite-another-thing", 1, 1, "unknown command 'quite-another-thing'");
}

static void test_arguments(void **state)
{
    (void)state;
    expect_valid("space a\nmap prot=rw a.x align=2M size=4K\ntouch a.x value=3 write");
    expect_error("map", 1, 1, "'map' lacks its SPACE.REGION");
    expect_error("space a\nmap a.x", 2, 1, "'map' needs the option 'size='");
    expect_error("space a\nmap a.x size=", 2, 9, "option 'size' has no value");
    expect_error("space a\nmap a.x size=4K size=8K", 2, 17, "given twice");
    expect_error("check now", 1, 7, "unexpected word 'now'");
    expect_error("check all=1", 1, 7, "unknown option 'all' of 'check'");
    expect_error("space a\nmap a.x size=4K prot=rwz", 2, 22, "letters of rwx");
    expect_error("space a\nmap a.x size=4K prot=rr", 2, 22, "letters of rwx");
    expect_error("space a\nmap a.x size=4K prot=3", 2, 22, "takes a word, not a number");
    expect_error("space a\nmap a.x size=big", 2, 14, "takes a number");
    expect_error("space a\nmap a.x size=4K commit=yes", 2, 24, "it takes off or on");
    expect_error("space a\nmap a.x size=4K\ntouch a.x poke", 3, 11, "it takes read, write or exec");
    expect_error("space a\nmap a.x size=4K\ntouch a.x exec value=1", 3, 22, "takes no 'value='");
    expect_error("time a-b {}", 1, 6, "the name of a metric is");
    expect_error("time $x {}", 1, 6, "the name of a metric is");
    expect_error("time x y", 1, 8, "written {...}");
    expect_error("if {1} {} otherwise {}", 1, 11, "only 'else {...}' may follow");
    expect_error("if {1} {\n} \nelse {}", 3, 1, "stands on the line of the '}'");
    expect_error("foreach v {} {}", 1, 11, "not empty");
    expect_error("break", 1, 1, "'break' stands inside 'repeat' or 'foreach'");
    expect_error("on 0 { break }", 1, 8, "'break' stands inside");
    expect_valid("repeat 2 { on 0 { break } }\nforeach v {1 2} { if {$v} { break } }");
}

static void test_kinds_of_objects_and_their_options(void **state)
{
    (void)state;
    expect_valid("object o file size=4K backing=disk offset=8K\nspace a\n"
                 "map a.x object=o size=8K share=shared\nsync a.x");
    expect_error("object o file size=4K commit=on", 1, 30, "takes no 'commit='");
    expect_error("object o file size=4K backing=tape", 1, 31, "it takes ram or disk");
    expect_valid("space a aslr=off\nmap a.x size=4K share=private stack=off cache=wb");
    expect_valid("object o framebuffer\nobject p framebuffer size=4K");
    expect_error("object o framebuffer at=0", 1, 25, "takes no 'at='");
    expect_error("object o framebuffer\nswitch o sideways", 2, 10, "sideways");
    expect_error("space s\nswitch s text", 2, 8, "s");
}

/* --- numbers and expressions ------------------------------------------------------------------------------ */

static void test_numbers(void **state)
{
    (void)state;
    expect_valid("set a 0x7fffffffffffffff; set b 9223372036854775807; set c 0xffffffffffffffff");
    expect_valid("set a 8388607T; set b 0x10K; set c 3p; set d 007");
    expect_error("set a 9223372036854775808", 1, 7, "does not fit into 64 bits");
    expect_error("set a 0x10000000000000000", 1, 7, "does not fit into 64 bits");
    expect_error("set a 8388608T", 1, 7, "does not fit into 64 bits");
    expect_error("set a 0xffffffffffffffffK", 1, 7, "does not fit into 64 bits");
    expect_error("set a 4k", 1, 7, "malformed number");
    expect_error("set a 4Kb", 1, 7, "malformed number");
    expect_error("set a 0x", 1, 7, "malformed number");
    expect_error("set a 12x", 1, 7, "malformed number");
}

static void test_expressions(void **state)
{
    (void)state;
    expect_valid("set a 1 + 2 * (3 - -4) << 2 | ~5 & 6 ^ 7");
    expect_valid("set a {1 ? 2 : 3 ? 4 : 5}\nexpect $a == 2 && !($a != 2) || 0 \"message\"");
    expect_valid("set m lazy\nexpect $m == lazy\nexpect {$m != eager}");
    expect_error("set a 1 +", 1, 10, "ends where a value is expected");
    expect_error("set a (1", 1, 7, "missing ')'");
    expect_error("set a 1 2", 1, 9, "unexpected '2' in the expression");
    expect_error("set a 1 ? 2", 1, 9, "missing ':'");
    expect_error("set a 1 + lazy", 1, 11, "a word can only be compared");
    expect_error("set a pages * 4K", 1, 7, "'$pages' is the variable");
    expect_error("set a -lazy", 1, 8, "a word can only be compared");
    expect_error("set a lazy ? 1 : 2", 1, 7, "a word can only be compared");
    expect_error("expect lazy", 1, 8, "a condition is a number");
    expect_error("if lazy {}", 1, 4, "a condition is a number");
    expect_error("expect", 1, 1, "'expect' lacks its CONDITION");
    expect_error("set a", 1, 1, "'set' lacks its VALUE");
    expect_error("set a $", 1, 7, "malformed variable");
    expect_error("set a $.x", 1, 7, "malformed variable");
    expect_error("set a @", 1, 7, "unexpected '@'");
}

/* Nothing is read behind the last byte, which ends the file. */
static void test_expressions_that_end_too_early(void **state)
{
    (void)state;
    static const char *const ends[] = {"(",     "((",    "1 + (",   "1 ?",
                                       "1 ? (", "1 ? 2", "1 ? 2 :", "(1 ?"};
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        char text[64];
        int size = snprintf(text, sizeof(text), "scenario t \"a test\"\nif %s", ends[i]);
        char *exact = malloc((size_t)size);
        memcpy(exact, text, (size_t)size);
        assert_true(load_text(exact, (size_t)size)->error_count > 0);
        free(exact);
    }
}

static void test_nested_expressions_are_bounded(void **state)
{
    (void)state;
    char body[512] = "set a ";
    for (int i = 0; i < SCRIPT_NESTING_MAX; i++)
        strcat(body, "(");
    strcat(body, "1");
    for (int i = 0; i < SCRIPT_NESTING_MAX; i++)
        strcat(body, ")");
    expect_valid(body);
    memmove(body + 7, body + 6, strlen(body) - 5);
    const struct scenario *scenario = load_body(body);
    assert_int_equal(scenario->error_count, 1);
    assert_non_null(strstr(scenario->errors[0].message, "nested deeper than 32"));
}

/* --- names --------------------------------------------------------------------------------------------------- */

static void test_names_have_their_form(void **state)
{
    (void)state;
    expect_error("space a.b", 1, 7, "letters, digits and '_'");
    expect_error("space c", 1, 7, "things cannot be called");
    expect_error("space inject", 1, 7, "things cannot be called");
    expect_error("space a\nmap a size=4K", 2, 5, "a region is named SPACE.REGION");
    expect_error("space a\nmap a.1 size=4K", 2, 7, "starts with a letter");
    expect_error("space a\nmap a._ size=4K\ntouch a._ read", 3, 7, "has no name to use it by");
    expect_error("set cpus 3", 1, 5, "is always there");
    expect_error("set a.b 3", 1, 5, "without dots");
    expect_error("set $a 3", 1, 5, "without dots");
    expect_error("foreach rep {1 2} {}", 1, 9, "is always there");
    expect_error("random free 3", 1, 8, "is always there");
    expect_error("try seed {}", 1, 5, "is always there");
    expect_error("space a\nlookup a.x each=m", 2, 8, "SPACE@EXPR");
    expect_error("space a\nunmap a@0", 2, 7, "needs 'size='");
    expect_valid("space a\ntouch a@0x1000 read\nunmap a@{ 4K * 2 } size=4K");
    expect_valid("space a\nmap a._ size=4K\nmap a._ size=4K");
}

static void test_what_is_certainly_dead_or_alive(void **state)
{
    (void)state;
    expect_error("space a\nspace a", 2, 7, "space 'a' is alive already (EEXIST)");
    expect_error("space a\nmap a.x size=4K\nmap a.x size=4K", 3, 5, "alive already (EEXIST)");
    expect_error("space a\nfork a a", 2, 8, "alive already (EEXIST)");
    expect_error("space a\ndrop a\ndrop a", 3, 6,
                 "no space or object 'a' (ENOENT): it is not alive here");
    expect_error("space a\nmap a.x size=4K\ndrop a.x\ntouch a.x read", 4, 7, "no region 'a.x'");
    expect_error("space a\nmap a.x size=4K\ndrop a\nspace a\ntouch a.x read", 5, 7,
                 "no region 'a.x' (ENOENT)");
    expect_error("repeat 2 { space a }\ndrop a", 2, 6, "nothing above makes it in this scope");
    expect_error("drop a\nspace a", 1, 6, "nothing above makes it in this scope");
    expect_error("space a\nexpect $a.x.size == 1\nmap a.x size=4K", 2, 8, "unknown region 'a.x'");
    expect_error("repeat 2 { set v 1 }\nset w $v", 2, 7, "unknown variable '$v'");
    expect_valid("space a\nmap a.x size=4K\nfork a b\ntouch b.x read\ndrop b.x");
    expect_valid("space a\nrepeat 3 { drop a ; space a }\ndrop a");
    expect_valid("repeat 3 { space a }\nrepeat 3 { space a }\nspace a");
}

static void test_what_is_uncertain_is_left_to_run_time(void **state)
{
    (void)state;
    expect_valid("set v 1\nif {$v} { space a }\ntouch a@0 read");
    expect_valid("space a\nif {$rep} { drop a }\ndrop a");
    expect_valid("space a\ntry v { drop a ; drop a }\ndrop a");
    expect_valid("space a\nexpect error EEXIST { space a }\nexpect error ENOENT { drop a.x }\n"
                 "if {0} { map a.x size=4K }");
    expect_error("if {1} { space a } else { space a }\nspace a", 2, 7, "alive already");
    expect_valid("if {1} { space a } else { space b }\nspace a");
    expect_error("if {1} { space a ; space a }", 1, 26, "alive already");
    expect_error("space a\nif {1} { drop a ; drop a }", 2, 24, "it is not alive here");
}

/* `expect error ENOENT` defers what is dead, but a name that nothing makes is a slip of the pen. */
static void test_names_that_nothing_makes(void **state)
{
    (void)state;
    expect_error("try v { drop a }", 1, 14, "unknown space or object 'a'");
    expect_error("space a\ntry v { touch a.x read }", 2, 15, "unknown region 'a.x'");
}

static void test_pressure(void **state)
{
    (void)state;
    expect_valid("object o anon size=4K purgeable=on\nspace a\nmap a.x object=o\n"
                 "advise a.x volatile\nadvise a.x nonvolatile\nexpect $purged == 0");
    expect_valid("squeeze free=1M\nsqueeze off\nreclaim pages=4\nexpect $reclaimed == 0");
    expect_error("squeeze", 1, 1, "needs free=SIZE");
    expect_error("squeeze off free=1M", 1, 1, "needs free=SIZE");
    expect_error("reclaim", 1, 1, "needs the option 'pages='");
    expect_error("expect $reclaimed == 0", 1, 8, "unknown variable '$reclaimed'");
}

static void test_digest_stands_outside_of_time(void **state)
{
    (void)state;
    expect_valid("space a\nset v $a.digest");
    expect_error("space a\ntime m { if {1} { set v $a.digest } }", 2, 25, "inside 'time'");
}

static void test_metrics_have_one_unit(void **state)
{
    (void)state;
    expect_valid("time m {}\ntime m {}\ncount n fault.anon {}");
    expect_error("time m {}\ncount m fault.anon {}", 2, 7, "cannot hold both ticks and counts");
}

/* --- the head ---------------------------------------------------------------------------------------------------- */

static void expect_head_error(const char *text, unsigned line, unsigned column, const char *message)
{
    const struct scenario *scenario = load_text(text, strlen(text));
    const struct script_error *error = &scenario->errors[0];
    if (scenario->error_count == 0 || error->line != line || error->column != column ||
        strstr(error->message, message) == NULL)
        fail_with_errors(scenario, text, message);
    assert_true(text_is(scenario->name, "t"));
}

static void test_head(void **state)
{
    (void)state;
    expect_head_error("", 1, 1, "the file is empty");
    expect_head_error("# nothing\n", 1, 1, "the file is empty");
    expect_head_error("space a\n", 1, 1, "the first command of a file is: scenario");
    expect_head_error("scenario t\n", 1, 1, "usage: scenario NAME");
    expect_head_error("scenario u \"x\"\n", 1, 10, "is not the file's name");
    expect_head_error("scenario T \"x\"\n", 1, 10, "a-z, 0-9 and '-'");
    expect_head_error("scenario t \"x\"\nscenario t \"x\"\n", 2, 1, "stands once");
    expect_error("space a\ntags quick", 2, 1, "belongs to the head");
    expect_error("repeat 1 { param p 1 }", 1, 12, "belongs to the head");
    expect_error("tags Quick", 1, 6, "a tag is");
    expect_error("needs cpu>=2", 1, 7, "unknown need 'cpu>=2' (did you mean 'cpus'?)");
    expect_error("needs memory>=", 1, 15, "ends where a value is expected");
    expect_error("param p", 1, 1, "usage: param");
    expect_error("param p 1\nparam p 2", 2, 7, "is there already");
    expect_error("param memory 1", 1, 7, "is always there");
    expect_error("param a.b 1", 1, 7, "letters, digits and '_'");
    expect_error("param p $q", 1, 9, "unknown variable '$q'");
    expect_error("limit", 1, 1, "needs the option 'time='");
    expect_error("limit time=1\nlimit time=2", 2, 1, "stands only once");
    expect_valid("tags quick smp\nneeds cpus>=2 memory>=$page*4K feature:smap framebuffer disk\n"
                 "limit time=5");
    expect_valid("param p 1 2K {3 + 4} lazy \"help\"\nparam q $p\nneeds memory>={ $p * 2 }");
}

static void test_head_is_read(void **state)
{
    (void)state;
    const struct scenario *scenario =
        load_body("tags quick smp\nparam pages 256 4K \"how many\"\nparam mode lazy\nbroken");
    assert_int_equal(scenario->error_count, 1);
    assert_true(text_is(scenario->description, "a test"));
    assert_int_equal(scenario->tag_count, 2);
    assert_true(text_is(scenario->tags[1], "smp"));
    assert_int_equal(scenario->param_count, 2);
    assert_true(text_is(scenario->params[0].help, "how many"));
    assert_int_equal(scenario->params[0].value_count, 2);
    assert_true(text_is(scenario->params[0].values[1], "4K"));
}

/* --- limits -------------------------------------------------------------------------------------------------------- */

static char *repeated(const char *piece, size_t count)
{
    size_t size = strlen(piece);
    char *text = malloc(size * count + 1);
    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * size, piece, size);
    text[size * count] = '\0';
    return text;
}

static void expect_any_error(const char *body, const char *message)
{
    const struct scenario *scenario = load_body(body);
    if (scenario->error_count == 0 || strstr(scenario->errors[0].message, message) == NULL)
        fail_with_errors(scenario, "(a long text)", message);
}

static void test_file_size_is_limited(void **state)
{
    (void)state;
    static char text[SCRIPT_FILE_MAX + 1];
    memset(text, ' ', sizeof(text));
    memcpy(text, "scenario t \"x\"\n", 15);
    assert_int_equal(load_text(text, SCRIPT_FILE_MAX)->error_count, 0);
    const struct scenario *scenario = load_text(text, SCRIPT_FILE_MAX + 1);
    assert_non_null(strstr(scenario->errors[0].message, "larger than 1 MiB"));
}

static void test_commands_are_limited(void **state)
{
    (void)state;
    char *text = repeated("mark\n", SCRIPT_COMMANDS_MAX - 1);
    expect_valid(text);
    free(text);
    text = repeated("mark\n", SCRIPT_COMMANDS_MAX);
    expect_any_error(text, "more than 16384 commands");
    free(text);
}

static void test_nesting_is_limited(void **state)
{
    (void)state;
    char *open = repeated("repeat 1 {", SCRIPT_NESTING_MAX);
    char *close = repeated("}", SCRIPT_NESTING_MAX);
    char body[1024];
    snprintf(body, sizeof(body), "%s mark %s", open, close);
    expect_valid(body);
    snprintf(body, sizeof(body), "%s repeat 1 { mark } %s", open, close);
    expect_any_error(body, "nested deeper than 32");
    free(open);
    free(close);
}

static void test_names_are_limited(void **state)
{
    (void)state;
    char body[512];
    char *name = repeated("n", SCRIPT_NAME_MAX);
    snprintf(body, sizeof(body), "space %s", name);
    expect_valid(body);
    snprintf(body, sizeof(body), "space %sn", name);
    expect_any_error(body, "at most 63 bytes");
    free(name);

    static char text[SCRIPT_NAMES_MAX * 16];
    size_t length = 0;
    for (int i = 0; i < SCRIPT_NAMES_MAX; i++)
        length += (size_t)sprintf(text + length, "set v%d 1\n", i);
    expect_valid(text);
    sprintf(text + length, "set more 1\n");
    expect_any_error(text, "more than 1024 names");
}

static void test_errors_are_formatted_like_a_compilers(void **state)
{
    (void)state;
    char text[512];
    const struct scenario *scenario = load_body("space a\n\tmap  a.x sizee=4K ;# \xc3\xa9\n");
    scenario_format_error(scenario, 0, text, sizeof(text));
    assert_string_equal(text, "t.scn:3:11: error: unknown option 'sizee' of 'map' (did you mean "
                              "'size'?)\n\tmap  a.x sizee=4K ;# \xc3\xa9\n\t         ^\n");
    scenario = load_body("log \"\xc3\xa9\xc3\xa9\" x");
    assert_int_equal(scenario->errors[0].column, 10);
}

static void test_every_error_of_a_file_is_found(void **state)
{
    (void)state;
    const struct scenario *scenario = load_body("foo\nrepeat 2 { bar\n }\nmap x\nspace \"");
    assert_int_equal(scenario->error_count, 4);
    assert_int_equal(scenario->errors[1].line, 3);
    scenario = load_body("a1\na2\na3\na4\na5\na6\na7\na8\na9\na10");
    assert_int_equal(scenario->error_count, SCRIPT_ERRORS_MAX);
}

static void test_memory_may_be_short(void **state)
{
    (void)state;
    static char memory[1 << 20];
    static const char text[] = "scenario t \"x\"\nspace a\nmap a.x size={1+2}\nlog \"$rep\"\n"
                               "repeat 3 { touch a.x write }\nforeach v {1 2} { set w $v }";
    bool loaded = false;
    for (size_t size = 0; size < sizeof(memory) && !loaded; size += 64) {
        struct scenario scenario;
        struct arena arena;
        arena_init(&arena, memory, size);
        result_t result = scenario_load(&scenario, &arena, "t.scn", text_of(text));
        loaded = result == OK;
        if (!loaded) {
            assert_int_equal(result, ENOMEM);
            assert_non_null(strstr(scenario.errors[0].message, "not enough memory"));
        }
    }
    assert_true(loaded);
}

/* --- the documentation ------------------------------------------------------------------------------------------- */

static const char *read_documentation(void)
{
    static char text[1 << 17];
    FILE *file = fopen("docs/scenario-language.md", "rb");
    if (file == NULL)
        fail_msg("docs/scenario-language.md cannot be read; tests run in the project's root");
    size_t size = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[size] = '\0';
    return text;
}

static void assert_documented(const char *documentation, const char *format, const char *name)
{
    char wanted[128];
    snprintf(wanted, sizeof(wanted), format, name);
    if (strstr(documentation, wanted) == NULL)
        fail_msg("docs/scenario-language.md lacks %s", wanted);
}

static void test_everything_is_documented(void **state)
{
    (void)state;
    const char *documentation = read_documentation();
    for (size_t i = 0; i < command_table_count; i++) {
        const struct command_spec *spec = &command_table[i];
        if (spec->id < COMMAND_ELSE)
            assert_documented(documentation, "`%s", spec->name);
        for (size_t k = 0; k < spec->argument_count; k++) {
            if ((spec->arguments[k].flags & POSITIONAL) == 0)
                assert_documented(documentation, "%s=", spec->arguments[k].name);
        }
    }
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        assert_documented(documentation, "`%s`", counter_name((enum counter)i));
    for (result_t i = EINVAL; i < EAGAIN; i++)
        assert_documented(documentation, "`%s`", result_name(i));
}

static void test_the_documented_scenario_is_valid(void **state)
{
    (void)state;
    const char *begin = strstr(read_documentation(), "```tcl\n");
    assert_non_null(begin);
    begin = strstr(begin, "repeat");
    const char *end = strstr(begin, "```");
    assert_non_null(end);
    char body[2048];
    snprintf(body, sizeof(body), "param pages 64\n%.*s", (int)(end - begin), begin);
    expect_valid(body);
    assert_passes(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_end_at_lines_and_semicolons),
        cmocka_unit_test(test_braces_and_quotes),
        cmocka_unit_test(test_unknown_words_get_a_suggestion),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_kinds_of_objects_and_their_options),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_expressions),
        cmocka_unit_test(test_expressions_that_end_too_early),
        cmocka_unit_test(test_nested_expressions_are_bounded),
        cmocka_unit_test(test_names_have_their_form),
        cmocka_unit_test(test_what_is_certainly_dead_or_alive),
        cmocka_unit_test(test_what_is_uncertain_is_left_to_run_time),
        cmocka_unit_test(test_names_that_nothing_makes),
        cmocka_unit_test(test_pressure),
        cmocka_unit_test(test_digest_stands_outside_of_time),
        cmocka_unit_test(test_metrics_have_one_unit),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_head_is_read),
        cmocka_unit_test(test_file_size_is_limited),
        cmocka_unit_test(test_commands_are_limited),
        cmocka_unit_test(test_nesting_is_limited),
        cmocka_unit_test(test_names_are_limited),
        cmocka_unit_test(test_errors_are_formatted_like_a_compilers),
        cmocka_unit_test(test_every_error_of_a_file_is_found),
        cmocka_unit_test(test_memory_may_be_short),
        cmocka_unit_test(test_everything_is_documented),
        cmocka_unit_test(test_the_documented_scenario_is_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
