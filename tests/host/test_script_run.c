/* What scenarios do when they run, on the simulated machine: every command, in success and failure. */
#include "script_testing.h"

/* --- expressions ------------------------------------------------------------------------------------------- */

static void test_arithmetic_is_that_of_c(void **state)
{
    (void)state;
    assert_passes(
        "expect 1 + 2 * 3 == 7 && (1 + 2) * 3 == 9\n"
        "expect -7 / 2 == -3 && -7 % 2 == -1 && 7 / -2 == -3\n"
        "expect 1 << 4 == 16 && -16 >> 2 == -4 && 1 << 62 == 4611686018427387904\n"
        "expect (12 & 10) == 8 && (12 | 3) == 15 && (12 ^ 10) == 6 && ~0 == -1\n"
        "expect 1 + 1 << 2 == 8 && (5 & 4 == 4) == 1 && (1 | 2 ^ 3 & 1) == 3\n"
        "expect !0 == 1 && !5 == 0 && (3 > 2) + (2 >= 2) + (1 < 1) == 2\n"
        "expect (1 ? 2 : 3 ? 4 : 5) == 2 && (0 ? 2 : 0 ? 4 : 5) == 5\n"
        "expect 4K == 4096 && 1p == 4096 && 0x10K == 16384 && 1M == 1024K && 1T == 1024G\n"
        "expect 0xffffffffffffffff == -1 && 0x8000000000000000 < 0\n"
        "expect 9223372036854775807 % -1 == 0 && (0x8000000000000000 % -1) == 0\n"
        "expect 2 - - - 2 == 0 && - - 3 == 3 && +4 == 4\n");
}

static void test_conditions_stop_early(void **state)
{
    (void)state;
    assert_passes("set zero 0\n"
                  "expect ($zero && 1 / $zero) == 0 && (1 || 1 / $zero) == 1\n"
                  "expect (0 && 1 / 0) == 0\n"
                  "expect ($zero ? 1 / $zero : 5) == 5 && (7 || 0) == 1 && (0 || 9) == 1\n"
                  "if { 0 } { set a 1/0 }\n");
}

static void test_what_does_not_fit_fails_with_its_place(void **state)
{
    (void)state;
    assert_fails("set a 9223372036854775807\nset b $a + 1", "# t.scn:3:10: set: overflow");
    assert_fails("set a 0x8000000000000000\nset b -$a", "t.scn:3:7: set: overflow");
    assert_fails("set a 0x8000000000000000\nset b $a / -1", "t.scn:3:10: set: overflow");
    assert_fails("set a 0x8000000000000000 - 1", "t.scn:2:26: set: overflow");
    assert_fails("set a 4611686018427387904 * 2", "overflow");
    assert_fails("set a 1 << 63", "t.scn:2:9: set: overflow");
    assert_fails("set a 1 << 64", "shift by less than 0 or more than 63");
    assert_fails("set a 0\nexpect 5 / $a == 1", "t.scn:3:10: expect: division by zero");
    assert_fails("set a 5 % 0", "t.scn:2:9: set: division by zero");
    /* No catching: it is the scenario that is wrong. */
    assert_fails("try v { set a 1 / 0 }", "division by zero");
    assert_fails("set m lazy\nset n $m + 1", "a word can only be compared");
    assert_fails("set m lazy\nrepeat $m {}", "a number is needed, not a word");
}

static void test_words(void **state)
{
    (void)state;
    assert_passes("param mode lazy\nset m $mode\n"
                  "expect $m == lazy && $m != eager && $mode == $m && $m != 0\n"
                  "set n { $m == lazy ? r : rw }\n"
                  "space a\nmap a.x size=4K prot=$n\n"
                  "expect fault prot { touch a.x write }\n"
                  "foreach p {none rw rx} { protect a.x prot=$p }\ntouch a.x read\n");
    assert_fails("set o sideways\nspace a\nmap a.x size=4K\ntouch a.x read order=$o",
                 "error EINVAL");
    assert_fails("set o wc\nspace a\nmap a.x size=4K cache=$o", "error ENOTSUP");
}

/* --- variables ---------------------------------------------------------------------------------------------- */

