"""tests/run must count what pytest ran, file by file, and notice what did not run."""

import argparse
from pathlib import Path
from types import ModuleType

import pytest
import scripts

GOOD = "def test_good():\n    pass\n"
BAD = "def test_bad():\n    assert not 'what it says'\n"
ALONE = "import pytest\n\n\n@pytest.mark.alone\n"


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    module = scripts.load("tests/run")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "suite").mkdir()
    return module


def counts(runner: ModuleType, **files: str) -> tuple[int, int, str]:
    for name, text in files.items():
        (runner.ROOT / "suite" / f"test_{name}.py").write_text(text)
    total = runner.pytest_suite("suite")(runner.ROOT / "build", argparse.Namespace())
    return total.passed, total.failed, "\n".join(total.complaints)


def test_sum(runner: ModuleType) -> None:
    assert counts(runner, a=GOOD, b=GOOD + ALONE + GOOD.replace("good", "b"), c=ALONE + GOOD) == (4, 0, "")


def test_failures(runner: ModuleType) -> None:
    passed, failed, complaints = counts(runner, a=GOOD + BAD, b=ALONE + BAD)
    assert (passed, failed) == (1, 2)
    assert complaints.count("what it says") >= 2


def test_what_cannot_be_read(runner: ModuleType) -> None:
    passed, failed, complaints = counts(runner, a=GOOD, b="import nothing_of_that_name\n")
    assert passed == 1 and failed > 0
    assert "nothing_of_that_name" in complaints


def test_results_of_the_last_time_do_not_count(runner: ModuleType) -> None:
    counts(runner, a=GOOD)
    passed, failed, complaints = counts(runner, a="import os\n\nos._exit(0)\n")
    assert passed == 0 and failed > 0
    assert "exit status 0" in complaints


def test_no_tests_at_all(runner: ModuleType) -> None:
    assert counts(runner, a="")[:2] == (0, 1)
