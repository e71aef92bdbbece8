"""QEMU's command line for a run."""

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from . import kvm
from .disk import make_image
from .errors import PagelabError
from .firmware import Firmware
from .paths import LOADER, shown
from .pattern import disk_file
from .screenshot import SOCKET

QEMU = "qemu-system-x86_64"
WINDOWS = ("gtk", "sdl", "cocoa")
EXIT_DEVICE = ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
# What value v at port 0xf4 makes of QEMU's exit is (v << 1) | 1; the core writes 0x10 + status.
STATUS_OF_EXIT = {33: 0, 35: 1, 37: 2, 39: 3}
# One tick is one instruction, the clock is the guest's own, and string instructions count whole.
EXACT = ["-icount", "shift=0,sleep=off", "-rtc", "base=2020-01-01,clock=vm"]
UEFI_DISK = "if=none,id=pagelab,format=raw,file="


@dataclass
class Machine:
    """What to start; None is the default for the mode."""

    parameters: list[str]
    cpus: int | None = None
    memory: str | None = None
    exact: bool = False
    disk: str | None = None  # a file, or the size of a generated one
    window: bool = False  # show the screen
    extra: list[str] = field(default_factory=list)  # the user's QEMU arguments: they win


def find_qemu() -> str:
    path = shutil.which(QEMU)
    if path is None:
        raise PagelabError(f"{QEMU} is not installed: install the package 'qemu-system-x86' "
                           "(`make deps`)")
    return path


def require_loader() -> Path:
    if not LOADER.is_file():
        raise PagelabError(f"{shown(LOADER)} is missing: run `make` first")
    return LOADER


def _gives(extra: list[str], *options: str) -> bool:
    """Does the user give one of these options, of which QEMU would not take the last?"""
    return any(word.replace("--", "-", 1) in options for word in extra)


def _accelerator(qemu: str, machine: Machine, firmware: Firmware) -> list[str]:
    if machine.exact:
        return ["-accel", "tcg"]
    given = _gives(machine.extra, "-accel", "-enable-kvm", "-icount")
    if given or any("accel=" in word for word in machine.extra):
        return []
    works = not firmware.boots_from_disk and kvm.works(qemu, firmware.arguments)
    return ["-accel", "kvm" if works else "tcg"]


def _display(qemu: str, machine: Machine) -> list[str]:
    """The screen goes nowhere, or into a window of whatever kind QEMU can make."""
    if _gives(machine.extra, "-display"):
        return []
    if not machine.window:
        return ["-display", "none"]
    listed = subprocess.run([qemu, "-display", "help"], capture_output=True, text=True,
                            check=False).stdout.split()
    for kind in WINDOWS:
        if kind in listed:
            return ["-display", kind]
    raise PagelabError(f"this QEMU cannot open a window (it has none of {', '.join(WINDOWS)}): "
                       "install the package 'qemu-system-gui'")


def _program(machine: Machine, firmware: Firmware, scratch: Path) -> list[str]:
    """How the firmware gets at the loader and its parameters."""
    if not firmware.boots_from_disk:
        return ["-kernel", str(require_loader()), "-append", " ".join(machine.parameters)]
    image = scratch / "pagelab.img"
    config = "".join(f"{word}\n" for word in machine.parameters)
    make_image(image, {"EFI/BOOT/BOOTX64.EFI": require_loader(),
                       "pagelab/pagelab.cfg": config.encode()})
    return ["-drive", f"{UEFI_DISK}{image}", "-device", "virtio-blk-pci,drive=pagelab"]


def _disk(machine: Machine, scratch: Path) -> list[str]:
    """An NVMe disk. Whatever happens to it in the machine, the file stays as it is."""
    if machine.disk is None:
        return []
    path = str(disk_file(machine.disk, scratch)).replace(",", ",,")
    return ["-drive", f"if=none,id=disk,format=raw,snapshot=on,file={path}",
            "-device", "nvme,drive=disk,serial=pagelab"]


def _sockets(scratch: Path) -> list[str]:
    """Where `pagelab screenshot` finds this QEMU."""
    return ["-qmp", f"unix:{scratch / SOCKET},server=on,wait=off"]


def command_line(machine: Machine, firmware: Firmware, scratch: Path) -> list[str]:
    """Everything that QEMU is started with. Later options win over earlier ones, except where the
    user's take the place of ours."""
    qemu = find_qemu()
    cpus = machine.cpus or (1 if machine.exact else 2)
    memory = machine.memory or ("4G" if machine.exact else "1G")
    words = [qemu, "-nodefaults", "-no-user-config", "-machine", "q35",
             *_accelerator(qemu, machine, firmware),
             "-cpu", "max,erms=off" if machine.exact else "max",
             "-m", memory, "-smp", str(cpus),
             "-vga", "std", *_display(qemu, machine), "-monitor", "none", *_sockets(scratch),
             # A reset is an end: it would start the firmware, and the run, once more.
             "-action", "reboot=shutdown", *EXIT_DEVICE]
    if not _gives(machine.extra, "-serial"):
        words += ["-serial", "stdio"]
    if _gives(machine.extra, "-bios", "-pflash"):
        firmware = Firmware(firmware.name, [], firmware.boots_from_disk)
    words += firmware.arguments
    words += _program(machine, firmware, scratch)
    words += _disk(machine, scratch)
    if machine.exact:
        words += EXACT
    return words + machine.extra
