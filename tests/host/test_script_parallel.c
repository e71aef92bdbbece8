/* `parallel` and `barrier`: what may stand where, whose names are whose, what stops whom, whose samples
 * are whose. */
#include "script_testing.h"

#define CPUS 4

static void assert_passes_on(unsigned cpu_count, const char *body)
{
    if (run_body_with(body, NULL, cpu_count) != STATUS_PASSED)
        fail_msg("does not pass on %u CPUs:\n%s\n%s", cpu_count, body, said_by_scenario());
    assert_output("passed=1 failed=0 skipped=0 status=0");
}

static void assert_fails_on(unsigned cpu_count, const char *body, const char *text)
{
    if (run_body_with(body, NULL, cpu_count) != STATUS_FAILED)
        fail_msg("does not fail on %u CPUs:\n%s\n%s", cpu_count, body, said_by_scenario());
    assert_output(text);
    assert_no_output("memory is not as it was");
    assert_no_output("could not be dropped");
}

/* --- files with errors ------------------------------------------------------------------------------------ */

static void test_what_may_stand_where(void **state)
{
    (void)state;
    expect_error("barrier", 1, 1, "'barrier' stands inside 'parallel'");
    expect_error("parallel 2 {}\nbarrier", 2, 1, "'barrier' stands inside 'parallel'");
    expect_error("parallel 2 { on 1 {} }", 1, 14, "'on' cannot stand inside 'parallel'");
    expect_error("parallel 2 {\nif {1} { parallel 2 {} } }", 2, 10,
                 "'parallel' cannot stand inside 'parallel'");
    expect_error("parallel 2 { check }", 1, 14, "'check' cannot stand inside 'parallel'");
    expect_error("parallel 2 { squeeze off }", 1, 14, "it is about the whole machine");
    expect_error("parallel 2 { inject off }", 1, 14, "it is about the whole machine");
    expect_error("parallel 2 { floor trap each=m }", 1, 14, "it is about the whole machine");
    expect_error("parallel 2 { soak ops=1 }", 1, 14, "it is about the whole machine");
    expect_error("soak", 1, 1, "needs the option 'ops='");
    expect_error("repeat 2 { parallel 2 { break } }", 1, 25, "does not leave 'parallel'");
    expect_error("parallel 2", 1, 1, "lacks its BLOCK");
    expect_error("parallel 2 cpu=v.w {}", 1, 16, "letters, digits");
    expect_error("parallel 2 cpu=cpus {}", 1, 16, "cpus");
    expect_error("parallel 2 cpus=v {}", 1, 12, "did you mean 'cpu'?");
    expect_error("time parallel.skew {}", 1, 6, "'parallel' fills it");
    expect_valid("on 1 { parallel 2 cpu=v { repeat 2 { barrier\nbreak }\ntry e { set w $v } } }");
    expect_valid("parallel 2 {}\nparallel 2 {}\non 0 {}\ncheck");
}

static void test_names_from_outside_stay_as_they_are(void **state)
{
    (void)state;
    static const char before[] = "space a\nobject o anon size=4K\nmap a.x size=4K\nset n 1\n";
    static const struct {
        const char *command;
        unsigned column;
        const char *message;
    } rows[] = {
        {"space a", 7, "'a' is made outside of 'parallel': inside it can be used, not made again"},
        {"object o anon size=4K", 8, "not made again"},
        {"map a.x size=4K", 5, "'a.x' is made outside"},
        {"share a.x from=a.x", 7, "not made again"},
        {"fork a a", 8, "not made again"},
        {"drop a", 6, "not dropped"},
        {"drop a.x", 6, "not dropped"},
        {"drop o", 6, "not dropped"},
        {"resize a.x size=4K", 8, "not resized"},
        {"move a.x", 6, "not moved"},
        {"exec a text=4K data=4K stack=4K", 6, "not given other regions"},
        {"set n 2", 5, "not set"},
        {"random n 2", 8, "not set"},
        {"foreach n {1} {}", 9, "not set"},
        {"try n {}", 5, "not set"},
        {"try e { drop a }", 14, "not dropped"},
    };
    char body[512];
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        snprintf(body, sizeof(body), "%sparallel 2 {\n%s }", before, rows[i].command);
        expect_error(body, 6, rows[i].column, rows[i].message);
    }
    expect_error("set v 1\nparallel 2 cpu=v {}", 2, 16, "each CPU needs one of its own");
    expect_error("param p 1\nset p 2\nparallel 2 { set p 3 }", 3, 18, "not set");
    expect_error("parallel 2 cpu=v { space b }\nlog \"$v\"", 2, 6, "unknown variable '$v'");
    expect_error("parallel 2 { space b }\ndrop b", 2, 6, "no space");
}

