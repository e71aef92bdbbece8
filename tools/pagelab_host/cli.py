"""The command line of `tools/pagelab`."""

import argparse
import os
import sys

from . import checker, collect, run, screenshot
from .errors import EXIT_BROKEN, EXIT_INTERRUPTED, EXIT_USAGE, PagelabError

STATUSES = f"""\
exit status:
  0    every scenario passed or was skipped
  1    a scenario failed
  2    panic
  3    bad boot parameter, or a selected scenario file that does not parse
  {EXIT_BROKEN}    the run did not come through whole: a hang, a reset, damaged or missing output
  {EXIT_USAGE}    nothing was done: bad usage, or something that is needed is missing
  {EXIT_INTERRUPTED}  Ctrl-C; what was received is kept
"""

RUN_TEXT = """\
Boots build/BOOTX64.EFI in QEMU, shows progress, prints a summary table, and writes timings.csv,
meta.csv, counters.csv and console.log (results/README.md says what is in them).

PARAM is a boot parameter, NAME=VALUE: run=NAME,tag:TAG  skip=NAME  SCENARIO.PARAM=V1,V2  cpus=N
seed=N  check=each|off|debug|deep  samples=on  hist=on ... (docs/boot-parameters.md). `run=all` is
added unless run= or menu=on is given, and `on-exit=qemu` unless on-exit= is. With menu=on the menu
has this terminal until the run starts.

The machine is `-machine q35 -cpu max -m 1G -smp 2` with a screen that nobody sees (--window shows
it, `pagelab screenshot` takes a picture of it) and no network.
KVM is used if it really boots here, else TCG. What follows `--` goes to QEMU and wins.
"""
RUN_EXAMPLES = """\
examples:
  pagelab run
  pagelab run run=fork-cow fork-cow.pages=256,1024 --cpus 4 --memory 2G
  pagelab run --exact run=fork-cow,fault-anon,floor
  pagelab run run=disk-fault --disk 64M
  pagelab run run=null -- -machine pc -vga none

"""
COLLECT_TEXT = """\
Reads a run from a serial port, a saved log or the standard input (-), checks every block's number,
row count and checksum, and writes the same files as `run`. What is damaged is named; what is whole
is kept. A serial port is read until the run's last line; start it before the machine.
"""
CHECK_TEXT = """\
Checks scenario files as PageLab itself does at boot. Prints FILE:LINE:COLUMN, the error, the line
and a caret. Builds the checker first if need be.
"""
CHECK_STATUSES = f"""\
exit status:
  0    no errors
  1    a file has errors
  {EXIT_USAGE}    nothing was checked: bad usage, or something that is needed is missing
"""


SCREENSHOT_STATUSES = f"""\
exit status:
  0    the picture was written
  {EXIT_USAGE}    it was not: no machine runs, or it has no screen
"""


class Parser(argparse.ArgumentParser):
    """Bad usage must not look like a run's status (argparse's own would be a panic's)."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise ValueError
    return value


_count.__name__, _seconds.__name__ = "number", "number of seconds"


def _add_run(commands: "argparse._SubParsersAction[Parser]") -> None:
    parser = commands.add_parser(
        "run", help="boot QEMU and run scenarios", description=RUN_TEXT,
        epilog=RUN_EXAMPLES + STATUSES, formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="pagelab run [PARAM ...] [OPTIONS] [-- QEMU ARGS]")
    parser.add_argument("parameters", metavar="PARAM", nargs="*", help="boot parameters")
    parser.add_argument("--cpus", type=_count, metavar="N", help="CPUs (2; 1 with --exact)")
    parser.add_argument("--memory", metavar="SIZE", help="memory, e.g. 512M (1G; 4G with --exact)")
    parser.add_argument("--disk", metavar="FILE|SIZE",
                        help="an NVMe disk: a file, which is not written to, or a size, e.g. 64M, of "
                             "PageLab's own pattern (none)")
    parser.add_argument("--exact", action="store_true",
                        help="one tick is one instruction, and two runs agree to the last digit; "
                             "with --cpus N for replaying only, not for timing")
    parser.add_argument("--firmware", default="ovmf", metavar="ovmf|uboot|FILE",
                        help="what boots the machine (ovmf)")
    parser.add_argument("--window", action="store_true", help="show the machine's screen in a window")
    parser.add_argument("--out", metavar="DIR", help="where the files go (results/DATE-TIME-WORDS)")
    parser.add_argument("--timeout", type=_seconds, default=1800, metavar="SECONDS",
                        help="end the run after this time (1800; 0: never)")
    parser.add_argument("--silence", type=_seconds, metavar="SECONDS",
                        help="take it for a hang when the core prints nothing for this time (180; "
                             "1800 with --exact; 0: never)")
    parser.set_defaults(command=run.command)


def _add_collect(commands: "argparse._SubParsersAction[Parser]") -> None:
    parser = commands.add_parser(
        "collect", help="take a run from a serial port or a saved log", description=COLLECT_TEXT,
        epilog=STATUSES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="DEVICE|FILE|-", help="e.g. /dev/ttyUSB0")
    parser.add_argument("--baud", type=_count, default=115200, metavar="N",
                        help="speed of a serial port (115200)")
    parser.add_argument("--number", type=_count, metavar="N",
                        help="of several runs in one log, take the N-th (the last)")
    parser.add_argument("--out", metavar="DIR",
                        help="where the files go (results/DATE-TIME-collect)")
    parser.set_defaults(command=collect.command)


def _add_screenshot(commands: "argparse._SubParsersAction[Parser]") -> None:
    parser = commands.add_parser(
        "screenshot", help="take a picture of a running machine's screen", epilog=SCREENSHOT_STATUSES,
        description="Writes what the screen of a `pagelab run` under way shows.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE.png")
    parser.add_argument("--qmp", metavar="SOCKET",
                        help="of another QEMU (-qmp unix:SOCKET,server=on,wait=off)")
    parser.set_defaults(command=screenshot.command)


def _add_checker(commands: "argparse._SubParsersAction[Parser]") -> None:
    parser = commands.add_parser(
        "list", help="list the scenarios", epilog=CHECK_STATUSES,
        description="Lists scenarios: name, tags, parameters, description.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", metavar="FILE.scn", nargs="*", help="instead of scenarios/*.scn")
    parser.set_defaults(command=checker.show)
    parser = commands.add_parser(
        "check", help="check scenario files as at boot", description=CHECK_TEXT,
        epilog=CHECK_STATUSES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", metavar="FILE.scn", nargs="+")
    parser.set_defaults(command=checker.check)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="pagelab", epilog=f"`pagelab COMMAND --help` says more.\n\n{STATUSES}",
        description="Turns a PC, real or emulated, into a laboratory for virtual memory.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_run(commands)
    _add_collect(commands)
    _add_screenshot(commands)
    _add_checker(commands)
    qemu: list[str] = []
    if "--" in arguments:
        cut = arguments.index("--")
        arguments, qemu = arguments[:cut], arguments[cut + 1:]
    if not arguments or arguments[0] not in commands.choices:
        return parser.parse_args(arguments)  # help, or the complaint about what was given
    # Intermixed: boot parameters may stand before, between and after the options.
    options = commands.choices[arguments[0]].parse_intermixed_args(arguments[1:])
    if qemu and options.command is not run.command:
        parser.error("only `run` takes QEMU arguments after --")
    options.qemu = qemu
    return options


def main(arguments: list[str]) -> int:
    try:
        options = _parse(arguments)
        return int(options.command(options))
    except PagelabError as error:
        print(f"pagelab: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter must not complain about it as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN
