/* The language's reference (docs/scenario-language.md), row by row: every command with each of its
 * options and values, every variable, counter, error and fault, does what the page says. */
#include "script_testing.h"

#include "core/script/commands.h"

/* A row of the reference: what it is about, and a body that shows it. */
struct row {
    const char *what;
    const char *body;
    const char *fails; /* not NULL: running it fails, saying this */
    const char *error; /* not NULL: it is refused before it runs, with this */
};

#define PASSES(what, body)     \
    {                          \
        what, body, NULL, NULL \
    }
#define FAILS(what, body, text) \
    {                           \
        what, body, text, NULL  \
    }
#define REFUSED(what, body, text) \
    {                             \
        what, body, NULL, text    \
    }

static void check_row(const struct row *row)
{
    print_message("  %s\n", row->what);
    if (row->error != NULL) {
        const struct scenario *scenario = load_body(row->body);
        if (scenario->error_count == 0 || strstr(scenario->errors[0].message, row->error) == NULL)
            fail_with_errors(scenario, row->body, row->error);
    } else if (row->fails != NULL) {
        assert_fails(row->body, row->fails);
    } else {
        assert_passes(row->body);
    }
}

#define CHECK_ROWS(rows)                               \
    do {                                               \
        (void)state;                                   \
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) \
            check_row(&(rows)[i]);                     \
    } while (0)

/* --- building ------------------------------------------------------------------------------------------- */

static void test_space_and_placement(void **state)
{
    static const struct row rows[] = {
        PASSES("space aslr=off", "space a aslr=off\nmap a.x size=4K\nexpect $a.x.base == $a.low"),
        PASSES("space aslr=on",
               "space a aslr=on\nset same 0\nset low 0\n"
               "repeat 50 { map a.x size=4K\nmap a.y size=2M align=2M\n"
               "set same $same + ($a.x.base == $a.low)\nset low $low + ($a.x.base < 4G)\n"
               "expect $a.y.base % 2M == 0\n"
               "move a.x\nset low $low + ($a.x.base < 4G) }\n"
               "expect $same == 0 && $low == 0"),
        PASSES("aslr=on leaves fixed addresses alone",
               "space a aslr=on\nmap a.x size=4K at=0x400000\nexpect $a.x.base == 0x400000\n"
               "map a.y size=4K at=0x400000 if-taken=elsewhere\nexpect $a.y.base >= 4G"),
        PASSES("aslr=on draws again below 4 GiB",
               "space a aslr=on\nmap a.h object=none at=68G size=$a.high-68G\n"
               "repeat 200 { map a.x size=4K\nexpect $a.x.base >= 4G }"),
        PASSES("children and images inherit aslr=on",
               "space a aslr=on\nfork a b\nmap b.x size=4K\nexpect $b.x.base >= 4G\n"
               "exec a text=4K data=4K stack=4K\nexpect $a.text.base >= 4G && $a.stack.base >= 4G"),
        PASSES("aslr=on finds the last hole",
               "space a aslr=on\nmap a.l object=none at=$a.low size=1G\n"
               "map a.h object=none at={ $a.low + 1G + 4K } size={ $a.high - $a.low - 1G - 4K }\n"
               "map a.x size=4K\nexpect $a.x.base == $a.low + 1G\n"
               "expect error ENOMEM { map a.y size=4K }"),
        REFUSED("space aslr=maybe", "space a aslr=maybe", "it takes off or on"),
        PASSES("at=any", "space a\nmap a.x size=4K at=any\nmap a.y size=4K\n"
                         "expect $a.x.base == $a.low && $a.y.base == $a.low + 4K"),
        PASSES("at=random", "space a\nmap a.x size=4K at=random\nmap a.y size=4K at=random\n"
                            "expect $a.x.base != $a.low && $a.x.base != $a.y.base"),
        PASSES("at=ADDRESS", "space a\nmap a.x size=8K at=1G+4K\nexpect $a.x.base == 1G+4K\n"
                             "expect error EEXIST { map a.y size=4K at=1G+8K }\n"
                             "expect error ERANGE { map a.y size=4K at=$a.low-4K }\n"
                             "expect error ERANGE { map a.y size=8K at=$a.high-4K }\n"
                             "expect error ERANGE { map a.y size=4K at=-4K }\n"
                             "expect error EINVAL { map a.y size=4K at=1G+1 }"),
        PASSES("if-taken=refuse", "space a\nmap a.x size=4K at=1G\n"
                                  "expect error EEXIST { map a.y size=4K at=1G if-taken=refuse }"),
        PASSES("if-taken=replace",
               "space a\nmap a.x size=8K at=1G\ntouch a.x write value=5\n"
               "map a.y size=4K at=1G if-taken=replace\ntouch a.y read value=0\n"
               "touch a.x read offset=4K value=5\ndrop a.x\ntouch a.y read value=0"),
        PASSES("if-taken=elsewhere",
               "space a\nmap a.x size=4K at=1G\nmap a.y size=4K at=1G if-taken=elsewhere\n"
               "expect $a.y.base == $a.low"),
        PASSES("align=", "space a\nmap a.x size=4K\nmap a.y size=4K align=1G\n"
                         "expect $a.y.base % 1G == 0\n"
                         "expect error EINVAL { map a.z size=4K align=12K }\n"
                         "expect error EINVAL { map a.z size=4K align=2K }"),
    };
    CHECK_ROWS(rows);
}

