"""Results that reach a file without a serial cable: over a warm reset, as memory that the firmware
leaves alone; and what the next start makes of a run that ended badly."""

import filecmp
import subprocess
from collections.abc import Callable
from pathlib import Path

import machine
import pytest
from computer import Computer

RESET_SECONDS = 180


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


Collect = Callable[[Path], Path]


@pytest.fixture
def collect(tmp_path: Path) -> Collect:
    def take(log: Path) -> Path:
        out = tmp_path / f"{log.name}-files"
        done = subprocess.run([machine.PAGELAB, "collect", log, "--out", out], capture_output=True,
                              text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "damaged" not in done.stderr
        return out
    return take


def test_a_reset_brings_the_results_to_the_stick(computer: Computer, collect: Collect,
                                                 tmp_path: Path) -> None:
    """The files are those that the serial port gives. Whoever started it without a menu gets one
    now: else it would run, and reset, for ever."""
    computer.write_stick("run=null,fork-cow fork-cow.pages=64 on-exit=reboot timeout=0 screen=off")
    with computer.on() as qmp:
        qmp.wait_for("RESET", RESET_SECONDS)
        computer.wait_for_text("The last run (status 0) was written to", "Enter runs 2 scenarios")
    kept = tmp_path / "RUN.log"
    assert computer.fetch("RUN.log", kept)
    assert not computer.fetch("RUN.pending", tmp_path / "RUN.pending")
    by_cable, by_memory = collect(computer.serial), collect(kept)
    for name in ("timings.csv", "meta.csv", "counters.csv"):
        assert filecmp.cmp(by_cable / name, by_memory / name, shallow=False), name
    assert "fork-cow" in (by_memory / "timings.csv").read_text()


def test_after_a_panic_the_menu_waits(computer: Computer, tmp_path: Path) -> None:
    """There is no cable, and the panic is on the stick; its screen stays for `timeout=`."""
    computer.write_stick("run=null selftest=panic serial=off on-exit=reboot timeout=2")
    with computer.on() as qmp:
        qmp.wait_for("RESET", RESET_SECONDS)
        said = computer.wait_for_text("The last run (status 2, a panic) was written to",
                                      "Enter runs 1 scenario")
    assert "Runs what is ticked in" not in said
    kept = tmp_path / "RUN.log"
    assert computer.fetch("RUN.log", kept)
    text = kept.read_text()
    assert "PANIC on CPU 0: asked for by selftest=panic" in text
    assert text.rstrip().endswith("status=2")


def test_memory_that_was_lost_is_told(computer: Computer, tmp_path: Path) -> None:
    """The machine was off in between."""
    computer.write_stick("run=null on-exit=reboot", {"results/RUN.pending": b"a run was started\n"})
    with computer.on():
        said = computer.wait_for_text("memory did not survive the reset", "Enter runs 1 scenario")
    assert "Runs what is ticked in" not in said
    assert not computer.fetch("RUN.log", tmp_path / "RUN.log")
