/* What scenarios do with objects and with what is mapped already, on the simulated machine. */
#include "script_testing.h"

/* --- identity --------------------------------------------------------------------------------------------- */

#define WINDOW "object w physical at=auto size=2M\nset at $w.phys\n"

static void test_identity(void **state)
{
    (void)state;
    assert_passes(WINDOW
                  "set before $free\nspace a\nspace b\nmap b.w object=w\n"
                  "mark\nidentity a at=$at size=64K\n"
                  "expect $a.regions == 0 && $a.resident == 16\n"
                  "expect $d.fault.total == 0 && $d.page.alloc == $d.pt.alloc\n"
                  "touch b.w write size=64K value=5\ntouch a@$at read size=64K value=5\n"
                  "touch a@{$at + 4K} write value=6\ntouch b.w read offset=4K size=8 value=6\n"
                  "expect $d.fault.total == 16\n"
                  "fork a kid\nexpect fault segv { touch kid@$at read }\ndrop kid\n"
                  "map a.x size=4K at=$at+64K\nunmap a@$at size=128K\n"
                  "touch a@{$at + 4K} read value=6\nexpect $a.regions == 0\ncheck\n"
                  "drop a\ntouch b.w read offset=4K size=8 value=6\n"
                  "drop b\nexpect $free == $before\n");
    assert_passes(WINDOW "repeat 3 { space a ; identity a at=$at size=2M ; touch a@$at write }\n");
    assert_passes(WINDOW "space a\nidentity a at=$at size=4K\nexec a text=4K data=4K stack=4K\n"
                         "expect fault segv { touch a@$at read }\n");
}

static void test_identity_refuses(void **state)
{
    (void)state;
    assert_passes(WINDOW
                  "space a\nmap a.x size=8K at=$at+4K\n"
                  "expect error EINVAL { identity a at=$at size=0 }\n"
                  "expect error EINVAL { identity a at=$at size=4K+1 }\n"
                  "expect error EINVAL { identity a at=$at+8 size=4K }\n"
                  "expect error ERANGE { identity a at=0 size=4K }\n"
                  "expect error ERANGE { identity a at=$at-4K size=8K }\n"
                  "expect error ERANGE { identity a at=$at size=2M+4K }\n"
                  "expect error ERANGE { identity a at=-4K size=4K }\n"
                  "expect error EEXIST { identity a at=$at size=8K }\n"
                  "identity a at=$at size=4K\n"
                  "expect error EEXIST { identity a at=$at size=4K }\n"
                  "expect error EEXIST { map a.y size=4K at=$at }\n"
                  "inject alloc nth=1\nexpect error ENOMEM { identity a at=$at+64K size=4K }\n");
    expect_error("space a\nidentity a at=0", 2, 1, "'identity' needs the option 'size='");
    expect_error("space a\nidentity a size=4K", 2, 1, "'identity' needs the option 'at='");
    expect_error("space a\nidentity a at=auto size=4K", 2, 15, "takes a number");
    expect_error("object o anon size=4K\nidentity o at=0 size=4K", 2, 10, "it is an object");
    expect_error("space a\nspace b\ndrop a\nidentity a at=0 size=4K", 4, 10,
                 "it is not alive here");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_identity_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