static void test_map(void **state)
{
    static const struct row rows[] = {
        PASSES("size=", "space a\nexpect error EINVAL { map a.x size=0 }\n"
                        "expect error EINVAL { map a.x size=100 }\n"
                        "expect error EINVAL { map a.x size=-4K }\n"
                        "expect error ENOMEM { map a.x size=256T commit=off }"),
        PASSES("prot=", "space a\nforeach p {none r rw rx rwx} { map a.x size=4K prot=$p\n"
                        "try v { touch a.x read }\nexpect $v == ($p == none ? $F.prot : 0)\n"
                        "try v { touch a.x write value=0xC3 }\n"
                        "expect $v == ($p == rw || $p == rwx ? 0 : $F.prot)\n"
                        "fill a.x pattern=0\ntry v { touch a.x exec }\n"
                        "expect $p == rx || $p == rwx || $v == $F.prot }"),
        PASSES("share=private", "space a\nmap a.x size=4K share=private\ntouch a.x write value=1\n"
                                "fork a b\ntouch b.x write value=2\ntouch a.x read value=1"),
        PASSES("share=shared", "space a\nmap a.x size=4K share=shared\ntouch a.x write value=1\n"
                               "fork a b\ntouch b.x write value=2\ntouch a.x read value=2"),
        PASSES("commit=on", "space a\nmark\nmap a.x size=64K commit=on\n"
                            "expect $d.commit.reserved == 16 && $d.commit.used == 0\n"
                            "touch a.x write size=8K\nexpect $d.commit.used == 2\ndrop a.x\n"
                            "expect $d.commit.reserved == 0 && $d.commit.used == 0\n"
                            "expect error ENOMEM { map a.x size={ ($memory + 4K) / 4K * 4K } }"),
        PASSES("commit=off", "space a\nmark\nmap a.x size=1T commit=off\n"
                             "expect $d.commit.reserved == 0\ntouch a.x write size=8K"),
        PASSES("populate=on", "space a\nmap a.x size=64K populate=on\nexpect $a.x.resident == 16\n"
                              "mark\ntouch a.x write\nexpect $d.fault.total == 0\n"
                              "map a.y size=64K populate=on prot=r\nexpect $a.y.resident == 16"),
        PASSES("populate=off", "space a\nmap a.x size=64K populate=off\nexpect $a.x.resident == 0"),
        PASSES("stack=on", "space a\nmap a.s size=16K stack=on\nmap a.x size=4K\n"
                           "touch a.x write sp=a.s value=3\ntouch a.x read sp=a.s value=3\n"
                           "expect $a.s.resident == 0"),
        PASSES("cache=wb", "space a\nmap a.x size=4K cache=wb\ntouch a.x write"),
        PASSES("object=",
               "object o anon size=64K\nspace a\nspace b\nmap a.x object=o\n"
               "map b.x object=o offset=4K size=8K prot=r\n"
               "expect $a.x.size == 64K && $b.x.size == 8K && $o.regions == 2\n"
               "touch a.x write offset=4K size=8 value=9\ntouch b.x read size=8 value=9\n"
               "map b.y object=o offset=60K\nexpect $b.y.size == 4K\n"
               "expect error ERANGE { map b.z object=o offset=64K }\n"
               "expect error ERANGE { map b.z object=o offset=60K size=8K }\n"
               "expect error ERANGE { map b.z object=o size=68K }\n"
               "expect error EINVAL { map b.z object=o offset=2K size=4K }"),
        PASSES("object=none", "space a\nmark\nmap a.x object=none size=1T\n"
                              "expect $d.pt.alloc == 0 && $d.commit.reserved == 0\n"
                              "expect fault segv { touch a.x read }\n"
                              "expect error ENOENT { fill a.x pattern=1 }"),
        REFUSED("offset= without object=", "space a\nmap a.x size=4K offset=4K",
                "'offset=' counts in an object"),
        REFUSED("no size= and no object=", "space a\nmap a.x", "'map' needs the option 'size='"),
        PASSES("the region name _",
               "space a\nmap a._ size=4K\nmap a._ size=4K\nexpect $a.regions == 2\n"
               "touch a@$a.low write size=8K\nunmap a@$a.low size=4K\nexpect $a.regions == 1\n"
               "repeat 2 { map a._ size=4K }\nexpect $a.regions == 3"),
        REFUSED("things cannot have these names", "space c", "things cannot be called"),
    };
    CHECK_ROWS(rows);
}

