"""`pagelab run`: boots QEMU, shows progress, writes the run's files, ends with its status."""

import argparse
import difflib
import shlex
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from . import firmware as firmwares
from .errors import EXIT_BROKEN, EXIT_INTERRUPTED, PagelabError
from .paths import SCENARIOS, shown
from .progress import Progress
from .qemu import STATUS_OF_EXIT, Machine, command_line, require_loader
from .results import ConsoleLog, make_directory, write_tables
from .screenshot import SCRATCH_PREFIX
from .session import Ending, Limits, Session, State, keys_unbuffered
from .stream import Run, StreamParser, printable
from .summary import problem_lines, summary

FIRMWARE_SECONDS = 120
CPU_SECONDS = 3  # more for each CPU: they are started one after the other
SILENCE_SECONDS = 180
EXACT_FACTOR = 10  # exact mode is that much slower by the clock on the wall
TAIL_LINES = 20


def check_parameters(words: list[str]) -> None:
    """What the core could not complain about, because it would never see it as it was meant."""
    for word in words:
        if any(c.isspace() for c in word):
            raise PagelabError(f"'{word}': a boot parameter has no blanks")
        if "=" in word:
            continue
        known = [path.stem for path in SCENARIOS.glob("*.scn")]
        near = difflib.get_close_matches(word, known, 1)
        hint = f"did you mean 'run={near[0]}'?" if near else "parameters are NAME=VALUE"
        raise PagelabError(f"'{word}' is no boot parameter; {hint}")


def boot_parameters(words: list[str], exact: bool) -> list[str]:
    """What `pagelab run` adds, then the user's words: the core reads up to the first bad one, and must
    know by then how to end."""
    check_parameters(words)
    names = {word.partition("=")[0] for word in words}
    added = []
    if "run" not in names and "menu=on" not in words:
        added.append("run=all")
    if "on-exit" not in names:
        added.append("on-exit=qemu")
    if exact and "seed" not in names:
        added.append("seed=1")
    return added + words


def directory_words(options: argparse.Namespace, parameters: list[str]) -> list[str]:
    """A few words for the run's name."""
    words = [word.removeprefix("run=") for word in parameters if word.startswith("run=")]
    words += [f"{options.cpus}cpus"] if options.cpus else []
    words += [Path(options.firmware).stem] if options.firmware != "ovmf" else []
    return words + (["exact"] if options.exact else [])


def limits_for(options: argparse.Namespace, parameters: list[str]) -> Limits:
    """How long to wait for what."""
    factor = EXACT_FACTOR if options.exact else 1
    firmware = (FIRMWARE_SECONDS + CPU_SECONDS * (options.cpus or 1)) * factor
    if "menu=on" in parameters or "-serial" in options.qemu:
        firmware = 0  # the menu waits for a person; elsewhere the core's first words are not seen
    silence = SILENCE_SECONDS * factor if options.silence is None else options.silence
    return Limits(firmware, silence, options.timeout)


