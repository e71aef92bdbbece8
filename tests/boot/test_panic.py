"""A panic on purpose."""

import re
from pathlib import Path

import machine
import pytest


def test_status(panic_run: machine.Booted) -> None:
    assert panic_run.status == 2, panic_run
    assert panic_run.stream(panics=True).status == 2


def test_backtrace_names_the_function(panic_run: machine.Booted) -> None:
    lines = panic_run.console.splitlines()
    panic = next(i for i, line in enumerate(lines) if "PANIC" in line)
    names = [i for i, line in enumerate(lines[panic:]) if "selftest_panic" in line]
    callers = [i for i, line in enumerate(lines[panic:]) if "core_main" in line]
    assert names and callers and names[0] < callers[0]


def test_registers_are_printed(panic_run: machine.Booted) -> None:
    said = panic_run.console[panic_run.console.index("PANIC"):].lower()
    for register in ("rsp", "rflags", "cr2", "cr3"):
        assert register in said


def test_host_command_says_so(panic_run: machine.Booted) -> None:
    assert "status 2" in panic_run.stdout


@pytest.mark.parametrize("cpus", [2, 4])
def test_a_cpu_that_does_not_answer_is_named(tmp_path: Path, cpus: int) -> None:
    """CPU 1 keeps a lock, interrupts off; with more than two CPUs the third one wants it."""
    run = machine.boot(tmp_path, "selftest=hang", "run=null", "check=debug", "--cpus", str(cpus))
    assert run.status == 2, run
    said = run.console[run.console.index("PANIC"):]
    assert "PANIC on CPU 0: hung: no sign of life for 2 s, CPU 1 does not answer" in said
    assert "CPU 1: lock held: 'selftest', taken at 0x" in said
    # Its last place, with the way there.
    place = said[said.index("CPU 1 was at 0x"):]
    assert "selftest_hang_here" in place and "work_loop" in place
    if cpus > 2:
        assert "CPU 0 waits for CPU 2 to do its work" in said
        assert re.search(r"CPU 2 waits for lock 'selftest', wanted at 0x\w+, held by CPU 1", said)
        assert "CPU 3" not in said
    else:
        assert "CPU 0 waits for CPU 1 to do its work" in said


@pytest.mark.parametrize("cpus", [1, 4])
def test_a_stale_translation_is_found(tmp_path: Path, cpus: int) -> None:
    """CPU 0 takes a page away and does not tell the others: the check of check level 2 does."""
    run = machine.boot(tmp_path, "selftest=stale", "run=null", "check=deep", "--cpus", str(cpus))
    assert run.status == 2, run
    found = re.search(r"CPU (\d) still translates 0x200000, which was unmapped", run.console)
    assert found and (found[1] == "0") == (cpus == 1)