static void test_objects(void **state)
{
    static const struct row rows[] = {
        PASSES("anon",
               "mark\nobject o anon size=64K\nexpect $d.commit.reserved == 16\n"
               "object p anon size=64K commit=off\nexpect $d.commit.reserved == 16\n"
               "object q anon size=4K purgeable=off\n"
               "expect $o.resident == 0 && $o.regions == 0\nspace a\nmap a.x object=o\n"
               "touch a.x write\nexpect $o.resident == 16 && $o.regions == 1\n"
               "expect error EBUSY { drop o }\ndrop a.x\ndrop o\nexpect $d.commit.used == 0"),
        PASSES("an object's phys", "object o anon size=4K\nexpect error ENOTSUP { set p $o.phys }"),
        PASSES("contiguous",
               "object o contiguous size=64K align=64K below=64M\n"
               "expect $o.phys % 64K == 0 && $o.phys + 64K <= 64M && $o.resident == 16\n"
               "space a\nmap a.x object=o\ntouch a.x write value=7\n"
               "expect $a.x.run == 16\nfork a b\ntouch b.x write value=8\n"
               "touch a.x read value=8"),
        PASSES("contiguous, refused",
               "expect error ENOMEM { object o contiguous size=64K below=64K }\n"
               "expect error EINVAL { object o contiguous size=4K align=3K }\n"
               "expect error EINVAL { object o contiguous size=4K below=100 }\n"
               "expect error EINVAL { object o contiguous size=0 }"),
        PASSES("physical at=auto", "set before $free\nobject w physical at=auto size=2M\n"
                                   "expect $w.resident == 512 && $w.phys % 2M == 0\nspace a\n"
                                   "map a.x object=w size=64K\ntouch a.x write\n"
                                   "expect error EACCES { map a.y object=w size=4K prot=rx }\n"
                                   "expect error EACCES { protect a.x prot=rwx }\n"
                                   "drop a\ndrop w\nexpect $free == $before"),
        PASSES("physical page 0",
               "object z physical at=0 size=4K\nspace a\n"
               "expect error EACCES { map a.x object=z }\nmap a.x object=z prot=r\n"
               "touch a.x read\nexpect fault prot { touch a.x write }"),
        PASSES("physical elsewhere", "expect error ERANGE { object w physical at=4K size=4K }\n"
                                     "expect error ERANGE { object w physical at=0 size=8K }\n"
                                     "expect error ERANGE { object w physical at=auto size=4M }\n"
                                     "expect error EINVAL { object w physical at=100 size=4K }"),
        REFUSED("physical needs at=", "object w physical size=4K", "needs the option 'at='"),
        REFUSED("an object needs a size=", "object o anon", "needs the option 'size='"),
        REFUSED("options of other kinds", "object o anon size=4K below=1M", "takes no 'below='"),
        PASSES("share", "space a\nspace b\nmap a.x size=8K prot=rw\ntouch a.x write value=4\n"
                        "share b.x from=a.x\ntouch b.x read value=4\ntouch b.x write value=5\n"
                        "touch a.x read value=5\nfork b kid\ntouch kid.x write value=6\n"
                        "touch a.x read value=6\ndrop a\ntouch b.x read value=6\n"
                        "share b.y from=b.x\ntouch b.y read value=6"),
        PASSES("share of what is not there", "space a\nspace b\nmap a.x object=none size=4K\n"
                                             "expect error ENOENT { share b.x from=a.x }\n"
                                             "map a.y size=8K\nprotect a.y prot=r size=4K\n"
                                             "expect error EINVAL { share b.x from=a.y }"),
    };
    CHECK_ROWS(rows);
}

