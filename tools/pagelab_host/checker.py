"""`pagelab check` and `pagelab list`: ask the checker that runs at boot, built for the host."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .errors import EXIT_USAGE, PagelabError
from .paths import CHECKER, ROOT, SCENARIOS, shown
from .summary import table

LIST_COLUMNS = ("name", "tags", "parameters", "description")


def _build() -> None:
    """Makes the checker, or brings it up to date."""
    if shutil.which("make") is None:
        if CHECKER.is_file():
            return
        raise PagelabError(f"{shown(CHECKER)} is missing, and so is `make` to build it")
    # Under a `make` of its own, e.g. `make test`, it must not inherit that one's flags.
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    done = subprocess.run(["make", "-s", "-C", str(ROOT), str(CHECKER.relative_to(ROOT))],
                          env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not CHECKER.is_file():
        raise PagelabError(f"`make {CHECKER.relative_to(ROOT)}` failed:\n"
                           f"{(done.stdout + done.stderr).strip()}")


def _readable(files: list[str]) -> list[str]:
    for name in files:
        if not Path(name).is_file():
            raise PagelabError(f"no file '{name}'")
    return files


def check(options: argparse.Namespace) -> int:
    files = _readable(options.files)
    _build()
    return subprocess.run([str(CHECKER), *files], check=False).returncode


def show(options: argparse.Namespace) -> int:
    files = _readable(options.files) or sorted(str(path) for path in SCENARIOS.glob("*.scn"))
    if not files:
        print("there are no scenarios", file=sys.stderr)
        return EXIT_USAGE
    _build()
    done = subprocess.run([str(CHECKER), "--list", *files], stdout=subprocess.PIPE, text=True,
                          check=False)
    rows = [(line.split("\t") + [""] * 4)[:4] for line in done.stdout.splitlines()]
    print("\n".join(table(LIST_COLUMNS, rows, len(LIST_COLUMNS))))
    return done.returncode
