/* Boot parameters: every word, every complaint, whose options they are, what is selected. */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "core/script/boot_params.h"
#include "core/script/script.h"

static struct boot_params params;
static struct boot_params_error error;

static result_t parse(const char *words)
{
    boot_params_defaults(&params);
    return boot_params_parse(&params, text_of(words), &error);
}

static void assert_refused(const char *words, result_t result, const char *message)
{
    assert_int_equal(parse(words), result);
    if (strstr(error.text, message) == NULL)
        fail_msg("'%s' is not in '%s'", message, error.text);
    assert_null(strchr(error.text, '\n'));
}

static void test_defaults(void **state)
{
    (void)state;
    assert_int_equal(parse(""), OK);
    assert_int_equal(params.run.size, 0);
    assert_int_equal(params.menu, MENU_AUTO);
    assert_int_equal(params.timeout_seconds, 30);
    assert_int_equal(params.cpus, 0);
    assert_false(params.has_seed);
    assert_string_equal(params.serial, "auto");
    assert_int_equal(params.check, CHECK_EACH);
    assert_int_equal(params.paging, 0);
    assert_int_equal(params.on_exit, ON_EXIT_POWEROFF);
    assert_int_equal(params.log, LOG_INFO);
    assert_false(params.samples || params.hist || params.screen_off);
    assert_int_equal(params.selftest, SELFTEST_NONE);
}

static void test_every_word(void **state)
{
    (void)state;
    assert_int_equal(parse("run=a,tag:b skip=c menu=off timeout=0 cpus=4 seed=0xffffffffffffffff "
                           "serial=io,0x3f8,9600 screen=off check=deep paging=5 samples=on hist=on "
                           "phases=off on-exit=qemu log=debug selftest=panic"),
                     OK);
    assert_true(text_is(params.run, "a,tag:b"));
    assert_true(text_is(params.skip, "c"));
    assert_int_equal(params.menu, MENU_OFF);
    assert_int_equal(params.timeout_seconds, 0);
    assert_int_equal(params.cpus, 4);
    assert_true(params.has_seed && params.seed == UINT64_MAX);
    assert_string_equal(params.serial, "io,0x3f8,9600");
    assert_true(params.screen_off);
    assert_int_equal(params.check, CHECK_DEEP);
    assert_int_equal(params.paging, 5);
    assert_true(params.samples && params.hist);
    assert_int_equal(params.selftest, SELFTEST_PANIC);
    assert_int_equal(params.on_exit, ON_EXIT_QEMU);
    assert_int_equal(params.log, LOG_DEBUG);
    assert_int_equal(parse("screen=off screen=auto"), OK);
    assert_false(params.screen_off);
}

static void test_words_come_in_lines_with_comments(void **state)
{
    (void)state;
    assert_int_equal(parse("# a file\nmenu=on   # why\r\n\ttimeout=5\n\n#cpus=3\nseed=2"), OK);
    assert_int_equal(params.menu, MENU_ON);
    assert_int_equal(params.timeout_seconds, 5);
    assert_int_equal(params.cpus, 0);
    assert_int_equal(params.seed, 2);
}

static void test_later_words_win(void **state)
{
    (void)state;
    assert_int_equal(parse("seed=1 cpus=2 fork-cow.pages=1 seed=3 cpus=all fork-cow.pages=2,3"),
                     OK);
    assert_int_equal(params.seed, 3);
    assert_int_equal(params.cpus, 0);
    assert_int_equal(params.override_count, 1);
    assert_true(text_is(params.overrides[0].scenario, "fork-cow"));
    assert_true(text_is(params.overrides[0].param, "pages"));
    assert_true(text_is(params.overrides[0].values, "2,3"));
}

