"""Boots PageLab in QEMU, by `tools/pagelab run` or by hand, and keeps what came of it."""

import csv
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import strict

ROOT = Path(__file__).resolve().parents[2]
PAGELAB = ROOT / "tools" / "pagelab"
SCENARIOS = Path(__file__).resolve().parent / "scenarios"
LOADER = ROOT / "build" / "BOOTX64.EFI"
STATUS_OF_EXIT = {33: 0, 35: 1, 37: 2, 39: 3}
TAIL_LINES = 60
# For each boot, on a machine that is slow and busy with another one; and for each line of it.
TIMEOUT_SECONDS = 900
SILENCE_SECONDS = 400
# What the host command needs to end QEMU and to say so.
ENDING_SECONDS = 60
# Of all scenarios, what takes minutes in software, and only for being large.
SMALL = [*(f"{name}.regions=10,1000" for name in ("lookup", "map-among", "place-fragmented")),
         "teardown.regions=10000", "punch.pages=4096", "fork-huge.pages=16384",
         "fork-cow.pages=256", "aslr.spaces=2000", "tables.slots=2000", "pressure-soak.rounds=20",
         "framebuffer-switch.mappings=2,16"]

sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools"))
from pagelab_host.disk import make_image  # noqa: E402

__all__ = ["Booted", "Started", "boot", "boot_by_hand", "drive", "make_image", "started", "tail"]


class Started(Protocol):
    """A machine that is noted down in `started`."""

    @property
    def report(self) -> str:
        """For whoever must find out why a test has failed."""


started: list[Started] = []


@dataclass
class Booted:
    """What a run left behind."""

    status: int
    out: Path
    stdout: str
    stderr: str
    words: tuple[str, ...] = ()  # what started it

    def __post_init__(self) -> None:
        started.append(self)

    @property
    def console(self) -> str:
        return (self.out / "console.log").read_text(errors="replace")

    def stream(self, panics: bool = False) -> strict.Stream:
        return strict.read(self.console, panics)

    def rows(self, table: str) -> list[dict[str, str]]:
        with (self.out / f"{table}.csv").open(newline="") as file:
            return list(csv.DictReader(file, strict=True))

    @property
    def meta(self) -> dict[str, str]:
        return {row["key"]: row["value"] for row in self.rows("meta")}

    def median(self, metric: str, **params: int | str) -> float:
        """The median of the one row of this metric that has these parameters."""
        words = {f"{name}={value}" for name, value in params.items()}
        found = [row for row in self.rows("timings")
                 if row["metric"] == metric and words <= set(row["params"].split())]
        assert len(found) == 1, f"{len(found)} rows of {metric} {params}"
        return float(found[0]["p50"])

    def __repr__(self) -> str:
        return f"<status {self.status}, {self.out}>"

    @property
    def report(self) -> str:
        said = self.console if (self.out / "console.log").exists() else "(there is no console.log)"
        return "\n".join([shlex.join(self.words), f"status {self.status}", *tail(self.stdout),
                          *tail(self.stderr), "the console's last lines:",
                          *(f"    {line!r}" for line in tail(said))])


def tail(text: str) -> list[str]:
    return text.splitlines()[-TAIL_LINES:]


def boot(out: Path, *words: str) -> Booted:
    """`tools/pagelab run WORDS`, its files in `out`."""
    command = (str(PAGELAB), "run", "--out", str(out), "--timeout", str(TIMEOUT_SECONDS),
               "--silence", str(SILENCE_SECONDS), *words)
    done = subprocess.run(command, capture_output=True, text=True,
                          timeout=TIMEOUT_SECONDS + ENDING_SECONDS, check=False)
    return Booted(done.returncode, out, done.stdout, done.stderr, command)


def drive(image: Path) -> list[str]:
    """QEMU arguments for a disk image: a USB stick."""
    return ["-drive", f"if=none,id=stick,format=raw,file={image}", "-device", "qemu-xhci",
            "-device", "usb-storage,drive=stick"]


def boot_by_hand(out: Path, *arguments: str) -> Booted:
    """QEMU as `tools/pagelab run` would not start it: from a disk, with nothing handed over."""
    out.mkdir(parents=True, exist_ok=True)
    console = out / "raw.log"
    words = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-machine", "q35", "-accel",
             "tcg", "-cpu", "max", "-m", "1G", "-smp", "2", "-vga", "std", "-display", "none",
             "-action", "reboot=shutdown", "-bios", "/usr/share/ovmf/OVMF.fd",
             "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-serial", f"file:{console}"]
    command = ("timeout", str(TIMEOUT_SECONDS), *words, *arguments)
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    subprocess.run([PAGELAB, "collect", console, "--out", out], capture_output=True, check=False)
    status = STATUS_OF_EXIT.get(done.returncode, done.returncode)
    return Booted(status, out, done.stdout, done.stderr, command)
