"""`pagelab screenshot`: what the screen of a running `pagelab run` shows."""

import argparse
import contextlib
import tempfile
from pathlib import Path

from .errors import PagelabError
from .paths import shown
from .qmp import Qmp

SOCKET = "qmp"  # in the scratch directory of a run
SCRATCH_PREFIX = "pagelab-"


def _sockets() -> list[Path]:
    """Of the runs under way, those of other users aside."""
    found = []
    for path in sorted(Path(tempfile.gettempdir()).glob(f"{SCRATCH_PREFIX}*/{SOCKET}")):
        with contextlib.suppress(PagelabError), Qmp(path):
            found.append(path)
    return found


def _choose(given: str | None) -> Path:
    if given is not None:
        return Path(given)
    found = _sockets()
    if not found:
        raise PagelabError("no run is under way: start `pagelab run` first, or name QEMU's socket "
                           "with --qmp")
    if len(found) > 1:
        raise PagelabError("several runs are under way: name one with --qmp: "
                           + " ".join(map(str, found)))
    return found[0]


def command(options: argparse.Namespace) -> int:
    path = Path(options.file)
    if path.suffix != ".png":
        raise PagelabError(f"'{path}': the picture is PNG; name it so")
    with Qmp(_choose(options.qmp)) as qmp:
        qmp.screenshot(path)
    print(shown(path))
    return 0