static void test_changing(void **state)
{
    static const struct row rows[] = {
        PASSES("unmap",
               "space a\nmap a.x size=32K\ntouch a.x write value=1\nunmap a.x offset=8K size=8K\n"
               "expect $a.regions == 2 && $a.x.size == 32K && $a.x.resident == 6\n"
               "expect fault segv { touch a.x read offset=8K }\nunmap a.x offset=4K\n"
               "touch a.x read size=4K value=1\nexpect $a.x.resident == 1\n"
               "unmap a.x\nunmap a.x\nexpect $a.regions == 0\nunmap a@1G size=1G\n"
               "expect error ERANGE { unmap a.x offset=36K }\n"
               "expect error ERANGE { unmap a.x offset=4K size=32K }\n"
               "expect error EINVAL { unmap a.x size=0 }\n"
               "expect error EINVAL { unmap a.x offset=1 size=4K }"),
        REFUSED("unmap of bare addresses needs size=", "space a\nunmap a@1G", "size="),
        PASSES(
            "bare addresses in the harness window",
            "space a\nexpect error ERANGE { touch a@$a.high read }\n"
            "expect fault segv { touch a@$a.high-4K read }\n"
            "expect fault segv { touch a@0xffff800000000000 read }\n"
            "expect fault segv { touch a@0x800000000000 read }\nexpect fault segv { touch a@0 read }"),
        PASSES("protect",
               "space a\nmap a.x size=32K\ntouch a.x write\n"
               "protect a.x prot=r offset=8K size=8K\nexpect $a.regions == 3\n"
               "expect fault prot { touch a.x write offset=8K }\ntouch a.x read\n"
               "protect a.x prot=rw\nexpect $a.regions == 1\ntouch a.x write\n"
               "unmap a.x offset=4K size=4K\nexpect error ENOENT { protect a.x prot=r }\n"
               "protect a@$a.x.base prot=none size=4K\n"
               "expect fault prot { touch a.x read size=8 }"),
        REFUSED("protect needs prot=", "space a\nmap a.x size=4K\nprotect a.x",
                "needs the option 'prot='"),
        PASSES("resize", "space a\nmap a.x size=8K\ntouch a.x write value=3\nresize a.x size=32K\n"
                         "expect $a.x.size == 32K\ntouch a.x read size=8K value=3\n"
                         "touch a.x read offset=8K value=0\nresize a.x size=4K\n"
                         "expect $a.x.size == 4K && $a.x.resident == 1\n"
                         "expect fault segv { touch a@$a.x.base+4K read }\nmap a.y size=4K\n"
                         "expect error ENOMEM { resize a.x size=8K }\n"
                         "expect error EINVAL { resize a.x size=-4K }\n"
                         "expect error EINVAL { resize a.x size=0 }\n"
                         "expect error EINVAL { resize a.x size=5K }\nobject o anon size=8K\n"
                         "map a.o object=o size=4K\nresize a.o size=8K\n"
                         "expect error ERANGE { resize a.o size=12K }"),
        PASSES("move",
               "space a\nmap a.x size=32K\ntouch a.x write value=3\nset from $a.x.base\n"
               "mark\nmove a.x at=1G\nexpect $a.x.base == 1G && $d.page.zeroed == 0\n"
               "touch a.x read value=3\nexpect fault segv { touch a@$from read }\n"
               "move a.x\nexpect $a.x.base == $a.low\nmove a.x at=any\nmap a.y size=4K\n"
               "expect error EEXIST { move a.x at=$a.y.base }\n"
               "expect error EINVAL { move a.x at=100 }\nexpect error ERANGE { move a.x at=0 }\n"
               "move a.x at=random\nexpect $a.x.base > 4G\ntouch a.x read value=3"),
        PASSES("advise dontneed",
               "space a\nmap a.x size=32K\ntouch a.x write value=3\n"
               "advise a.x dontneed offset=4K size=4K\n"
               "expect $a.x.resident == 7\ntouch a.x read offset=4K size=8 value=0\n"
               "touch a.x read size=8 value=3\nadvise a.x dontneed\n"
               "touch a.x read value=0\nadvise a@$a.x.base dontneed size=4K"),
        PASSES("advise willneed",
               "space a\nmap a.x size=32K\nfill a.x pattern=3\n"
               "advise a.x willneed\nexpect $a.x.resident == 8\nunmap a.x size=4K\n"
               "expect error ENOENT { advise a.x willneed }"),
    };
    CHECK_ROWS(rows);
}