/* --- blocks that run ---------------------------------------------------------------------------------------- */

static void test_each_cpu_has_its_own_names(void **state)
{
    (void)state;
    assert_passes_on(CPUS,
                     "space s\nmap s.all size=64K populate=on\nset n 7\nobject o anon size=16K\n"
                     "parallel $cpus cpu=v {\n"
                     "  expect $v == $cpu && $n == 7 && $s.all.size == 64K\n"
                     "  set k $v * 3 + $n\n"
                     "  space b ; map b.x size=($v+1)*4K\n"
                     "  map s.mine size=4K ; touch s.mine write value=$v\n"
                     "  map b.o object=o share=shared\n"
                     "  barrier\n"
                     "  touch s.mine read value=$v\n"
                     "  expect $b.x.size == ($v+1)*4K && $k == $cpu*3 + 7\n"
                     "  touch s.all write offset=$v*4K size=4K value=$v+40\n"
                     "  if {$v == 1} { drop b ; space b }\n"
                     "  lookup s@{$s.all.base} each=m n=2 ; expect $found == 1\n"
                     "}\n"
                     "expect $s.regions == 1 && $o.regions == 0 && $n == 7\n"
                     "repeat 4 { touch s.all read offset=$rep*4K size=4K value=$rep+40 }\n"
                     "space b\n");
    assert_output("t,,m,tick,4,8,");
}

static void test_inner_scopes_and_loops(void **state)
{
    (void)state;
    assert_passes_on(
        CPUS, "set found 5\n"
              "repeat 3 {\n"
              "  set r $rep\n"
              "  parallel 3 cpu=v {\n"
              "    set n 0\n"
              "    repeat {$v + 2} { space a ; set n $n + 1\n"
              "      map a.x size=4K ; touch a.x write\n"
              "      if {$rep == 3} { break } }\n"
              "    expect $n == $v + 2 && $r == $rep\n"
              "    foreach v2 {4 5} { set n $n + $v2 } ; expect $n == $v + 11\n"
              "    try e { space a ; space a } ; expect $e == $E.EEXIST\n"
              "    space q ; lookup q@0x400000 each=l n=1 ; expect $found == 0\n"
              "    expect error ENOENT { set v $v + 100 ; touch q.x read ; map q.x size=4K }\n"
              "  }\n"
              "}\n"
              "expect $found == 5");
}

static void test_number_of_the_cpu_may_be_changed_inside(void **state)
{
    (void)state;
    assert_passes_on(2, "parallel 2 cpu=v { set v $v + 10\nexpect $v == $cpu + 10 }\n"
                        "parallel 2 cpu=v { expect $v == $cpu }");
}

static void test_marks_are_each_cpus_own(void **state)
{
    (void)state;
    assert_passes_on(2, "space s\nmap s.x size=8K\nmark\n"
                        "parallel 2 cpu=v {\n"
                        "  expect $d.fault.anon == 0\nbarrier\n"
                        "  if {$v == 0} { touch s.x write size=4K }\nbarrier\n"
                        "  if {$v == 1} { mark }\nbarrier\n"
                        "  expect $d.fault.anon == 1 - $v\n"
                        "}\nexpect $d.fault.anon == 1");
}

