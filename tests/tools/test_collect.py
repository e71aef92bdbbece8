"""`pagelab collect`: saved logs, pipes, and a serial port (a pseudo-terminal's)."""

import os
import pty
import subprocess
import tty
from pathlib import Path

import pytest
from fake_stream import Stream
from pretended import Tree


def collect(tree: Tree, data: bytes, *words: str) -> subprocess.CompletedProcess[str]:
    (tree.path / "log").write_bytes(data)
    return tree.pagelab("collect", "log", "--out", "out", *words)


def test_the_same_files_as_run(tree: Tree) -> None:
    assert tree.run().returncode == 0
    done = tree.pagelab("collect", "out/console.log", "--out", "again")
    assert done.returncode == 0
    for name in ("timings.csv", "meta.csv", "counters.csv", "console.log"):
        assert (tree.path / "out" / name).read_bytes() == (tree.path / "again" / name).read_bytes()


def test_standard_input(tree: Tree) -> None:
    done = tree.pagelab("collect", "-", "--out", "out", stdin=Stream().whole())
    assert done.returncode == 0
    assert "2 passed, 0 failed, 1 skipped (status 0)" in done.stdout


def test_status_of_the_run(tree: Tree) -> None:
    assert collect(tree, Stream().begin(0).done(0, 0, 0, 2).data).returncode == 2


def test_changed_byte_in_a_block(tree: Tree) -> None:
    done = collect(tree, Stream().whole().replace(b"pages=4096,cow.copy,tick,1,32",
                                                  b"pages=4096,cow.copy,tick,1,33"))
    assert done.returncode == 4
    assert "block 5 (timings of fork-cow): crc32" in done.stderr
    timings = (tree.path / "out" / "timings.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in timings[1:]] == [
        ["null", ""], ["fork-cow", "pages=256"], ["fork-cow", "pages=256"]]


def test_cut_off(tree: Tree) -> None:
    whole = Stream().whole()
    done = collect(tree, whole[:whole.index(b"ok 2 fork-cow")])
    assert done.returncode == 4
    assert "the run has no end" in done.stderr


@pytest.mark.parametrize("data", [b"", b"\0" * 5000, bytes(range(256)) * 200],
                         ids=["nothing", "zeros", "noise"])
def test_no_run_at_all(tree: Tree, data: bytes) -> None:
    done = collect(tree, data)
    assert done.returncode == 4
    assert "the run has no end" in done.stderr
    assert "Traceback" not in done.stderr


def test_several_runs(tree: Tree) -> None:
    first = Stream().begin(0).done(0, 0, 0, 1).data
    done = collect(tree, first + Stream().whole())
    assert done.returncode == 0
    assert "2 runs" in done.stderr
    assert collect(tree, first + Stream().whole(), "--number", "1").returncode == 1
    assert collect(tree, first, "--number", "2").returncode == 5


def test_serial_port(tree: Tree) -> None:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    with subprocess.Popen([tree.path / "tools" / "pagelab", "collect", os.ttyname(theirs),
                           "--out", "out"], cwd=tree.path, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert b"start the machine now" in process.stderr.readline()
        data = Stream().whole()
        while data:
            data = data[os.write(ours, data[:512]):]
        output, errors = process.communicate(timeout=180)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0, errors
    assert b"2 passed, 0 failed, 1 skipped" in output
    assert b"scenario 2 of 3: fork-cow: ok" in errors


@pytest.mark.parametrize(("source", "message"), [
    ("no-such-log", "cannot read 'no-such-log': No such file or directory"),
    (".", "cannot read '.': Is a directory"),
    ("/dev/null", "/dev/null: "),
])
def test_bad_source(tree: Tree, source: str, message: str) -> None:
    done = tree.pagelab("collect", source)
    assert done.returncode == 5
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tree.path / "results").exists()


def test_does_not_overwrite_its_source(tree: Tree) -> None:
    out = tree.path / "out"
    out.mkdir()
    (out / "console.log").write_bytes(Stream().whole())
    assert tree.pagelab("collect", "out/console.log", "--out", "out").returncode == 5
    assert (out / "console.log").read_bytes() == Stream().whole()


def test_pyserial_is_only_needed_for_ports(tree: Tree) -> None:
    blocker = Path(tree.path / "blocked" / "serial.py")
    blocker.parent.mkdir()
    blocker.write_text("raise ImportError\n")
    (tree.path / "log").write_bytes(Stream().whole())
    environment = tree.environment | {"PYTHONPATH": str(blocker.parent)}
    for source, status in (("log", 0), ("/dev/null", 5)):
        done = subprocess.run([tree.path / "tools" / "pagelab", "collect", source, "--out", "out"],
                              env=environment, cwd=tree.path, capture_output=True, text=True,
                              check=False)
        assert done.returncode == status
    assert "python3-serial" in done.stderr
