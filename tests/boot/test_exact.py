"""Exact mode: two runs agree to the last digit, and the medians are within their budgets."""

import machine
import pytest

Runs = list[machine.Booted]
pytestmark = [pytest.mark.alone, pytest.mark.slow]


def test_status(exact_runs: Runs) -> None:
    assert [run.status for run in exact_runs] == [0, 0], exact_runs
    assert exact_runs[0].stream().counts == (3, 0, 0)


def test_two_runs_are_identical(exact_runs: Runs) -> None:
    first, second = ((run.out / "timings.csv").read_bytes() for run in exact_runs)
    assert first == second
    assert first.count(b"\n") > 10


def test_meta_says_so(exact_runs: Runs) -> None:
    meta = exact_runs[0].meta
    assert meta["exact_mode"] not in ("0", "no", "off", "")
    assert meta["seed"] == "1"


@pytest.mark.parametrize(("metric", "most"), [
    ("floor.page_clear", 530), ("floor.page_copy", 530), ("floor.trap", 60)])
def test_floor(exact_runs: Runs, metric: str, most: float) -> None:
    assert 0 < exact_runs[0].median(metric) <= most


def test_fault_anon(exact_runs: Runs) -> None:
    run = exact_runs[0]
    assert run.median("fault.anon") <= run.median("floor.page_clear") + 400


def test_fork_latency(exact_runs: Runs) -> None:
    assert exact_runs[0].median("fork.latency", pages=16384) <= 5000


@pytest.mark.parametrize("pages", [256, 4096, 16384])
def test_cow_copy(exact_runs: Runs, pages: int) -> None:
    run = exact_runs[0]
    assert run.median("cow.copy", pages=pages) <= run.median("floor.page_copy") + 450
