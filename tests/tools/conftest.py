"""Tests of the host command alone: no QEMU, no core, half a minute."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
for room in ("tools", "tests/tools", "tests/boot"):
    sys.path.insert(0, str(ROOT / room))

from pretended import Tree  # noqa: E402


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)