static void test_variables_live_in_scopes(void **state)
{
    (void)state;
    assert_passes("set sum 0\nrepeat 4 { set sum $sum + $rep }\nexpect $sum == 6\n"
                  "repeat 2 {\n  if { $rep == 0 } { set v 5 }\n"
                  "  try e { expect $v == 5 }\n"
                  "  expect $e == ($rep == 0 ? 0 : $E.ENOENT)\n}\n"
                  "foreach v {1 2K {3 + 4} word} { set last $v }\n"
                  "repeat 1 { set last 8\n set inner 9 }\n");
    assert_passes("set last 0\nforeach v {1 2K {3 + 4}} { set last $last + $v }\n"
                  "expect $last == 2048 + 8\n");
    assert_passes("param n 3\nset n $n + 1\nexpect $n == 4\n");
}

static void test_rounds_are_counted(void **state)
{
    (void)state;
    assert_passes("expect $rep == 0\nset low 9\nset high 0\n"
                  "repeat 3 warmup=2 {\n"
                  "  if { $rep < $low } { set low $rep }\n  if { $rep > $high } { set high $rep }\n"
                  "  repeat 2 { expect $rep == 0 || $rep == 1 }\n"
                  "  foreach x {1 2} { expect $rep <= 2 }\n}\n"
                  "expect $low == -2 && $high == 2\n"
                  "repeat 0 { expect 0 }\n"
                  "expect error EINVAL { repeat 0-1 {} }\n");
}

static void test_warm_up_gives_no_samples(void **state)
{
    (void)state;
    assert_passes(
        "repeat 3 warmup=2 {\n  repeat 5 warmup=1 { time inner {} }\n  time outer {}\n}\n");
    assert_output("t,,inner,tick,1,15,");
    assert_output("t,,outer,tick,1,3,");
}

static void test_break_ends_a_loop_and_the_blocks_in_it(void **state)
{
    (void)state;
    assert_passes("set n 0\n"
                  "repeat 10 {\n  space a\n  set n $n + 1\n"
                  "  try v { time m { on 0 { map a.x size=4K\n if { $rep == 2 } { break } } } }\n"
                  "}\n"
                  "expect $n == 3\n"
                  "foreach x {1 2 3} { set n $x\n if { $x == 2 } { break } }\n"
                  "expect $n == 2\nrepeat 1 { space a }\n");
    assert_output("t,,m,tick,1,3,");
    assert_fails("repeat 2 { expect error ENOENT { break } }", "came to the end of the block");
}

static void test_random_is_seeded_and_below_its_bound(void **state)
{
    (void)state;
    static const char body[] = "set sum 0\nrepeat 100 {\n  random v 10\n"
                               "  expect $v >= 0 && $v < 10\n  set sum $sum * 3 % 1000003 + $v\n}\n"
                               "log \"sum $sum\"\nexpect error EINVAL { random v 0 }\n";
    char first[64];
    assert_int_equal(run_body_with(body, "seed=7", 1), 0);
    const char *said = strstr(script_output, "sum ");
    assert_non_null(said);
    snprintf(first, sizeof(first), "%.12s", said);
    assert_int_equal(run_body_with(body, "seed=7", 1), 0);
    assert_output(first);
    assert_int_equal(run_body_with(body, "seed=8", 1), 0);
    assert_no_output(first);
}

static void test_log_prints_values(void **state)
{
    (void)state;
    assert_int_equal(run_body_with("set a 5\nset m lazy\nspace s\n"
                                   "log \"a=$a ${m}! \\$a $s.regions. $E.ENOMEM $F.bus\"\n"
                                   "log {verbatim $a}\n",
                                   "seed=3", 1),
                     0);
    assert_output("] t: a=5 lazy! $a 0. 5 103");
    assert_output("] t: verbatim $a");
}

/* --- names --------------------------------------------------------------------------------------------------- */

static void test_scopes_drop_what_they_made(void **state)
{
    (void)state;
    assert_passes("space a\n"
                  "repeat 3 {\n  space b\n  map b.x size=4K\n  map a.x size=4K\n"
                  "  touch b.x write\n  touch a.x write\n  fork b child\n}\n"
                  "expect $a.regions == 0 && $a.resident == 0\n"
                  "repeat 3 { drop a ; space a ; map a.y size=4K }\n"
                  "expect $a.regions == 0\n"
                  "foreach n {1 2} { map a.x size=$n*4K\n expect $a.x.size == $n*4K }\n");
    assert_passes("space a\nmap a.x size=4K\nrepeat 2 { drop a.x ; map a.x size=8K }\n"
                  "expect $a.x.size == 8K && $a.regions == 1\n");
}

