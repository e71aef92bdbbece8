"""tools/deps, with package tools that only pretend: what is missing is installed, patiently."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {
    "dpkg-query": 'test "$4" != lost && echo "install ok installed"',
    "dpkg": "true",
    "sudo": 'exec "$@"',
    "apt-get": 'test "$1" = update || test "$(grep -c "^apt-get install" said)" -gt "$FAILURES"',
}


def deps(directory: Path, failures: int, *packages: str) -> tuple[int, list[str]]:
    """Exit status, and what was called, when apt-get fails to install so many times."""
    for name, script in PROGRAMS.items():
        program = directory / name
        program.write_text(f'#!/bin/sh\n[ {name} = dpkg-query ] || echo "{name} $*" >> said\n{script}\n')
        program.chmod(0o755)
    (directory / "said").write_text("")
    done = subprocess.run([ROOT / "tools" / "deps", *packages], cwd=directory, check=False, capture_output=True,
                          env={"PATH": f"{directory}:{os.environ['PATH']}", "FAILURES": str(failures)})
    said = (directory / "said").read_text().splitlines()
    return done.returncode, [" ".join(line.split()[:2]) for line in said if not line.startswith("sudo")]


def test_nothing_is_missing(tmp_path: Path) -> None:
    assert deps(tmp_path, 9, "make", "gcc") == (0, [])


@pytest.mark.parametrize(("failures", "status"), [(1, 0), (2, 1)])
def test_a_second_chance(tmp_path: Path, failures: int, status: int) -> None:
    assert deps(tmp_path, failures, "make", "lost") == (status, [
        "apt-get install", "dpkg --configure", "apt-get update", "apt-get install"])


def test_only_what_is_missing(tmp_path: Path) -> None:
    assert deps(tmp_path, 0, "make", "lost") == (0, ["apt-get install"])
    assert "lost" in (tmp_path / "said").read_text() and "make" not in (tmp_path / "said").read_text()