class Runner:
    """One run: QEMU's output goes to console.log, to the parser, and to the progress line."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.parameters = boot_parameters(options.parameters, options.exact)
        self.options = options
        self.menu = "menu=on" in self.parameters  # the menu has the terminal
        self.parser = StreamParser()
        require_loader()

    @property
    def run(self) -> Run:
        return self.parser.runs[0]

    def execute(self) -> int:
        options = self.options
        with tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX) as scratch_name:
            scratch = Path(scratch_name)
            firmware = firmwares.find(options.firmware, scratch)
            machine = Machine(self.parameters, options.cpus, options.memory, options.exact,
                              options.disk, options.window, options.qemu)
            self.arguments = command_line(machine, firmware, scratch)
            self.progress = Progress(firmware.name)
            self.directory = make_directory(options.out,
                                            directory_words(options, self.parameters))
            self.log = ConsoleLog(self.directory)
            self.session = Session(self.arguments, limits_for(options, self.parameters),
                                   self._receive, self._state, self._tick)
            ending = self._pump()
        self.log.close()
        self.parser.finish()
        self.progress.clear()
        return self._report(ending)

    def _pump(self) -> Ending:
        if not self.menu:
            return self.session.run()
        self.session.forward_keys()
        with keys_unbuffered():
            return self.session.run()

    def _receive(self, data: bytes) -> None:
        self.log.write(data)
        self.parser.feed(data)
        if self.menu and not self.run.core_seen:
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
        elif self.menu:
            self.menu = False
            self.session.stop_keys()
            self.progress.message("")

    def _state(self) -> State:
        return State(self.run.core_seen, self.run.done is not None)

    def _tick(self) -> None:
        if not self.menu:
            self.progress.update(self.run)

    # The end.

    def _report(self, ending: Ending) -> int:
        write_tables(self.run, self.directory)
        print(summary(self.run))
        complaint = self._complaint(ending)
        if complaint:
            self._complain(complaint)
        else:
            for line in problem_lines(self.run):
                print(line, file=sys.stderr)
        print(f"results: {shown(self.directory)}")
        sys.stdout.flush()
        return self._status(ending, complaint)

    def _guest_status(self, ending: Ending) -> int | None:
        """The run's own status, if it got that far."""
        if ending is Ending.EXITED and self.session.exit_status in STATUS_OF_EXIT:
            return STATUS_OF_EXIT[self.session.exit_status]
        return self.run.done.status if self.run.done else None

    def _status(self, ending: Ending, complaint: str | None) -> int:
        if ending is Ending.INTERRUPTED:
            return EXIT_INTERRUPTED
        status = self._guest_status(ending)
        # Where the serial port goes elsewhere (`-- -serial none`) there is no stream to be damaged.
        damaged = not self.run.is_whole and "-serial" not in self.options.qemu
        if status is None or (status == 0 and (complaint or damaged)):
            return EXIT_BROKEN
        return status

    def _complaint(self, ending: Ending) -> str | None:
        """What is wrong with how the run ended, if anything."""
        limits = limits_for(self.options, self.parameters)
        match ending:
            case Ending.INTERRUPTED:
                return "interrupted; what was received is kept"
            case Ending.NO_CORE:
                hint = "; `-- -accel tcg` does without KVM" if "kvm" in self.arguments else ""
                return (f"the firmware did not reach PageLab's core within {limits.firmware:.0f} s;"
                        f" QEMU was ended{hint}")
            case Ending.SILENT:
                return f"hang: nothing came for {limits.silence:.0f} s; QEMU was ended"
            case Ending.TIMEOUT:
                return f"not done after {limits.total:.0f} s (--timeout); QEMU was ended"
            case Ending.EXITED if self._guest_status(ending) is None:
                return self._early_exit()
        if self.run.done and self._guest_status(ending) != self.run.done.status:
            return (f"QEMU ended with status {self.session.exit_status}, which is not that of the "
                    "run's last line")
        return None

    def _early_exit(self) -> str:
        errors = self.session.errors.decode(errors="replace").strip()
        status = self.session.exit_status
        if errors:
            return f"QEMU ended with status {status}: {errors}"
        if self.run.core_seen:
            return "the machine was reset or powered off in the middle of the run"
        return f"QEMU ended with status {status} before PageLab's core was reached"

    def _complain(self, complaint: str) -> None:
        tail = (self.directory / "console.log").read_bytes().splitlines()[-TAIL_LINES:]
        print(f"pagelab: {complaint}", file=sys.stderr)
        if tail:
            print("the console's last lines:", file=sys.stderr)
        for line in tail:
            print(f"  | {printable(line)}", file=sys.stderr)
        print(f"QEMU was: {shlex.join(self.arguments)}", file=sys.stderr)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def command(options: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    return Runner(options).execute()