static void test_dead_and_alive_names_at_run_time(void **state)
{
    (void)state;
    assert_passes("space a\ntry v { space a }\nexpect $v == $E.EEXIST\n"
                  "try v { touch a.x read }\nexpect $v == $E.ENOENT\n"
                  "map a.x size=4K\ntry v { map a.x size=4K }\nexpect $v == $E.EEXIST\n"
                  "fork a b\ntry v { fork a b }\nexpect $v == $E.EEXIST\n"
                  "expect error EEXIST { space b }\n"
                  "drop a.x\nexpect error ENOENT { drop a.x }\ntouch b.x write\n"
                  "expect error ENOENT { set v $a.x.base }\n"
                  "drop a\nexpect error ENOENT { map a.x size=4K }\n"
                  "expect error ENOENT { expect $a.regions == 0 }\n");
    assert_fails("set c1 1\nspace a\nif {$c1} { drop a }\ndrop a",
                 "t.scn:5:1: drop: error ENOENT: the space is not alive");
}

static void test_a_region_is_dropped_around_what_took_its_place(void **state)
{
    (void)state;
    assert_passes("space a\nmap a.old size=64K\ntouch a.old write\n"
                  "unmap a.old offset=16K size=16K\n"
                  "map a.new size=8K at={ $a.old.base + 20K }\ntouch a.new write value=5\n"
                  "expect $a.regions == 3\ndrop a.old\nexpect $a.regions == 1\n"
                  "touch a.new read value=5\n");
}

static void test_forked_names(void **state)
{
    (void)state;
    assert_passes("space a\nmap a.x size=16K\nmap a.y size=4K\nfill a.x pattern=3\nfork a b\n"
                  "drop a.x\nverify b.x pattern=3\nexpect $b.x.base == $b.low && $b.x.size == 16K\n"
                  "expect $b.regions == 2 && $a.regions == 1\ndrop b.y\ndrop b.x\n"
                  "expect $b.regions == 0\nmap b.x size=4K\n");
}

/* --- memory ---------------------------------------------------------------------------------------------------- */

static void test_map_places_and_refuses(void **state)
{
    (void)state;
    assert_passes("space a\nmap a.x size=4K\nexpect $a.x.base == $a.low\n"
                  "map a.y size=2M align=2M\nexpect $a.y.base % 2M == 0\n"
                  "map a.z size=4K at=0x10000000\nexpect $a.z.base == 0x10000000\n"
                  "expect error EEXIST { map a.w size=4K at=0x10000000 }\n"
                  "map a.w size=4K at=0x10000000 if-taken=elsewhere\n"
                  "expect $a.w.base != 0x10000000\n"
                  "map a.v size=4K at=0x10000000 if-taken=replace\nexpect $a.regions == 4\n"
                  "expect error EINVAL { map a._ size=5 }\nexpect error EINVAL { map a._ size=0 }\n"
                  "expect error EINVAL { map a._ size=4K at=0x10000001 }\n"
                  "expect error EINVAL { map a._ size=4K align=3 }\n"
                  "expect error ERANGE { map a._ size=4K at=0 }\n"
                  "expect error ERANGE { map a._ size=4K at=0xffff800000000000 }\n"
                  "expect error ERANGE { map a._ size=4K at=$a.high }\n"
                  "expect error ENOMEM { map a._ size=1G }\n"
                  "map a._ size=1G commit=off\nmap a._ size=1T object=none\n"
                  "mark\nmap a.p size=64K populate=on\nexpect $a.p.resident == 16\n");
}

static void test_protect_and_unmap(void **state)
{
    (void)state;
    assert_passes("space a\nmap a.x size=64K\ntouch a.x write value=4\n"
                  "protect a.x prot=r offset=16K size=16K\nexpect $a.regions == 3\n"
                  "expect fault prot { touch a.x write offset=16K }\ntouch a.x read value=4\n"
                  "protect a.x prot=rw\ntouch a.x write\nunmap a.x offset=32K\n"
                  "expect fault segv { touch a.x read offset=32K }\ntouch a.x read size=32K\n"
                  "unmap a@{ $a.x.base } size=4K\nexpect fault segv { touch a.x read size=4K }\n"
                  "expect error ENOENT { protect a.x prot=r }\n"
                  "protect a@{ $a.x.base + 4K } prot=r size=4K\n"
                  "expect error ERANGE { unmap a.x offset=64K+1 size=4K }\n"
                  "expect error ERANGE { unmap a.x offset=60K size=8K }\n"
                  "expect error EINVAL { unmap a.x size=0 }\n");
}

