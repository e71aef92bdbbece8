"""Scenarios from the boot volume: good ones run, broken ones are reported, failing ones explain."""

from pathlib import Path

import machine
import pytest


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> machine.Booted:
    """One boot on eight CPUs with a good, a broken and two failing scenarios."""
    directory = tmp_path_factory.mktemp("files")
    files: dict[str, Path | bytes] = {
        f"pagelab/scenarios/{name}.scn": machine.SCENARIOS / f"{name}.scn"
        for name in ("hello", "broken", "wrong", "mismatch")}
    machine.make_image(directory / "stick.img", files)
    return machine.boot(directory / "run", "run=null,tag:mine,broken,wrong,mismatch", "--cpus", "8",
                        "--", *machine.drive(directory / "stick.img"))


def outcome(run: machine.Booted, name: str) -> bool:
    return next(result.ok for result in run.stream().results if result.name == name)


def test_status(run: machine.Booted) -> None:
    """A selected file that does not parse outweighs a scenario that fails."""
    assert run.status == 3, run
    assert run.stream().counts == (2, 3, 0)


def test_good_scenario_ran(run: machine.Booted) -> None:
    assert outcome(run, "hello") and outcome(run, "null")
    assert run.median("hello.write", pages=4) > 0
    assert run.median("hello.write", pages=8) > 0


def test_broken_scenario_is_named(run: machine.Booted) -> None:
    assert not outcome(run, "broken")
    lines = run.console.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("# broken.scn:3:12: error: "))
    assert "'sizee'" in lines[at] and "'size'" in lines[at]
    assert lines[at + 1] == "# map s.heap sizee=4K"
    assert lines[at + 2] == "#            ^"


def test_failed_expectation_explains(run: machine.Booted) -> None:
    assert not outcome(run, "wrong")
    assert "wrong.scn:7" in run.console
    assert "three faults on resident pages" in run.console
    assert "$d.fault.total" in run.console


def test_failed_verify_explains(run: machine.Booted) -> None:
    assert not outcome(run, "mismatch")
    explanation = next(line for line in run.console.splitlines() if "mismatch.scn:5" in line)
    start = run.console.index(explanation)
    for word in ("0x", "expected", "found"):
        assert word in run.console[start:start + 400]


def test_host_shows_the_failures(run: machine.Booted) -> None:
    assert "not ok: wrong" in run.stdout
    assert "three faults on resident pages" in run.stdout
