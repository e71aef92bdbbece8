"""`pagelab collect`: a run's files from a real serial port, or from a saved log."""

import argparse
import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from .errors import EXIT_BROKEN, EXIT_INTERRUPTED, PagelabError
from .paths import shown
from .progress import Progress
from .results import CONSOLE_LOG, ConsoleLog, make_directory, write_tables
from .stream import Run, StreamParser
from .summary import problem_lines, summary

CHUNK_BYTES = 1 << 16
TICK_SECONDS = 0.2


class SerialPort:
    """A device's end is the run's: it has none of its own."""

    ends_with_run = True

    def __init__(self, device: str, baud: int) -> None:
        try:
            import serial  # type: ignore[import]
        except ImportError:
            raise PagelabError("reading a serial port needs pyserial: install the package "
                               "'python3-serial' (`make deps`)") from None
        self._errors = (serial.SerialException, ValueError, OSError)
        self._device = device
        try:
            self._port = serial.Serial(device, baud, timeout=TICK_SECONDS)
        except self._errors as error:
            raise PagelabError(f"{device}: {error}") from error

    def chunks(self) -> Iterator[bytes]:
        """What comes in; empty when nothing did for a moment. Ends when the device goes away."""
        try:
            while True:
                yield self._port.read(max(1, min(self._port.in_waiting, CHUNK_BYTES)))
        except self._errors as error:
            print(f"pagelab: {self._device}: {error}", file=sys.stderr)


class SavedLog:
    """A file, a pipe or the standard input: read to its end."""

    ends_with_run = False

    def __init__(self, source: str) -> None:
        try:
            self._file = sys.stdin.buffer if source == "-" else open(source, "rb")
        except OSError as error:
            raise PagelabError(f"cannot read '{source}': {error.strerror}") from error

    def chunks(self) -> Iterator[bytes]:
        while data := os.read(self._file.fileno(), CHUNK_BYTES):
            yield data


def _open(source: str, baud: int) -> SerialPort | SavedLog:
    with contextlib.suppress(OSError):
        if source != "-" and stat.S_ISCHR(os.stat(source).st_mode):
            return SerialPort(source, baud)
    return SavedLog(source)


def _receive(source: SerialPort | SavedLog, name: str, parser: StreamParser,
             log: ConsoleLog) -> bool:
    """Takes in everything until the end; False if Ctrl-C was it."""
    progress = Progress(name)
    if source.ends_with_run:
        progress.message(f"reading {name}: start the machine now (Ctrl-C ends)")
    try:
        for data in source.chunks():
            log.write(data)
            parser.feed(data)
            if source.ends_with_run:
                progress.update(parser.run)
                if parser.run.done is not None:
                    break
    except KeyboardInterrupt:
        return False
    finally:
        progress.clear()
    return True


def _choose(runs: list[Run], number: int | None) -> Run:
    """A log may hold several runs: the last one, unless another is asked for."""
    if number is None:
        if len(runs) > 1:
            print(f"pagelab: there are {len(runs)} runs in it; this is the last one "
                  "(--number picks another)", file=sys.stderr)
        return runs[-1]
    if not 1 <= number <= len(runs):
        raise PagelabError(f"--number {number}: there are {len(runs)} runs in it")
    return runs[number - 1]


def _refuse_own_copy(source: str, directory: Path) -> None:
    """Collecting DIR/console.log into DIR would empty it before it is read."""
    copy = directory / CONSOLE_LOG
    if source != "-" and copy.exists() and copy.samefile(source):
        raise PagelabError(f"'{source}' would be overwritten by its own copy: name another "
                           "directory with --out")


def command(options: argparse.Namespace) -> int:
    source = _open(options.source, options.baud)
    directory = make_directory(options.out, ["collect"])
    _refuse_own_copy(options.source, directory)
    parser = StreamParser()
    log = ConsoleLog(directory)
    try:
        whole = _receive(source, options.source, parser, log)
    finally:
        log.close()
    parser.finish()
    run = _choose(parser.runs, options.number)
    write_tables(run, directory)
    print(summary(run), flush=True)
    for line in problem_lines(run):
        print(line, file=sys.stderr)
    print(f"results: {shown(directory)}")
    if not whole:
        return EXIT_INTERRUPTED
    return run.done.status if run.done and run.is_whole else EXIT_BROKEN