static void test_fill_and_verify(void **state)
{
    (void)state;
    assert_passes("space a\nmap a.x size=5M\nmark\nfill a.x pattern=9\n"
                  "expect $d.fault.total == 0 && $a.x.resident == 0\nverify a.x pattern=9\n"
                  "verify a.x pattern=9 offset=3M+8 size=16\n"
                  "fill a.x pattern=8 offset=4K size=4K\nverify a.x pattern=9 size=4K\n"
                  "verify a.x pattern=8 offset=4K size=4K\nverify a.x pattern=9 offset=8K\n"
                  "unmap a.x offset=1M size=4K\nexpect error ENOENT { verify a.x pattern=9 }\n"
                  "expect error EINVAL { fill a.x pattern=1 offset=4 size=8 }\n");
    assert_fails("space a\nmap a.x size=4M at=0x40000000\nfill a.x pattern=9\n"
                 "touch a.x write value=77 offset=3M+16 size=8\nverify a.x pattern=9",
                 "t.scn:6:1: verify: at address 0x40300010: expected 0x");
    assert_output(", found 0x000000000000004d");
}

/* --- touch ------------------------------------------------------------------------------------------------------ */

static void test_touch_makes_one_access_a_stride(void **state)
{
    (void)state;
    assert_passes("space a\nmap a.x size=4M\n"
                  "mark\ntouch a.x write\nexpect $d.fault.total == 1024\n"
                  "touch a.x write value=5 stride=8 size=64 offset=4K\n"
                  "touch a.x read value=5 stride=8 size=64 offset=4K\n"
                  "touch a.x read value=0 offset=4K+64 size=8\n"
                  "touch a.x read value=1 order=down size=4K\ntouch a.x read offset=8K value=1\n"
                  "touch a.x write value=6 stride=12K order=random\n"
                  "set n 0\nrepeat 1024 { if { $rep % 3 == 0 } { touch a.x read value=6 "
                  "offset=$rep*4K size=8 } }\n"
                  "touch a.x read size=4\n");
}

static void test_touch_counts_and_refuses(void **state)
{
    (void)state;
    assert_fails("space a\nmap a.x size=4M\ntouch a.x read offset=4M-4 size=4\n",
                 "error ERANGE: an access of 8 bytes reaches beyond");
    assert_passes("space a\nmap a.x size=16K\n"
                  "expect error EINVAL { touch a.x read stride=0 }\n"
                  "expect error EINVAL { touch a.x read size=0 }\n"
                  "expect error ERANGE { touch a.x read size=20K }\n"
                  "expect error ERANGE { touch a.x read offset=0-8 }\n"
                  "expect error ERANGE { touch a@{ $a.high } read }\n"
                  "expect error ERANGE { touch a@{ $a.high - 4 } read size=4 }\n"
                  "expect error ERANGE { touch a@{ $a.high - 4K } read size=8K }\n"
                  "expect error ERANGE { touch a@0xffffffffffffffff read size=8 }\n"
                  "expect error ERANGE { touch a@0xffff800000000000 write as=kernel }\n"
                  "expect fault segv { touch a@0xffff800000000000 write }\n"
                  "expect fault segv { touch a@0xfffffffffffffff8 write size=8 }\n"
                  "touch a.x write as=kernel\nprotect a.x prot=r\n"
                  "expect fault prot { touch a.x write as=kernel }\n");
    assert_fails("space a\nmap a.x size=16K at=0x40000000\nunmap a.x offset=8K size=4K\n"
                 "touch a.x write",
                 "t.scn:5:1: touch: fault segv at address 0x40002000, access 3 of 4");
    assert_output("#     touch a.x write\n");
}

static void test_touch_finds_wrong_contents(void **state)
{
    (void)state;
    assert_fails("space a\nmap a.x size=16K at=0x40000000\ntouch a.x write value=3\n"
                 "touch a.x write value=4 offset=8K size=8\ntouch a.x read value=3",
                 "touch: at address 0x40002000: expected 0x0000000000000003, found "
                 "0x0000000000000004");
}

