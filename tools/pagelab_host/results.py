"""The files that a run leaves behind (their schema: results/README.md)."""

import re
from datetime import UTC, datetime
from pathlib import Path

from .errors import PagelabError
from .paths import RESULTS
from .stream import Run

CONSOLE_LOG = "console.log"

# Written for every run, header only if nothing came. The others are written when there are any.
HEADERS = {
    "timings": b"scenario,params,metric,unit,cpus,n,min,p50,p90,p99,p999,max,mean,stddev,"
               b"overhead,exact",
    "meta": b"key,value",
    "counters": b"scenario,params,counter,value",
}
WORDS_MAX = 40


def run_name(words: list[str], now: datetime | None = None) -> str:
    """UTC date and time, then a few words: '20261121-111231-fork-cow-exact'."""
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%d-%H%M%S")
    slug = re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")
    return f"{stamp}-{slug[:WORDS_MAX].strip('-')}".rstrip("-")


def make_directory(out: str | None, words: list[str]) -> Path:
    """The directory for a run's files: `out`, or a new one below results/."""
    if out is None:
        name = RESULTS / run_name(words)
        path, copy = name, 2
        while path.exists():
            path = name.with_name(f"{name.name}-{copy}")
            copy += 1
    else:
        path = Path(out)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PagelabError(f"cannot make the directory '{path}': {error.strerror}; "
                           "name another one with --out") from error
    return path


class ConsoleLog:
    """console.log, written as it comes, so that nothing is lost however the run ends. CR LF
    becomes LF; everything else stays as it was received."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / CONSOLE_LOG
        try:
            self._file = self.path.open("wb", buffering=0)
        except OSError as error:
            raise PagelabError(f"cannot write '{self.path}': {error.strerror}") from error
        self._held = b""

    def write(self, data: bytes) -> None:
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        data = data[: len(data) - len(self._held)]
        self._file.write(data.replace(b"\r\n", b"\n"))

    def close(self) -> None:
        self._file.write(self._held)
        self._file.close()


def write_tables(run: Run, directory: Path) -> list[Path]:
    """One CSV file for each kind of block, the blocks one after the other under one header. Files
    of an earlier run in the same directory are replaced."""
    tables = {kind: [header] for kind, header in HEADERS.items()}
    for block in run.blocks:
        lines = tables.get(block.kind, [])
        tables[block.kind] = [block.lines[0], *lines[1:], *block.lines[1:]]
    for stale in set(("samples", "histogram")) - set(tables):
        (directory / f"{stale}.csv").unlink(missing_ok=True)
    paths = []
    for kind, lines in tables.items():
        path = directory / f"{kind}.csv"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        paths.append(path)
    return paths