static void test_randomness_is_each_cpus_and_repeats(void **state)
{
    (void)state;
    static const char body[] = "set twice 0\n"
                               "parallel 3 cpu=v { random n 1000000000\nlog \"first $v $n\" }\n"
                               "parallel 3 cpu=v { random n 1000000000\nlog \"second $v $n\" }";
    char drawn[2][6][80];
    for (int round = 0; round < 2; round++) {
        assert_int_equal(run_body_with(body, "seed=7", 3), 0);
        for (int i = 0; i < 6; i++) {
            char wanted[32];
            snprintf(wanted, sizeof(wanted), "t: %s %d ", i < 3 ? "first" : "second", i % 3);
            const char *line = strstr(script_output, wanted);
            assert_non_null(line);
            snprintf(drawn[round][i], sizeof(drawn[round][i]), "%.*s",
                     (int)strcspn(line + strlen(wanted), "\r\n"), line + strlen(wanted));
        }
    }
    for (int i = 0; i < 6; i++) {
        assert_string_equal(drawn[0][i], drawn[1][i]);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(drawn[0][i], drawn[0][k]);
    }
}

static void test_parallel_inside_on(void **state)
{
    (void)state;
    assert_passes_on(3, "space s\nmap s.x size=4K\n"
                        "on 2 { touch s.x write value=3 ; parallel 3 { touch s.x read value=3 }\n"
                        "  expect $cpu == 2 ; touch s.x read value=3 }\n"
                        "try e { on 1 { parallel 2 { touch s@0 read } } }\n"
                        "expect $e == $F.segv && $cpu == 0");
}

/* --- the number of CPUs ----------------------------------------------------------------------------------------- */

static void test_too_many_cpus_skip_the_combination(void **state)
{
    (void)state;
    assert_int_equal(run_body_with("param n 1 2 3 4\ntime m { parallel $n {} }", NULL, 2), 0);
    assert_output("  ok 2 n=2\n");
    assert_output("  ok 3 n=3 # SKIP needs cpus>=3, this machine has 2");
    assert_output("  ok 4 n=4 # SKIP needs cpus>=4, this machine has 2");
    assert_no_output("t,n=3");
    /* Known only when it is reached; nothing is left behind. */
    assert_int_equal(
        run_body_with("space s\nset n 2\ntime m {}\nset n $n + 1\nparallel $n {}", NULL, 2), 0);
    assert_output("ok 1 t # SKIP needs cpus>=3, this machine has 2");
    assert_no_output("t,,m");
    assert_passes_on(2, "param n 9\nif {$n <= $cpus} { parallel $n {} }");
    assert_fails_on(2, "parallel 0 {}",
                    "t.scn:2:1: parallel: error EINVAL: a block runs on one CPU");
    assert_passes_on(2,
                     "expect error EINVAL { parallel -1 {} }\nrepeat 2 { parallel {$rep + 1} {} }");
}

/* --- stops --------------------------------------------------------------------------------------------------------- */

static void test_first_failure_stops_all(void **state)
{
    (void)state;
    assert_fails_on(CPUS,
                    "limit time=20\nspace s\nmap s.x size=4K\n"
                    "parallel $cpus cpu=v {\n"
                    "  space b ; map b.x size=4K ; touch b.x write\n"
                    "  if {$v == 2} { set why $v * 5\nexpect $why == 11 \"as it must\" }\n"
                    "  repeat 1000000000000 { touch b.x write }\n"
                    "}\n",
                    "t.scn:8:1: expect: on CPU 2: does not hold: $why == 11");
    assert_output("as it must");
    assert_output("    $why = 10\n");
    assert_output("not ok 1 t\n");
    assert_fails_on(CPUS,
                    "parallel $cpus cpu=v {\n  space b\n  barrier\n"
                    "  if {$v == 3} { touch b@0 read } else { barrier } }\n",
                    "touch: on CPU 3: fault segv at address 0x0");
    /* CPUs that wait in a barrier do not tell that they were let go. */
    assert_no_output("barrier:");
}

