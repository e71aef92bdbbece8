"""`make bench`: what is slower, missing or over budget against the reference."""

import csv
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results" / "reference" / "timings.csv"


def bench(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ROOT / "tools" / "bench", "--results", directory, *words], check=False,
                          capture_output=True, text=True)


def results(directory: Path, factor: float, metric: str = "fault.anon", drop: str = "") -> Path:
    """The reference run, with one metric's medians multiplied and one's rows dropped."""
    with REFERENCE.open(newline="") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if row["metric"] != drop]
        names = reader.fieldnames
    assert names
    for row in rows:
        if row["metric"] == metric:
            row["p50"] = str(round(float(row["p50"]) * factor, 3))
    with (directory / "timings.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return directory


def test_the_same(tmp_path: Path) -> None:
    done = bench(results(tmp_path, 1))
    assert done.returncode == 0 and "nothing is slower" in done.stdout


@pytest.mark.parametrize(("factor", "word", "status"), [(1.5, "slower", 1), (0.5, "faster", 0), (1.005, "", 0)])
def test_a_difference(tmp_path: Path, factor: float, word: str, status: int) -> None:
    done = bench(results(tmp_path, factor))
    assert done.returncode == status
    assert (f"{word} " in done.stdout) == bool(word) or not word
    if word:
        assert "fault-anon pages=1024: fault.anon" in done.stdout


def test_a_budget_is_missed(tmp_path: Path) -> None:
    assert "budget     fault-anon pages=1024: fault.anon" in bench(results(tmp_path, 1.5)).stdout


def test_a_row_is_missing(tmp_path: Path) -> None:
    directory = results(tmp_path, 1, drop="fork.latency")
    done = bench(directory)
    assert done.returncode == 1 and "missing    fork-cow pages=256: fork.latency" in done.stdout
    assert bench(directory, "run=fault-anon").returncode == 0  # only what was run


def test_no_results(tmp_path: Path) -> None:
    done = bench(tmp_path)
    assert done.returncode == 2 and "timings.csv is not there" in done.stderr