static void test_each_access_is_a_sample(void **state)
{
    (void)state;
    assert_passes("space a\nmap a.x size=8M\n"
                  "foreach o {up down random} { touch a.x write order=$o each=access }\n"
                  "unmap a.x offset=1M size=4K\n"
                  "expect fault segv { touch a.x read each=refused }\n"
                  "expect fault segv { touch a.x read each=refused offset=1M size=8 }\n");
    assert_output("t,,access,tick,1,6144,");
    assert_output("t,,refused,tick,1,258,");
}

/* Every page exactly once, in an order that is not up. */
static void test_random_order_is_a_permutation(void **state)
{
    (void)state;
    assert_passes("space a\nforeach n {1 2 3 511 512 513 1000} {\n  map a.x size=$n*4K\n  mark\n"
                  "  touch a.x write order=random\n"
                  "  expect $d.fault.anon == $n && $a.x.resident == $n\n}\n");
}

/* --- measuring ---------------------------------------------------------------------------------------------------- */

static void test_samples_and_stops(void **state)
{
    (void)state;
    assert_passes("space a\n"
                  "try v { time m { touch a@0 read } }\nexpect $v == $F.segv\n"
                  "time m { try v { touch a@0 read } }\n"
                  "time m { expect fault segv { touch a@0 read } }\n"
                  "time per per=1000 {}\nexpect error EINVAL { time m per=0 {} }\n"
                  "count faults fault.denied { try v { touch a@0 read } }\n"
                  "count level commit.reserved { map a.x size=64K }\n"
                  "count level commit.reserved { drop a.x }\n");
    assert_output("t,,m,tick,1,2,");
    assert_output("t,,faults,count,1,1,1,1,");
    assert_output("t,,level,count,1,2,16,16,");
}

static void test_marks_and_counters(void **state)
{
    (void)state;
    assert_passes("space a\nmap a.x size=16K\nset before $c.fault.anon\ntouch a.x write\n"
                  "expect $d.fault.anon == 4 && $c.fault.anon == $before + 4\n"
                  "mark\nexpect $d.fault.anon == 0\n"
                  "try v { touch a@0x1000000000 read }\nexpect $d.fault.denied == 1\n");
}

static void test_lookup(void **state)
{
    (void)state;
    assert_passes("space a\nmap a.x size=4K\nlookup a@{ $a.x.base + 4095 } each=hit n=3\n"
                  "expect $found == 1\nlookup a@{ $a.x.base + 4K } each=miss\n"
                  "expect $found == 0\n");
    assert_output("t,,hit,tick,1,3,");
    assert_output("t,,miss,tick,1,1000,");
}

static void test_floor(void **state)
{
    (void)state;
    assert_passes("floor page_clear each=clear n=1500\nfloor gate each=gate\n");
    assert_output("t,,clear,tick,1,1500,");
    assert_output("t,,gate,tick,1,1000,");
}

static void test_samples_and_histograms_are_printed(void **state)
{
    (void)state;
    assert_int_equal(run_body_with("repeat 3 { time m {} }", "samples=on\nhist=on", 1), 0);
    assert_output("@pagelab begin samples");
    assert_output("@pagelab begin histogram");
}

/* --- stops ------------------------------------------------------------------------------------------------------------ */

static void test_expect_tells_values(void **state)
{
    (void)state;
    assert_fails("set a 5\nset m lazy\nexpect $a == 6 && $m == $m || $rep \"because $a\"",
                 "# t.scn:4:1: expect: does not hold: $a == 6 && $m == $m || $rep: because 5\n"
                 "#     expect $a == 6 && $m == $m || $rep \"because $a\"\n"
                 "#     $a = 5\n#     $m = lazy\n#     $rep = 0\n");
    assert_fails("try v { expect 0 }", "does not hold: 0");
}