static void test_whole_spaces(void **state)
{
    static const struct row rows[] = {
        PASSES("fork", "space a\nmap a.x size=32K\ntouch a.x write value=3\nfork a b\n"
                       "expect $b.resident == 0 && $b.regions == 1 && $b.x.base == $a.x.base\n"
                       "touch b.x read value=3\nexpect $a.digest == $b.digest\n"
                       "touch b.x write value=4\nexpect $a.digest != $b.digest"),
        PASSES("exec",
               "space a\nmap a.x size=32K\nexec a text=8K data=8K stack=16K\n"
               "expect $a.text.size == 8K && $a.data.size == 8K && $a.stack.size == 16K\n"
               "expect $a.text.resident == 2 && $a.data.resident == 2 && $a.stack.resident == 0\n"
               "expect $a.regions == 4\ntouch a.text exec sp=a.stack\ntouch a.data read value=0\n"
               "expect fault prot { touch a.text write }\n"
               "expect fault prot { touch a.data exec }\n"
               "expect fault segv { touch a@$a.stack.base-8 write }\n"
               "expect error ENOENT { touch a.x read }\nset digest $a.digest\n"
               "expect error EINVAL { exec a text=0 data=4K stack=4K }\n"
               "expect error EINVAL { exec a text=4K data=-4K stack=4K }\n"
               "inject alloc nth=9\nexpect error ENOMEM { exec a text=4K data=4K stack=4K }\n"
               "expect $a.digest == $digest && $a.text.size == 8K\ninject off\n"
               "touch a.text exec"),
        REFUSED("exec needs all sizes", "space a\nexec a text=4K data=4K", "'stack='"),
        PASSES("drop",
               "space a\nmap a.x size=4K\ndrop a.x\nexpect $a.regions == 0\nmap a.x size=4K\n"
               "drop a\nspace a\nobject o anon size=4K\ndrop o\nobject o anon size=8K\n"
               "map a.x object=o\nexpect $a.x.size == 8K"),
    };
    CHECK_ROWS(rows);
}

/* --- using memory ---------------------------------------------------------------------------------------- */

