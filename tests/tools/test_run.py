"""`pagelab run` with a QEMU that only pretends: what it is started with, and every way to end."""

import csv
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_stream import Stream
from pretended import Tree

SECONDS = 120  # for what takes a moment on a machine that is not busy


def appended(tree: Tree) -> list[str]:
    arguments = tree.qemu_arguments
    return arguments[arguments.index("-append") + 1].split()


def option(tree: Tree, name: str) -> str:
    """What QEMU takes: the last one."""
    arguments = tree.qemu_arguments
    return arguments[len(arguments) - arguments[::-1].index(name)]


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file, strict=True))


def test_whole_run(tree: Tree) -> None:
    done = tree.run()
    assert done.returncode == 0, done.stderr
    timings = rows(tree.path / "out" / "timings.csv")
    assert timings[0][:4] == ["scenario", "params", "metric", "unit"]
    assert [row[0] for row in timings[1:]] == ["null"] + ["fork-cow"] * 4
    assert len(rows(tree.path / "out" / "counters.csv")) == 3
    assert ["boot_params", 'run=all on-exit=qemu, "quoted"'] in rows(tree.path / "out" / "meta.csv")
    assert not (tree.path / "out" / "samples.csv").exists()
    log = (tree.path / "out" / "console.log").read_bytes()
    assert log == (tree.path / "stream").read_bytes().replace(b"\r\n", b"\n")


def test_summary_and_progress(tree: Tree) -> None:
    done = tree.run()
    assert re.search(r"^fork-cow +pages=4096 +cow\.copy +tick +1 +32 +90 +100 +130 +150$",
                     done.stdout, re.M)
    assert "2 passed, 0 failed, 1 skipped (status 0)" in done.stdout
    assert "skipped: fault-file (SKIP needs disk)" in done.stdout
    assert "scenario 2 of 3: fork-cow: ok" in done.stderr
    assert "\x1b" not in done.stderr


def test_defaults(tree: Tree) -> None:
    tree.run()
    assert appended(tree) == ["run=all", "on-exit=qemu"]
    assert option(tree, "-machine") == "q35"
    assert option(tree, "-cpu") == "max"
    assert option(tree, "-m") == "1G"
    assert option(tree, "-smp") == "2"
    assert "isa-debug-exit,iobase=0xf4,iosize=0x04" in tree.qemu_arguments
    assert "-icount" not in tree.qemu_arguments


@pytest.mark.parametrize(("words", "expected"), [
    (["run=null"], ["on-exit=qemu", "run=null"]),
    (["menu=on"], ["on-exit=qemu", "menu=on"]),
    (["menu=auto"], ["run=all", "on-exit=qemu", "menu=auto"]),
    (["on-exit=halt", "skip=null"], ["run=all", "on-exit=halt", "skip=null"]),
    (["--cpus", "4", "run=null", "--memory", "2G", "seed=7"],
     ["on-exit=qemu", "run=null", "seed=7"]),
])
def test_added_parameters(tree: Tree, words: list[str], expected: list[str]) -> None:
    assert tree.run(*words).returncode == 0
    assert appended(tree) == expected


def test_exact(tree: Tree) -> None:
    tree.run("--exact", "run=null")
    assert appended(tree) == ["on-exit=qemu", "seed=1", "run=null"]
    assert option(tree, "-icount") == "shift=0,sleep=off"
    assert option(tree, "-cpu") == "max,erms=off"
    assert option(tree, "-m") == "4G"
    assert option(tree, "-smp") == "1"
    assert option(tree, "-rtc") == "base=2020-01-01,clock=vm"


def test_machine_options(tree: Tree) -> None:
    tree.run("--exact", "--cpus", "4", "--memory", "8G")
    assert (option(tree, "-smp"), option(tree, "-m")) == ("4", "8G")


def test_users_qemu_arguments_win(tree: Tree) -> None:
    tree.run("--", "-machine", "pc", "-vga", "none", "-serial", "stdio")
    assert (option(tree, "-machine"), option(tree, "-vga")) == ("pc", "none")
    assert tree.qemu_arguments.count("-serial") == 1


@pytest.mark.parametrize(("qemu_exit", "status"), [(33, 0), (35, 1), (37, 2), (39, 3)])
def test_status(tree: Tree, qemu_exit: int, status: int) -> None:
    tree.pretend(Stream().begin(0).done(0, 0, 0, status).data, qemu_exit)
    assert tree.run().returncode == status