static void test_expected_stops(void **state)
{
    (void)state;
    assert_fails("space a\nexpect error ENOMEM { touch a@0 read }",
                 "t.scn:3:23: expect error: the block was to be stopped by error ENOMEM, but it "
                 "came to fault segv");
    assert_fails("expect fault bus { set a 1 }",
                 "was to be stopped by fault bus, but it came to the end of the block");
    assert_fails("space a\nexpect fault prot { map a._ size=5 }",
                 "stopped by fault prot, but it came to error EINVAL");
    assert_passes("space a\ntry v {}\nexpect $v == 0\n"
                  "try v { try w { touch a@0 read }\n map a._ size=1 }\n"
                  "expect $v == $E.EINVAL && $w == $F.segv && $F.segv == 101\n"
                  "try v { repeat 3 { space b ; map b.x size=4K ; repeat 2 { map a.y size=4K ; "
                  "touch a@0 read } } }\n"
                  "expect $v == $F.segv && $a.regions == 0\nspace b\n");
}

static void test_errors_name_command_and_place(void **state)
{
    (void)state;
    assert_fails("space a\nmap a.x \\\n  size=5", "# t.scn:3:1: map: error EINVAL\n");
    assert_fails("on 7 {}", "t.scn:2:1: on: error ERANGE: this machine has no such CPU up");
}

static void test_a_failure_is_cleaned_up(void **state)
{
    (void)state;
    assert_fails("space a\nmap a.x size=8M\ntouch a.x write\nfork a b\nrepeat 3 { space d1 ; "
                 "map a.y size=4K ; expect $rep < 1 }",
                 "does not hold");
    assert_no_output("memory is not as it was");
    assert_no_output("the audit found");
}

/* A frame that nothing owns: the audit after the combination finds it, whatever the scenario does. */
static void test_the_audit_fails_a_scenario(void **state)
{
    (void)state;
    struct script_run run = {.text = "scenario t \"x\"\n", .leak = true};
    assert_int_equal(run_script(run), 1);
    assert_output("# the audit found: ");
    assert_output("not ok 1 t\n");
    run.text = "scenario t \"x\"\ncheck\nexpect 0";
    assert_int_equal(run_script(run), 1);
    assert_output("# t.scn:2:1: check: the audit found: ");
    run.text = "scenario t \"x\"\n";
    run.parameters = "check=off";
    assert_int_equal(run_script(run), 0);
}

static void test_a_panic_names_the_command(void **state)
{
    (void)state;
    struct script_run run = {
        .text =
            "scenario t \"x\"\nparam p 1 2\nspace a\nmap a.x size=4K\ntime m { touch a.x write }",
        .panic = true,
    };
    assert_int_equal(run_script(run), 2);
    assert_output("scenario t p=1 at t.scn:5:10: touch\n");
    assert_output("  not ok 1 p=1\n");
    assert_output("\nnot ok 1 t\n");
    assert_output("@pagelab done passed=0 failed=1 skipped=0 status=2");
}

static void test_time_limit(void **state)
{
    (void)state;
    assert_fails("limit time=1\nrepeat 1000000000000 {}", "not ok 1 t # TIMEOUT");
    assert_output("t.scn:3:1: repeat: the time limit has passed");
    assert_fails("limit time=1\nspace a\nmap a.x size=32M\ntouch a.x write stride=1",
                 "not ok 1 t # TIMEOUT");
    assert_fails("limit time=1\nspace a\ntime m { repeat 1000000000000 { map a.x size=4K } }",
                 "not ok 1 t # TIMEOUT");
    assert_no_output("memory is not as it was");
}

static void test_on_runs_elsewhere(void **state)
{
    (void)state;
    assert_int_equal(
        run_body_with("needs cpus>=3\nspace a\nmap a.x size=64K\nexpect $cpu == 0 && $cpus == 3\n"
                      "on 2 { expect $cpu == 2 ; touch a.x write value=8 ; time m {} }\n"
                      "touch a.x read value=8\n"
                      "on 1 { on 2 { on 0 { expect $cpu == 0 } ; expect $cpu == 2 } ; "
                      "expect $cpu == 1 }\n"
                      "try v { on 1 { on 2 { space b ; touch a@0 read } } }\n"
                      "expect $v == $F.segv && $cpu == 0\n"
                      "on 1 { try v { on 2 { touch a@0 read } } ; expect $cpu == 1 }\n"
                      "repeat 3 { on $rep { if { $rep == 1 } { break } } ; set last $rep }\n"
                      "on 1 { space b ; map b.x size=4K ; touch b.x write }\n"
                      "repeat 2 { on 1 { time m { touch a.x write } } }\n",
                      NULL, 3),
        0);
    assert_output("t,,m,tick,2,3,");
    assert_int_equal(run_body_with("on 1 { expect $cpu == 0 }", NULL, 2), 1);
    assert_output("    $cpu = ");
}