static void test_failures_can_be_caught_outside(void **state)
{
    (void)state;
    assert_passes_on(CPUS, "space s\nmap s.x size=4K\n"
                           "repeat 8 {\n"
                           "  try e { parallel $cpus cpu=v { space b ; map b.x size=4K\n"
                           "    map s.mine size=4K\ntouch b.x write\nbarrier\n"
                           "    if {$v == $rep % $cpus} { space z ; touch z@0 read }\nbarrier } }\n"
                           "  expect $e == $F.segv && $s.regions == 1\n"
                           "  expect error EINVAL { parallel 2 { map s.y size=0 } }\n"
                           "}\ncheck\nspace b");
    assert_passes_on(2,
                     "time m { try e { parallel 2 { space b ; touch b@0 read } } }\n"
                     "expect fault segv { time none { parallel 2 { space b ; touch b@0 read } } }");
    assert_output("t,,m,tick,1,1,");
    assert_no_output("t,,none");
    assert_fails_on(2, "try e { parallel 2 { expect 0 } }", "does not hold: 0");
}

static void test_barriers_that_cannot_be_reached(void **state)
{
    (void)state;
    assert_fails_on(3, "limit time=20\nparallel 3 cpu=v { if {$v != 1} { barrier } }",
                    "barrier: on CPU ");
    assert_output("CPU 1 does not come here: its block has ended");
    assert_fails_on(2, "limit time=20\nparallel 2 cpu=v { repeat {3 + $v} { barrier } }",
                    "barrier: on CPU 1: CPU 0 does not come here");
}

static void test_time_limit(void **state)
{
    (void)state;
    assert_fails_on(3,
                    "limit time=1\nparallel 3 cpu=v { space b\n"
                    "  if {$v == 1} { repeat 1000000000000 { space z } }\n  barrier }",
                    "not ok 1 t # TIMEOUT");
    assert_output("repeat: on CPU 1: the time limit has passed");
}

/* --- samples -------------------------------------------------------------------------------------------------------- */

static void test_samples_of_all_cpus_are_one_metric(void **state)
{
    (void)state;
    assert_int_equal(run_body_with("time in {}\n"
                                   "repeat 5 warmup=2 {\n"
                                   "  time around { parallel 3 cpu=v {\n"
                                   "    repeat 100 warmup=1 { time in {} }\n"
                                   "    if {$v == 1} { count moved fault.anon {} } } }\n"
                                   "}",
                                   "samples=on hist=on", 3),
                     0);
    assert_output("t,,in,tick,3,1501,");
    assert_output("t,,around,tick,1,5,");
    assert_output("t,,moved,count,1,5,");
    assert_output("t,,parallel.skew,tick,1,5,");
    assert_output("t,,moved,1,4,0"); /* all of them are CPU 1's */
    assert_output("t,,in,0,0,");
    assert_output("t,,in,1,");
    assert_output("t,,in,2,");
    assert_output(",1500,"); /* the last index; whose it is depends on who came last */
}

static void test_more_samples_than_are_kept(void **state)
{
    (void)state;
    assert_int_equal(
        run_body_with("parallel 2 cpu=v { repeat {65536 - $v * 65534} { time m {} } }\n"
                      "parallel 2 { repeat 40000 { time n {} } }",
                      NULL, 2),
        0);
    assert_output("t,,m,tick,2,65538,");
    assert_output("t,,n,tick,2,80000,");
}

/* --- one space, many CPUs ---------------------------------------------------------------------------------------------- */

/* What one CPU has unmapped, another maps: dropping the name leaves that alone. */
static void test_holes_are_others_by_now(void **state)
{
    (void)state;
    assert_passes_on(2,
                     "space s\n"
                     "parallel 2 cpu=v {\n"
                     "  if {$v == 0} { map s.a size=48K populate=on\n"
                     "    unmap s.a offset=8K size=8K\nunmap s.a offset=32K size=16K\n"
                     "    unmap s@{$s.a.base + 16K} size=4K\n"
                     "    expect $s.regions == 2 }\n"
                     "  barrier\n"
                     "  if {$v == 1} { map s.b size=12K ; touch s.b write value=5\n"
                     "    map s.c size=16K ; touch s.c write value=6 ; expect $s.regions == 4 }\n"
                     "  barrier\n"
                     "  if {$v == 0} { drop s.a ; expect $s.regions == 2 }\n"
                     "  barrier\n"
                     "  if {$v == 1} { touch s.b read value=5 ; touch s.c read value=6 }\n"
                     "}\nexpect $s.regions == 0");
    assert_passes_on(
        1, "space s\n"
           "parallel 1 { map s.a size=400K\n"
           "  repeat 16 { unmap s.a offset=$rep*8K size=4K }\n"
           "  expect error ENOMEM { unmap s.a offset=300K size=4K }\n"
           "  unmap s.a offset=4K size=4K ; unmap s.a offset=300K size=4K\n"
           "  map s.b at=$s.a.base size=200K if-taken=replace\n"
           "  map s._ at={$s.a.base + 300K} size=4K\n"
           "  expect error ENOMEM { foreach k {308 316 324 332 340 348 356 364 372 380 388 396"
           " 284 276 268 260 252} { unmap s.a offset=$k*1K size=4K } }\n"
           "}\nexpect $s.regions == 1");
}