def test_status_from_the_last_line(tree: Tree) -> None:
    tree.pretend(Stream().begin(0).done(0, 0, 0, 1).data, 0)
    assert tree.run("on-exit=poweroff").returncode == 1


def test_no_serial_port(tree: Tree) -> None:
    tree.pretend(b"", 35)
    assert tree.run("--", "-serial", "none").returncode == 1
    assert rows(tree.path / "out" / "timings.csv")[0][0] == "scenario"


def test_failure_is_shown(tree: Tree) -> None:
    stream = Stream().begin(1).line("# fork-cow.scn:9:5: error: expected 5, found 6")
    tree.pretend(stream.line("not ok 1 fork-cow").done(0, 1, 0, 1).data, 35)
    done = tree.run()
    assert done.returncode == 1
    assert "not ok: fork-cow\n    fork-cow.scn:9:5: error: expected 5, found 6" in done.stdout


def test_damaged_stream(tree: Tree) -> None:
    tree.pretend(Stream().whole().replace(b"cow.copy,tick", b"cow.copy,tock", 1))
    done = tree.run()
    assert done.returncode == 4
    assert "block 3 (timings of fork-cow): crc32" in done.stderr


@pytest.mark.parametrize("exit_status", [0, 33])
def test_reset_in_the_middle(tree: Tree, exit_status: int) -> None:
    tree.pretend(Stream().begin(1).data, exit_status)
    done = tree.run()
    assert done.returncode == 4
    assert "reset" in done.stderr or "no end" in done.stderr


def test_qemu_complains(tree: Tree) -> None:
    tree.pretend(b"", 1, then="echo 'qemu: -foo: invalid option' >&2")
    done = tree.run()
    assert done.returncode == 4
    assert "-foo: invalid option" in done.stderr


def test_hang(tree: Tree) -> None:
    tree.pretend(Stream().begin(1).line("[0.1] last words").data, then="exec sleep 1000")
    done = tree.run("--silence", "0.5")
    assert done.returncode == 4
    assert "hang: nothing came for" in done.stderr
    assert "last words" in done.stderr
    assert re.search(r"^QEMU was: \S*qemu-system-x86_64 .* -serial stdio", done.stderr, re.M)
    assert rows(tree.path / "out" / "meta.csv")[1][0] == "pagelab_version"


def test_timeout(tree: Tree) -> None:
    tree.pretend_script("while :; do echo '[0.000001] tick'; sleep 0.05; done")
    done = tree.run("--timeout", "1")
    assert done.returncode == 4
    assert "not done after 1 s" in done.stderr


def test_halt_at_the_end(tree: Tree) -> None:
    tree.pretend(Stream().begin(0).done(0, 0, 0, 1).data, then="exec sleep 1000")
    assert tree.run("on-exit=halt").returncode == 1