/* --- combinations ------------------------------------------------------------------------------------------------------- */

static void test_sweeps_are_cross_products(void **state)
{
    (void)state;
    assert_passes("param a 1 2 \"first\"\nparam b x 4K\nparam sum {$a + 1}\n"
                  "expect $sum == $a + 1\ntime m {}\n");
    assert_output("  1..4\n");
    assert_output("  ok 1 a=1 b=x sum=2\n");
    assert_output("  ok 2 a=1 b=4096 sum=2\n");
    assert_output("  ok 3 a=2 b=x sum=3\n");
    assert_output("t,a=2 b=4096 sum=3,m,tick");
    assert_output("\nok 1 t\n");
    assert_passes("param a 7\ntime m {}\n");
    assert_output("t,a=7,m,tick");
    assert_no_output("  KTAP");
}

static void test_parameters_come_from_boot(void **state)
{
    (void)state;
    assert_int_equal(
        run_body_with("param a 1 2\nparam b x\nlog \"a=$a b=$b\"\n", "t.a=9,4K\nt.b=word,0x10", 1),
        0);
    assert_output("ok 4 a=4096 b=16");
    assert_output("a=9 b=word");
    assert_int_equal(run_body_with("param a 1 2\n", "t.b=1", 1), 3);
    assert_output("scenario 't' has no parameter 'b'");
    assert_output("@pagelab done passed=0 failed=0 skipped=0 status=3");
    assert_int_equal(run_body_with("param a 1 2\n", "t.a=1,,2", 1), 3);
    assert_int_equal(run_body_with("param a 1 2\n", "t.a=1+", 1), 3);
    assert_int_equal(run_body_with("param a 1 2\n", "u.a=1", 1), 3);
    assert_int_equal(run_body_with("param a 1 2\n", "run=u", 1), 3);
    assert_output("no scenario is called 'u' (nearest: 't')");
}

static void test_needs(void **state)
{
    (void)state;
    assert_int_equal(run_body("needs cpus>=2"), 0);
    assert_output("ok 1 t # SKIP needs cpus>=2, this machine has 1\n");
    assert_output("passed=0 failed=0 skipped=1 status=0");
    assert_int_equal(run_body("param m 1M 1T\nneeds memory>=$m\n"), 0);
    assert_output("  ok 1 m=1048576\n");
    assert_output("  ok 2 m=1099511627776 # SKIP needs memory>=1099511627776");
    assert_output("\nok 1 t\n");
    assert_output("passed=1 failed=0 skipped=0");
    assert_int_equal(run_body("needs feature:smap"), 0);
    assert_output("\nok 1 t\n");
    assert_int_equal(run_body("needs feature:warp"), 0);
    assert_output("# SKIP needs feature:warp, which is not known");
    assert_int_equal(run_body("needs framebuffer"), 0);
    assert_output("# SKIP needs framebuffer");
    struct script_run run = {.text = "scenario t \"x\"\nneeds disk"};
    assert_int_equal(run_script(run), 0);
    assert_output("# SKIP needs disk");
    assert_output("disk,none");
    run.disk_bytes = MIB;
    assert_int_equal(run_script(run), 0);
    assert_output("\nok 1 t\n");
    assert_output("disk,simulated disk size=1048576 block=512");
    assert_fails("needs memory>=1/0", "division by zero");
    assert_fails("limit time=0", "limit time= is 1 to");
}

/* Every failure of a disk ends as bus for whoever touches the page, and harms no other. */
static void test_files(void **state)
{
    (void)state;
    static const char text[] =
        "scenario t \"x\"\nneeds disk\nobject o file size=128K backing=disk offset=960K\n"
        "space a\nmap a.x object=o prot=r share=shared\n"
        "expect fault bus { touch a.x read }\n" /* at page 5 */
        "expect fault bus { touch a.x read offset=20K size=4K }\n"
        "expect error EIO { verify a.x pattern=960K/8 }\n"
        "touch a.x read offset=24K size=40K\n"
        "touch a.x read size=20K\n"
        "expect fault bus { touch a.x read offset=64K size=4K }\n" /* the disk ends */
        "expect error ERANGE { verify a.x pattern=0 offset=64K }\n"
        "expect $o.resident == 15\n"
        "map a.y object=o\nexpect fault bus { touch a.y write }\n"
        "expect error EINVAL { object p file size=4K offset=512 }\n";
    struct script_run run = {
        .text = text, .disk_bytes = MIB, .disk_bad_offset = MIB - 64 * KIB + 5 * PAGE_SIZE};
    if (run_script(run) != STATUS_PASSED)
        fail_msg("%s", said_by_scenario());
    assert_output("\nok 1 t\n");
    assert_fails("object o file size=4K backing=disk", "ENOTSUP");
    assert_output("this machine has no disk");
}