static void test_scopes_of_names_inside(void **state)
{
    (void)state;
    assert_passes_on(4, "space s\nmap s.wide size=1M at=0x10000000\n"
                        "repeat 20 {\n"
                        "  parallel 4 cpu=v {\n"
                        "    map s.x size=64K ; touch s.x write\n"
                        "    unmap s.wide offset=$v*64K size=64K\n"
                        "    map s.y size=64K at=0x10000000+$v*64K ; touch s.y write value=$v\n"
                        "    unmap s.x ; map s.z size=64K ; touch s.z write value=$v\n"
                        "    drop s.x ; touch s.z read value=$v ; touch s.y read value=$v\n"
                        "  }\n"
                        "}\ncheck\ndrop s.wide\nexpect $s.regions == 0");
}

/* --- soak ---------------------------------------------------------------------------------------------------------------- */

static void test_soak(void **state)
{
    (void)state;
    assert_passes_on(
        2, "time soak.op per=6000 { soak ops=6000 cpus=1 }\n"
           "expect $d.fault.cow_copy > 0 && $d.fault.resident > 0 && $d.tlb.page > 0\n"
           "expect error EINVAL { soak ops=0 }\nexpect error EINVAL { soak ops=1 cpus=0 }\n"
           "on 1 { soak ops=100 cpus=1 ; expect $cpu == 1 }");
    assert_output("t,,soak.op,tick,1,1,");
    assert_int_equal(run_body_with("soak ops=10 cpus=3", NULL, 2), 0);
    assert_output("ok 1 t # SKIP needs cpus>=3, this machine has 2");
    assert_fails_on(1, "limit time=1\nsoak ops=100000000000 cpus=1", "not ok 1 t # TIMEOUT");
}

/* Memory that runs out is no failure. */
static void test_soak_without_memory(void **state)
{
    (void)state;
    assert_passes_on(1, "squeeze free=700K\nsoak ops=6000 cpus=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_may_stand_where),
        cmocka_unit_test(test_names_from_outside_stay_as_they_are),
        cmocka_unit_test(test_each_cpu_has_its_own_names),
        cmocka_unit_test(test_inner_scopes_and_loops),
        cmocka_unit_test(test_number_of_the_cpu_may_be_changed_inside),
        cmocka_unit_test(test_marks_are_each_cpus_own),
        cmocka_unit_test(test_randomness_is_each_cpus_and_repeats),
        cmocka_unit_test(test_parallel_inside_on),
        cmocka_unit_test(test_too_many_cpus_skip_the_combination),
        cmocka_unit_test(test_first_failure_stops_all),
        cmocka_unit_test(test_failures_can_be_caught_outside),
        cmocka_unit_test(test_barriers_that_cannot_be_reached),
        cmocka_unit_test(test_time_limit),
        cmocka_unit_test(test_samples_of_all_cpus_are_one_metric),
        cmocka_unit_test(test_more_samples_than_are_kept),
        cmocka_unit_test(test_holes_are_others_by_now),
        cmocka_unit_test(test_scopes_of_names_inside),
        cmocka_unit_test(test_soak),
        cmocka_unit_test(test_soak_without_memory),
    };
    return cmocka_run_group_tests_name("script_parallel", tests, NULL, NULL);
}
