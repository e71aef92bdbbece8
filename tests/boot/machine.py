"""Boots PageLab in QEMU, by `tools/pagelab run` or by hand, and keeps what came of it."""

import csv
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import strict

ROOT = Path(__file__).resolve().parents[2]
PAGELAB = ROOT / "tools" / "pagelab"
SCENARIOS = Path(__file__).resolve().parent / "scenarios"
LOADER = ROOT / "build" / "BOOTX64.EFI"
STATUS_OF_EXIT = {33: 0, 35: 1, 37: 2, 39: 3}
TAIL_LINES = 25
TIMEOUT_SECONDS = 400

sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools"))
from pagelab_host.disk import make_image  # noqa: E402

__all__ = ["Booted", "boot", "boot_by_hand", "drive", "make_image"]


@dataclass
class Booted:
    """What a run left behind."""

    status: int
    out: Path
    stdout: str
    stderr: str

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

    def median(self, metric: str, **params: int) -> float:
        """The median of the one row of this metric that has these parameters."""
        words = {f"{name}={value}" for name, value in params.items()}
        found = [row for row in self.rows("timings")
                 if row["metric"] == metric and words <= set(row["params"].split())]
        assert len(found) == 1, f"{len(found)} rows of {metric} {params}"
        return float(found[0]["p50"])

    def __repr__(self) -> str:
        """What pytest shows when an assertion about it fails."""
        tail = "\n".join(f"    {line!r}" for line in self.console.splitlines()[-TAIL_LINES:])
        return f"<status {self.status}, {self.out}\n{self.stderr}\n{tail}\n>"


def boot(out: Path, *words: str) -> Booted:
    """`tools/pagelab run WORDS`, its files in `out`."""
    done = subprocess.run([PAGELAB, "run", "--out", out, *words], capture_output=True, text=True,
                          timeout=TIMEOUT_SECONDS, check=False)
    return Booted(done.returncode, out, done.stdout, done.stderr)


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
    done = subprocess.run([*words, *arguments], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=TIMEOUT_SECONDS, check=False)
    subprocess.run([PAGELAB, "collect", console, "--out", out], capture_output=True, check=False)
    status = STATUS_OF_EXIT.get(done.returncode, done.returncode)
    return Booted(status, out, done.stdout, done.stderr)