static void test_a_broken_file_is_reported(void **state)
{
    (void)state;
    assert_int_equal(run_body("spase a\n"), 3);
    assert_output("# t.scn:2:1: error: unknown command 'spase' (did you mean 'space'?)\n"
                  "# spase a\n# ^\nnot ok 1 t\n");
    assert_output("@pagelab done passed=0 failed=1 skipped=0 status=3");
}

/* --- exactly the same again ------------------------------------------------------------------------------------------- */

static const char *timings(char *buffer, size_t size)
{
    const char *begin = strstr(script_output, "@pagelab begin timings");
    const char *end = strstr(script_output, "@pagelab end counters");
    assert_non_null(begin);
    assert_non_null(end);
    snprintf(buffer, size, "%.*s", (int)(end - begin), begin);
    return buffer;
}

static void test_an_exact_run_repeats(void **state)
{
    (void)state;
    static const char text[] = "scenario t \"x\"\nspace a\nmap a.x size=2M\n"
                               "touch a.x write order=random each=m\nrandom v 1000\n"
                               "repeat $v { time n {} }\n";
    static char first[65536];
    static char second[65536];
    struct script_run run = {.text = text, .parameters = "seed=1", .exact = true};
    assert_int_equal(run_script(run), 0);
    timings(first, sizeof(first));
    assert_int_equal(run_script(run), 0);
    assert_string_equal(first, timings(second, sizeof(second)));
    assert_output("exact_mode,1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arithmetic_is_that_of_c),
        cmocka_unit_test(test_conditions_stop_early),
        cmocka_unit_test(test_what_does_not_fit_fails_with_its_place),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_variables_live_in_scopes),
        cmocka_unit_test(test_rounds_are_counted),
        cmocka_unit_test(test_warm_up_gives_no_samples),
        cmocka_unit_test(test_break_ends_a_loop_and_the_blocks_in_it),
        cmocka_unit_test(test_random_is_seeded_and_below_its_bound),
        cmocka_unit_test(test_log_prints_values),
        cmocka_unit_test(test_scopes_drop_what_they_made),
        cmocka_unit_test(test_dead_and_alive_names_at_run_time),
        cmocka_unit_test(test_a_region_is_dropped_around_what_took_its_place),
        cmocka_unit_test(test_forked_names),
        cmocka_unit_test(test_map_places_and_refuses),
        cmocka_unit_test(test_protect_and_unmap),
        cmocka_unit_test(test_fill_and_verify),
        cmocka_unit_test(test_touch_makes_one_access_a_stride),
        cmocka_unit_test(test_touch_counts_and_refuses),
        cmocka_unit_test(test_touch_finds_wrong_contents),
        cmocka_unit_test(test_each_access_is_a_sample),
        cmocka_unit_test(test_random_order_is_a_permutation),
        cmocka_unit_test(test_samples_and_stops),
        cmocka_unit_test(test_marks_and_counters),
        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_floor),
        cmocka_unit_test(test_samples_and_histograms_are_printed),
        cmocka_unit_test(test_expect_tells_values),
        cmocka_unit_test(test_expected_stops),
        cmocka_unit_test(test_errors_name_command_and_place),
        cmocka_unit_test(test_a_failure_is_cleaned_up),
        cmocka_unit_test(test_the_audit_fails_a_scenario),
        cmocka_unit_test(test_a_panic_names_the_command),
        cmocka_unit_test(test_time_limit),
        cmocka_unit_test(test_on_runs_elsewhere),
        cmocka_unit_test(test_sweeps_are_cross_products),
        cmocka_unit_test(test_parameters_come_from_boot),
        cmocka_unit_test(test_needs),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_a_broken_file_is_reported),
        cmocka_unit_test(test_an_exact_run_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
