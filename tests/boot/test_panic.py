"""A panic on purpose."""

import machine


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
