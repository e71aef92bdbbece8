"""tests/mutants/run must say of a mutant what became of it. Needs `make host`."""

import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import scripts

ROOT = Path(__file__).resolve().parents[2]
HEAD = "Item: B1\nBug: what is wrong, told\n    in two lines.\nCatcher: test_ground test_crc32_is_zlibs\n\n"


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    return scripts.load("tests/mutants/run")


def patch(old: str, new: str, file: str = "core/crc32.c") -> str:
    """A patch of one line, which must stand there as it is."""
    lines = (ROOT / file).read_text().splitlines()
    at = lines.index(old)
    return (f"--- a/{file}\n+++ b/{file}\n@@ -{at},3 +{at},3 @@\n {lines[at - 1]}\n-{old}\n+{new}\n"
            f" {lines[at + 1]}\n")


def judged(directory: Path, text: str, *options: str) -> tuple[int, str]:
    (directory / "it.patch").write_text(text)
    done = subprocess.run([ROOT / "tests/mutants/run", "--patches", directory, "--jobs", "1", *options],
                          cwd=directory, capture_output=True, text=True, timeout=300, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


INCLUDE = '#include "core/crc32.h"'
BUG = ("    return ~crc;", "    return crc;")


def test_caught(tmp_path: Path) -> None:
    status, output = judged(tmp_path, HEAD + patch(*BUG))
    assert status == 0
    assert re.fullmatch(r"it: caught by test_ground test_crc32_is_zlibs \([\d.]+ s\)\n1 passed, 0 failed\n",
                        output)


def test_survivor(tmp_path: Path) -> None:
    status, output = judged(tmp_path, HEAD + patch(INCLUDE, INCLUDE + " /* no change */"))
    assert status == 1
    assert "it: survived: test_ground test_crc32_is_zlibs passes\n0 passed, 1 failed\n" in output


def test_does_not_apply(tmp_path: Path) -> None:
    text = HEAD + patch(INCLUDE, "").replace(INCLUDE, '#include "core/no_such.h"')
    for options in ([], ["--seconds", "0"]):
        status, output = judged(tmp_path, text, *options)
        assert status == 1
        assert "it: no longer applies" in output


def test_does_not_compile(tmp_path: Path) -> None:
    status, output = judged(tmp_path, HEAD + patch(INCLUDE, INCLUDE + " nonsense"))
    assert status == 1
    assert "it: does not compile" in output


def test_fails_for_another_reason(tmp_path: Path) -> None:
    text = HEAD.replace("\n\n", "\nExpect: no line has this\n\n") + patch(*BUG)
    status, output = judged(tmp_path, text)
    assert status == 1
    assert "but no line matches 'no line has this'" in output


def test_a_change_is_gone_afterwards(tmp_path: Path) -> None:
    judged(tmp_path, HEAD + patch(INCLUDE, INCLUDE + " nonsense"))
    _, output = judged(tmp_path, HEAD + patch(INCLUDE, INCLUDE + " /* no change */"))
    assert "it: survived" in output


@pytest.mark.parametrize(("head", "complaint"), [
    ("Item: A1\nBug: it\n\n", "its head has no Catcher"),
    ("Item: A1\nBug: it\nCatcher: test_heap\n\n", "its catcher is neither"),
    ("Item: A1\nItem: A2\nBug: it\nCatcher: pagelab-host run=x\n\n", "a bad line in its head: Item: A2"),
    ("Hello\n\n", "a bad line in its head: Hello"),
])
def test_bad_head(tmp_path: Path, head: str, complaint: str) -> None:
    status, output = judged(tmp_path, head + "--- a/x\n+++ b/x\n")
    assert status == 1
    assert f"it: {complaint}" in output


def test_unknown_name(tmp_path: Path) -> None:
    status, output = judged(tmp_path, HEAD + patch(INCLUDE, INCLUDE + " "), "other")
    assert (status, "other: there is no such mutant" in output) == (1, True)


def test_each_day_begins_elsewhere(runner: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [str(number) for number in range(40)]
    firsts = set()

    class Day:
        number = 0

        @classmethod
        def today(cls) -> "Day":
            return cls()

        def toordinal(self) -> int:
            return Day.number

    monkeypatch.setattr(runner.datetime, "date", Day)
    for Day.number in range(40):
        turned = runner.in_turn(names)
        assert sorted(turned) == sorted(names)
        firsts.add(turned[0])
    assert len(firsts) > 30