static void test_using(void **state)
{
    static const struct row rows[] = {
        PASSES("touch, its range",
               "space a\nmap a.x size=64K\nmark\ntouch a.x write offset=8K size=8K\n"
               "expect $d.fault.anon == 2\ntouch a.x write stride=8K\n"
               "expect $d.fault.anon == 2 + 7\ntouch a@$a.x.base+4K write size=4K\n"
               "expect $d.fault.anon == 2 + 8\n"
               "touch a.x write stride=512 size=4K\ntouch a.x read stride=1 size=64"),
        PASSES("touch order=",
               "space a\nmap a.x size=64K\nforeach o {up down random} {\n"
               "touch a.x write order=$o value=$rep+7\ntouch a.x read order=$o value=7\n}"),
        PASSES("touch value=", "space a\nmap a.x size=8K\ntouch a.x write\ntouch a.x read value=1\n"
                               "touch a.x write value=-2\ntouch a.x read value=0xfffffffffffffffe"),
        FAILS("touch read value=, another", "space a\nmap a.x size=8K\ntouch a.x read value=1",
              "expected 0x0000000000000001, found 0x0000000000000000"),
        PASSES("touch as=", "space a\nmap a.x size=8K\ntouch a.x write as=kernel value=3\n"
                            "touch a.x read as=user value=3\nprotect a.x prot=r\n"
                            "expect fault prot { touch a.x write as=kernel }\n"
                            "expect error ERANGE { touch a@0xffff800000000000 read as=kernel }"),
        PASSES("touch each=",
               "space a\nmap a.x size=64K\ntouch a.x write each=m.each order=random"),
        PASSES("touch exec", "space a\nmap a.x size=4K prot=rwx\ntouch a.x write value=0xC3\n"
                             "touch a.x exec\ntouch a.x write value=0xCC\n"
                             "expect error EFAULT { touch a.x exec }"),
        REFUSED("touch exec value=", "space a\nmap a.x size=4K\ntouch a.x exec value=1", "value="),
        PASSES("touch sp=, not a stack",
               "space a\nmap a.x size=4K\nmap a.y size=4K\nmark\n"
               "expect fault segv { touch a.x read sp=a.y }\n"
               "expect $d.fault.total == 1 && $d.fault.denied == 1 && $a.x.resident == 0\n"
               "map a.s size=4K stack=on\nspace b\nexpect fault segv { touch b@1G read sp=a.s }"),
        PASSES("touch sp=, any rights",
               "space a\nmap a.x size=4K prot=rwx\nmap a.s size=8K stack=on\n"
               "touch a.x write value=0xC3\ntouch a.x exec sp=a.s\n"
               "expect $a.s.resident == 1\n"
               "foreach p {none r} { protect a.s prot=$p\n"
               "touch a.x read sp=a.s\n"
               "expect fault prot { touch a.x exec sp=a.s } }\n"
               "fork a b\ntouch b.x read sp=b.s\n"
               "expect fault prot { touch b.x exec sp=b.s }"),
        PASSES("touch sp= as=kernel", "space a\nmap a.s size=4K stack=on\n"
                                      "expect error EINVAL { touch a.s read sp=a.s as=kernel }\n"
                                      "drop a.s\nmap a.x size=4K\n"
                                      "expect error ENOENT { touch a.x read sp=a.s }"),
        REFUSED("touch sp= of nothing", "space a\nmap a.x size=4K\ntouch a.x read sp=a.s",
                "unknown region 'a.s'"),
    };
    CHECK_ROWS(rows);
}

static void test_using_the_core(void **state)
{
    static const struct row rows[] = {
        PASSES("fill and verify",
               "space a\nmap a.x size=64K\nmark\nfill a.x pattern=1\n"
               "expect $d.fault.total == 0 && $a.resident == 0\nverify a.x pattern=1\n"
               "verify a.x pattern=1 offset=8K size=4K\n"
               "fill a.x pattern=2 offset=8 size=16\n"
               "verify a.x pattern=2 offset=16 size=8\n"
               "verify a.x pattern=1 offset=24\nunmap a.x size=4K\n"
               "expect error ENOENT { verify a.x pattern=1 }\n"
               "expect error EINVAL { fill a.x pattern=1 offset=4K size=7 }"),
        FAILS("verify, another pattern",
              "space a\nmap a.x size=8K\nfill a.x pattern=1\n"
              "verify a.x pattern=2",
              "expected 0x"),
        PASSES("frames", "set before $free\nframes count=1 each=m.one n=3\n"
                         "frames count=100 below=64M each=m.run n=2\nexpect $free == $before\n"
                         "expect error ENOMEM { frames count=1 below=4K each=m.one n=1 }\n"
                         "expect error ENOMEM { frames count=10000000 each=m.run n=1 }\n"
                         "expect error EINVAL { frames count=0 each=m.run n=1 }"),
        PASSES("inject nth=", "space a\nexpect $inject.fired == 0\ninject alloc nth=2\n"
                              "object o anon size=4K\nexpect $inject.fired == 0\n"
                              "expect error ENOMEM { map a.x size=4K }\nexpect $inject.fired == 1\n"
                              "map a.x size=4K\ninject off\nexpect $inject.fired == 1\n"
                              "inject alloc nth=1000\nexpect $inject.fired == 0"),
        PASSES("inject every=", "space a\nset failed 0\ninject alloc every=2\n"
                                "repeat 10 { try v { object o anon size=4K }\n"
                                "set failed $failed + ($v == $E.ENOMEM) }\nexpect $failed >= 4"),
        REFUSED("inject both", "inject alloc nth=1 every=2", "needs one of 'nth=' and 'every='"),
        PASSES("lookup",
               "space a\nmap a.x size=4K\nlookup a@$a.x.base each=m n=5\nexpect $found == 1\n"
               "lookup a@$a.x.base+4K each=m\nexpect $found == 0\n"
               "expect error EINVAL { lookup a@0 each=m n=0 }"),
        PASSES("floor", "foreach w {gate trap ring3 page_clear page_copy invlpg root_load} {\n"
                        "floor $w each=m n=3\n}\nexpect error ENOTSUP { floor ipi each=m }\n"
                        "expect error ENOTSUP { floor ap_start each=m }"),
        PASSES("check", "check\nspace a\nmap a.x size=4K\ntouch a.x write\ncheck"),
    };
    CHECK_ROWS(rows);
}

