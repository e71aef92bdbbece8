"""docs/seeds.md has a row for every seed, and what it names exists: functions, tests, scenarios, mutants."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/seeds.md"
COUNTS = {"A": 10, "B": 6, "C": 7, "D": 12, "E": 21, "W": 36}
# Seeds of the stages that are there: of the others a row says only when they come.
LATER = re.compile(r"^stage 5$")
COLUMNS = ["item", "what", "functions", "tests", "scenarios", "mutants"]


@dataclass
class Row:
    item: str
    what: str
    functions: list[str]
    tests: list[str]
    scenarios: list[str]
    mutants: list[str]

    @property
    def is_later(self) -> bool:
        return LATER.match(self.what.rpartition("; ")[2]) is not None and not self.functions


def names_in(cell: str) -> list[str]:
    names = re.findall(r"`([^`]+)`", cell)
    assert ", ".join(f"`{name}`" for name in names) == cell, f"not a list of names: {cell}"
    return names


def rows_of(text: str) -> Iterator[Row]:
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if cells and re.fullmatch(r"[A-EW]\d+", cells[0]):
            assert len(cells) == len(COLUMNS), line
            yield Row(cells[0], cells[1], *(names_in(cell) for cell in cells[2:]))


ROWS = list(rows_of(DOCUMENT.read_text()))
NOW = [row for row in ROWS if not row.is_later]


def test_every_seed_has_a_row() -> None:
    expected = [f"{letter}{number}" for letter, count in COUNTS.items() for number in range(1, count + 1)]
    assert [row.item for row in ROWS] == expected


@pytest.mark.parametrize("row", NOW, ids=lambda row: row.item)
def test_functions_exist(row: Row) -> None:
    assert row.functions, "who does it?"
    for name in row.functions:
        file, _, function = name.partition(":")
        path = ROOT / (file if "/" in file else f"core/mm/{file}")
        assert path.exists(), name
        # Definitions begin a line, with their type or, where that is long, without it.
        assert re.search(rf"^(?:[a-z_].*[ *])?{function}\(", path.read_text(), re.MULTILINE), name


@pytest.mark.parametrize("row", NOW, ids=lambda row: row.item)
def test_proofs_exist(row: Row) -> None:
    assert row.tests or row.scenarios, "what proves it?"
    for name in row.tests:
        file, _, test = name.partition(":")
        path = ROOT / (file if "/" in file else f"tests/host/{file}.c")
        assert path.exists(), name
        assert re.search(rf"\b{test}\b", path.read_text()), name
    for name in row.scenarios:
        assert (ROOT / "scenarios" / f"{name}.scn").exists(), name


def test_mutants_stand_with_their_seeds() -> None:
    expected: dict[str, set[str]] = {row.item: set() for row in ROWS}
    for path in (ROOT / "tests/mutants").glob("*.patch"):
        items = re.search(r"^Item: (.*)$", path.read_text(), re.MULTILINE)
        assert items, path
        for item in items[1].split():
            assert item in expected, f"{path.name}: there is no seed {item}"
            expected[item].add(path.stem)
    for row in ROWS:
        assert set(row.mutants) == expected[row.item], row.item


def test_catchers_exist() -> None:
    for path in (ROOT / "tests/mutants").glob("*.patch"):
        catcher = re.search(r"^Catcher: (\S+) (\S+)", path.read_text(), re.MULTILINE)
        assert catcher, path
        if catcher[1] == "pagelab-host":
            scenario = catcher[2].removeprefix("run=")
            assert (ROOT / "scenarios" / f"{scenario}.scn").exists(), path.name
        else:
            program = (ROOT / "tests/host" / catcher[1].removeprefix("tsan/")).with_suffix(".c")
            assert re.search(rf"\b{catcher[2]}\b", program.read_text()), path.name