static void test_serial_ports(void **state)
{
    (void)state;
    static const char *const good[] = {
        "auto",     "off",          "ttyS0",      "ttyS0,115200",          "ttyS3,9600",
        "io,0x2f8", "io,760,19200", "mmio,0xfe0", "mmio,0xfe032000,57600",
    };
    static const char *const bad[] = {
        "",        "tty",    "ttyS4",    "ttyS0,",   "ttyS0,0",        "ttyS0,115201",
        "ttyS0,x", "io",     "io,",      "io,0",     "io,0x10000",     "io,0x3f8,",
        "mmio,x",  "auto,1", "off,9600", "mmio,0,1", "ttyS0,9600,8n1", "ttyS0 ,9600",
    };
    char word[64];
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        snprintf(word, sizeof(word), "serial=%s", good[i]);
        assert_int_equal(parse(word), OK);
        assert_string_equal(params.serial, good[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        snprintf(word, sizeof(word), "serial=%s", bad[i]);
        if (parse(word) == OK)
            fail_msg("%s is accepted", word);
    }
}

static void test_bad_words_are_named(void **state)
{
    (void)state;
    assert_refused("seed=1 rnu=all", EINVAL, "unknown boot parameter 'rnu=all' (nearest: 'run=')");
    assert_refused("quiet", EINVAL, "unknown boot parameter 'quiet'");
    assert_refused("on_exit=qemu", EINVAL, "(nearest: 'on-exit=')");
    assert_refused("menu=maybe", EINVAL, "bad boot parameter 'menu=maybe': 'menu' takes auto, on");
    assert_refused("run=", EINVAL, "bad boot parameter 'run='");
    assert_refused("run=a,,b", EINVAL, "bad boot parameter 'run=a,,b'");
    assert_refused("run=a,", EINVAL, "bad boot parameter 'run=a,'");
    assert_refused("skip=tag:", EINVAL, "bad boot parameter 'skip=tag:'");
    assert_refused("timeout=soon", EINVAL, "'timeout' takes seconds");
    assert_refused("timeout=86401", EINVAL, "'timeout' takes seconds");
    assert_refused("cpus=0", EINVAL, "'cpus' takes all or a number from 1");
    assert_refused("seed=", EINVAL, "'seed' takes a number");
    assert_refused("seed=18446744073709551616", EINVAL, "'seed' takes a number");
    assert_refused("samples=yes", EINVAL, "'samples' takes off or on");
    assert_refused("on-exit=sleep", EINVAL, "'on-exit' takes poweroff, reboot, halt or qemu");
    assert_refused("log=loud", EINVAL, "'log' takes");
    assert_refused("screen=on", EINVAL, "'screen' takes auto or off");
    assert_refused("check=", EINVAL, "'check' takes");
    assert_refused("paging=6", EINVAL, "'paging' takes auto, 4 or 5");
    assert_refused(".pages=1", EINVAL, "SCENARIO.PARAM=VALUE");
    assert_refused("a.=1", EINVAL, "SCENARIO.PARAM=VALUE");
    assert_refused("a.b=", EINVAL, "SCENARIO.PARAM=VALUE");
}

static void test_policies(void **state)
{
    (void)state;
    unsigned values[POLICY_VALUES_MAX];
    assert_int_equal(parse(""), OK);
    assert_int_equal(boot_params_policy(&params, POLICY_MAP_AROUND, values), 0);
    assert_int_equal(parse("policy.map_around=0 policy.map_around=16,0"), OK);
    assert_int_equal(boot_params_policy(&params, POLICY_MAP_AROUND, values), 2);
    assert_int_equal(values[0], 16);
    assert_int_equal(values[1], 0);
    assert_refused("policy.map_around=8", EINVAL, "takes some of 0 16");
    assert_refused("policy.map_around=", EINVAL, "takes some of 0 16");
    assert_refused("policy.map_around=0,16,0", EINVAL, "takes some of 0 16");
    assert_refused("policy.map_arounds=0", EINVAL, "policy.map_around");
    assert_refused("policy.=0", EINVAL, "policy.map_around");
}

static void test_words_of_later_versions(void **state)
{
    (void)state;
    assert_refused("phases=on", ENOTSUP, "'phases=on' is not yet supported");
}

static void test_overrides_are_limited(void **state)
{
    (void)state;
    static char words[BOOT_OVERRIDES_MAX * 16];
    size_t length = 0;
    for (int i = 0; i < BOOT_OVERRIDES_MAX; i++)
        length += (size_t)sprintf(words + length, "s.p%d=1 ", i);
    assert_int_equal(parse(words), OK);
    sprintf(words + length, "s.more=1");
    assert_refused(words, EINVAL, "one more than 256");
}

static void test_long_words_are_cut_in_messages(void **state)
{
    (void)state;
    static char word[4096];
    memset(word, 'x', sizeof(word) - 1);
    assert_int_equal(parse(word), EINVAL);
    assert_true(strlen(error.text) < sizeof(error.text) - 1);
}

/* --- whose options are they? ------------------------------------------------------------------------------- */

static bool are_ours(const char *words, const char *left)
{
    struct text text = text_of(words);
    bool ours = boot_params_are_ours(&text);
    assert_true(text_is(text_trim(text), left));
    return ours;
}

static void test_options_of_others(void **state)
{
    (void)state;
    assert_true(are_ours("run=all", "run=all"));
    assert_true(are_ours("BOOTX64.EFI run=all", "run=all"));
    assert_true(are_ours("\\EFI\\BOOT\\BOOTX64.EFI", ""));
    assert_true(are_ours("", ""));
    assert_true(are_ours("rnu=all", "rnu=all"));
    assert_true(are_ours("x.efi root=/dev/sda1 seed=1", "root=/dev/sda1 seed=1"));
    assert_true(are_ours("policy.x=1", "policy.x=1"));
    assert_false(are_ours("root=/dev/vda1 ro quiet console=ttyS0,115200",
                          "root=/dev/vda1 ro quiet console=ttyS0,115200"));
    assert_false(are_ours("vmlinuz root=UUID=1-2 splash", "root=UUID=1-2 splash"));
    assert_false(are_ours("quiet i915.modeset=1", "i915.modeset=1"));
}

static void test_parameters_of_scenarios_are_ours(void **state)
{
    (void)state;
    static const struct scenario scenarios[] = {{.name = {"fork-cow", 8}}, {.name = {"null", 4}}};
    struct text words = TEXT("x.efi fork-cow.pages=1");
    assert_true(scenario_words_are_ours(&words, scenarios, 2));
    assert_true(text_is(text_trim(words), "fork-cow.pages=1"));
    words = TEXT("fork-cwo.pages=1");
    assert_true(scenario_words_are_ours(&words, scenarios, 2));
    words = TEXT("i915.modeset=1 root=x");
    assert_false(scenario_words_are_ours(&words, scenarios, 2));
}

static void test_menu(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        bool menu;
    } cases[] = {
        {"", true},          {"run=all", false},           {"run=all menu=on", true},
        {"menu=off", false}, {"run=all menu=auto", false}, {"menu=on", true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_int_equal(parse(cases[i].words), OK);
        assert_int_equal(boot_params_wants_menu(&params), cases[i].menu);
    }
}

/* --- selecting ---------------------------------------------------------------------------------------------- */

static struct scenario library[3] = {
    {.name = {"null", 4}, .tag_count = 1, .tags = {{"quick", 5}}},
    {.name = {"fork-cow", 8}, .tag_count = 2, .tags = {{"quick", 5}, {"seed", 4}}},
    {.name = {"soak", 4}},
};

/* One letter a scenario: `x` selected, `-` not. */
static const char *selection(const char *words)
{
    static char letters[4];
    assert_int_equal(parse(words), OK);
    if (scenario_select(library, 3, &params, &error) != OK)
        return error.text;
    for (size_t i = 0; i < 3; i++)
        letters[i] = library[i].selected ? 'x' : '-';
    return letters;
}

static void test_selection(void **state)
{
    (void)state;
    assert_string_equal(selection(""), "xxx");
    assert_string_equal(selection("run=all"), "xxx");
    assert_string_equal(selection("run=null"), "x--");
    assert_string_equal(selection("run=tag:quick"), "xx-");
    assert_string_equal(selection("run=tag:seed,soak"), "-xx");
    assert_string_equal(selection("skip=soak"), "xx-");
    assert_string_equal(selection("run=all skip=tag:quick"), "--x");
    assert_string_equal(selection("skip=all"), "---");
    assert_string_equal(selection("run=nul"),
                        "run=: no scenario is called 'nul' (nearest: 'null')");
    assert_string_equal(selection("skip=tag:quik"),
                        "skip=: no scenario has the tag 'quik' (nearest: 'tag:quick')");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_word),
        cmocka_unit_test(test_words_come_in_lines_with_comments),
        cmocka_unit_test(test_later_words_win),
        cmocka_unit_test(test_serial_ports),
        cmocka_unit_test(test_bad_words_are_named),
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_words_of_later_versions),
        cmocka_unit_test(test_overrides_are_limited),
        cmocka_unit_test(test_long_words_are_cut_in_messages),
        cmocka_unit_test(test_options_of_others),
        cmocka_unit_test(test_parameters_of_scenarios_are_ours),
        cmocka_unit_test(test_menu),
        cmocka_unit_test(test_selection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