static void test_floors_of_several_cpus(void **state)
{
    (void)state;
    assert_int_equal(
        run_body_with("floor ipi each=m.ipi n=5\nfloor ap_start each=m.start", NULL, 3), 0);
    assert_output(",m.ipi,tick,1,5,");
    assert_output(",m.start,tick,1,2,"); /* one a CPU but the first, however many n= asks for */
}

/* --- control, names, checking ---------------------------------------------------------------------------- */

static void test_control(void **state)
{
    static const struct row rows[] = {
        PASSES("repeat",
               "set n 0\nset last 9\nrepeat 3 warmup=2 { set n $n + 1\nset last $rep\n"
               "expect $rep >= -2 && $rep < 3 }\nexpect $n == 5 && $last == 2 && $rep == 0"),
        PASSES("foreach", "set sum 0\nforeach v {1 2K {1 + 2}} { set sum $sum + $v }\n"
                          "expect $sum == 2052"),
        PASSES("break",
               "set n 0\nrepeat 9 { set n $n + 1\nif {$n == 3} { break } }\nexpect $n == 3"),
        PASSES("if, else", "set v 0\nif {1} { set v 1 } else { set v 2 }\nexpect $v == 1\n"
                           "if {0} { set v 1 } else { set v 2 }\nexpect $v == 2"),
        PASSES("random", "repeat 20 { random v 3\nexpect $v >= 0 && $v < 3 }\n"
                         "expect error EINVAL { random v 0 }"),
        PASSES("on", "on 0 { expect $cpu == 0 }\nexpect error ERANGE { on $cpus {} }"),
        PASSES("log", "log \"a $page b\"\nlog plain"),
        PASSES("time, count", "space a\nmap a.x size=8K\ntime t.a per=2 { touch a.x write }\n"
                              "count c.b fault.anon { touch a.x read }"),
        PASSES("try", "space a\nmap a.x size=4K\ntry v { touch a.x read }\nexpect $v == 0\n"
                      "try v { space a }\nexpect $v == $E.EEXIST\n"
                      "try v { touch a@0 read }\nexpect $v == $F.segv"),
        FAILS("expect error, none", "expect error ENOMEM { check }", "ENOMEM"),
        FAILS("expect error, another", "space a\nexpect error ENOMEM { map a.x size=0 }", "EINVAL"),
        FAILS("expect fault, another",
              "space a\nmap a.x size=4K prot=none\nexpect fault segv { touch a.x read }", "prot"),
        FAILS("expect with a message", "expect 1 == 2 \"they differ\"", "they differ"),
        PASSES("names in scopes",
               "repeat 2 { space a\nmap a.x size=4K\nforeach v {1 2} { drop a.x\n"
               "map a.x size=8K }\nexpect $a.x.size == 8K }\nspace a"),
        PASSES("drop order", "set before $free\nrepeat 2 { object o anon size=64K\nspace a\n"
                             "map a.x object=o\nmap a.y size=4K\ntouch a.x write\nfork a b }\n"
                             "expect $free == $before"),
        FAILS("an alive name at run time", "if {$cpus} { space a }\nspace a", "EEXIST"),
        FAILS("a dead name at run time", "space a\nif {$cpus} { drop a }\nfork a b", "ENOENT"),
        REFUSED("an alive name, surely", "space a\nspace a", "(EEXIST)"),
        REFUSED("a dead name, surely", "space a\ndrop a\nfork a b", "(ENOENT)"),
        PASSES("options come in any order",
               "space a\nmap size=4K a.x prot=r\ntouch stride=8 a.x read"),
        PASSES("several on a line; continued", "space a ; map a.x \\\n size=4K ; drop a"),
        REFUSED("command substitution", "set v [x]", "["),
    };
    CHECK_ROWS(rows);
}