def becomes_true(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def heed_interrupts() -> None:
    """Whoever starts the tests in the background of a shell starts them with interrupts ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupt_keeps_what_came(tree: Tree) -> None:
    whole = Stream().whole()
    tree.pretend(whole[:whole.index(b"ok 2 fork-cow")], then="exec sleep 1000")
    with subprocess.Popen([tree.path / "tools" / "pagelab", "run", "--firmware", "firmware.fd",
                           "--out", "out", "--", "-accel", "tcg"], env=tree.environment,
                          cwd=tree.path, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                          preexec_fn=heed_interrupts) as process:
        log = tree.path / "out" / "console.log"
        assert becomes_true(lambda: log.exists() and b"ok 2 pages=4096" in log.read_bytes())
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert b"interrupted; what was received is kept" in errors
    assert len(rows(tree.path / "out" / "timings.csv")) == 6


def has_ended(pid: int) -> bool:
    """Gone, or a zombie that nobody has waited for."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_qemu_dies_with_us(tree: Tree) -> None:
    tree.pretend_script(f"echo $$ > {tree.path}/pid; echo; exec sleep 1000")
    with subprocess.Popen([tree.path / "tools" / "pagelab", "run", "--firmware", "firmware.fd",
                           "--out", "out", "--", "-accel", "tcg"], env=tree.environment,
                          cwd=tree.path, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        pid_file = tree.path / "pid"
        assert becomes_true(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
        process.kill()
    assert becomes_true(lambda: has_ended(int(pid_file.read_text())))


def test_second_run_in_one_directory(tree: Tree) -> None:
    (tree.path / "out").mkdir()
    (tree.path / "out" / "samples.csv").write_text("old")
    assert tree.run().returncode == 0
    assert not (tree.path / "out" / "samples.csv").exists()


def test_samples_are_written(tree: Tree) -> None:
    header = "scenario,params,metric,cpu,index,value"
    stream = Stream().begin(0).block("samples", header, ["a,,m,0,0,5"])
    tree.pretend(stream.block("samples", header, ["a,,m,0,1,6"]).done(0).data)
    assert tree.run().returncode == 0
    assert len(rows(tree.path / "out" / "samples.csv")) == 3


def test_run_names_its_directory(tree: Tree) -> None:
    done = tree.pagelab("run", "--firmware", "firmware.fd", "run=null,tag:smp", "--cpus", "4", "--",
                        "-accel", "tcg")
    assert re.search(r"^results: results/\d{8}-\d{6}-null-tag-smp-4cpus-firmware$", done.stdout,
                     re.M)


@pytest.mark.parametrize(("words", "message"), [
    (["fork-cow"], "did you mean 'run=fork-cow'?"),
    (["fork-cov"], "did you mean 'run=fork-cow'?"),
    (["run=a b"], "no blanks"),
    (["--cpus", "0"], "argument --cpus: invalid number value: '0'"),
    (["--cpus", "x"], "argument --cpus: invalid number value: 'x'"),
    (["--firmware", "no-such-file"], "no firmware file 'no-such-file'"),
    (["--out", "/proc/nowhere"], "cannot make the directory '/proc/nowhere'"),
    (["--disk", "no-such-file"], "--disk no-such-file: no such file, and no size like 64M"),
    (["--disk", "0"], "--disk 0: a disk has 512 bytes to 64G"),
    (["--disk", "100"], "--disk 100: a disk has 512 bytes to 64G"),
    (["--bogus"], "--bogus"),
])
def test_bad_usage(tree: Tree, words: list[str], message: str) -> None:
    done = tree.run(*words)
    assert done.returncode == 5
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def splitmix64(value: int) -> int:
    """By the book, one word."""
    word = (1 << 64) - 1
    value = (value + 0x9e3779b97f4a7c15) & word
    value = ((value ^ value >> 30) * 0xbf58476d1ce4e5b9) & word
    value = ((value ^ value >> 27) * 0x94d049bb133111eb) & word
    return value ^ value >> 31


def test_no_disk(tree: Tree) -> None:
    tree.run()
    assert not any("nvme" in word for word in tree.qemu_arguments)


def test_disk_of_a_size(tree: Tree) -> None:
    """The pattern, in whole chunks and the rest of one."""
    drive = "$(printf '%s\n' \"$@\" | sed -n 's/.*id=disk.*,file=//p')"
    tree.pretend_script(f"cp {drive} {tree.path}/copy; cat {tree.path}/stream; exit 33")
    assert tree.run("--disk", "300K").returncode == 0
    content = (tree.path / "copy").read_bytes()
    assert len(content) == 300 << 10
    for offset in (0, 8, 16, 131064, 131072, 262144, len(content) - 8):
        word = int.from_bytes(content[offset:offset + 8], "little")
        assert word == splitmix64(offset // 8), offset
    assert "nvme,drive=disk,serial=pagelab" in tree.qemu_arguments


def test_disk_of_a_file(tree: Tree) -> None:
    disk = tree.path / "a,b.img"
    disk.write_bytes(bytes(512))
    assert tree.run("--disk", str(disk)).returncode == 0
    drive = next(word for word in tree.qemu_arguments if "id=disk" in word)
    assert drive.endswith("a,,b.img") and "snapshot=on" in drive


def test_missing_loader(tree: Tree) -> None:
    (tree.path / "build" / "BOOTX64.EFI").unlink()
    done = tree.run()
    assert done.returncode == 5
    assert done.stderr == "pagelab: build/BOOTX64.EFI is missing: run `make` first\n"


def test_missing_qemu(tree: Tree) -> None:
    (tree.path / "bin" / "qemu-system-x86_64").unlink()
    python = Path("/usr/bin/python3")
    done = subprocess.run([python, tree.path / "tools" / "pagelab", "run", "--firmware",
                           "firmware.fd"], env={"PATH": f"{tree.path}/bin"}, cwd=tree.path,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert "install the package 'qemu-system-x86'" in done.stderr