/* --- what must be complete ------------------------------------------------------------------------------- */

/* The names of the specification, in its order. */
static void test_names_are_all_there(void **state)
{
    (void)state;
    static const char *const counters =
        "fault.total fault.zero_read fault.anon fault.resident fault.cow_copy fault.cow_reuse "
        "fault.file_minor fault.file_major fault.spurious fault.denied tlb.local tlb.shootdown "
        "tlb.ipi tlb.page tlb.full pt.alloc pt.free page.alloc page.free page.zeroed heap.alloc "
        "heap.free tree.visit reclaim.purged reclaim.clean reclaim.dirty reclaim.failed "
        "lock.contended lock.waited commit.reserved commit.used";
    static const char *const constants = "E.EINVAL E.ERANGE E.EEXIST E.ENOENT E.ENOMEM E.EACCES "
                                         "E.ENOTSUP E.EBUSY E.EFAULT E.EIO F.segv F.prot F.bus";
    static const char *const variables =
        "cpus memory free page seed rep cpu tsc_hz s.regions s.resident s.tables s.low s.high "
        "s.digest s.r.base s.r.size s.r.resident s.r.run o.resident o.regions o.phys inject.fired";
    static char body[8192];
    size_t size = (size_t)snprintf(body, sizeof(body),
                                   "space s\nmap s.r size=4K\nobject o contiguous size=4K\n");
    for (struct text rest = text_of(counters); rest.size > 0;) {
        struct text name = text_cut(&rest, ' ');
        size += (size_t)snprintf(body + size, sizeof(body) - size,
                                 "set v $c.%.*s + $d.%.*s\ncount m %.*s {}\n", TEXT_ARGS(name),
                                 TEXT_ARGS(name), TEXT_ARGS(name));
    }
    for (struct text rest = text_of(constants); rest.size > 0;) {
        struct text name = text_cut(&rest, ' ');
        size += (size_t)snprintf(body + size, sizeof(body) - size, "expect $%.*s > 0\n",
                                 TEXT_ARGS(name));
    }
    for (struct text rest = text_of(variables); rest.size > 0;) {
        struct text name = text_cut(&rest, ' ');
        size +=
            (size_t)snprintf(body + size, sizeof(body) - size, "set v $%.*s\n", TEXT_ARGS(name));
    }
    assert_true(size < sizeof(body));
    assert_passes(body);
}

/* Every command with all its options is in a usage line, and no option is in the table only. */
static void test_usage_lines_are_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_table_count; i++) {
        const struct command_spec *command = &command_table[i];
        for (size_t k = 0; k < command->argument_count; k++) {
            const struct argument_spec *argument = &command->arguments[k];
            char option[64];
            snprintf(option, sizeof(option), "%s=", argument->name);
            bool silent = (argument->flags & POSITIONAL) != 0 || argument->id == ARGUMENT_PURGEABLE;
            if (!silent && strstr(command->usage, option) == NULL)
                fail_msg("'%s' does not tell its option %s", command->usage, option);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_space_and_placement),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_changing),
        cmocka_unit_test(test_whole_spaces),
        cmocka_unit_test(test_using),
        cmocka_unit_test(test_using_the_core),
        cmocka_unit_test(test_floors_of_several_cpus),
        cmocka_unit_test(test_control),
        cmocka_unit_test(test_names_are_all_there),
        cmocka_unit_test(test_usage_lines_are_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
