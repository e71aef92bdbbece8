"""A machine under the test's hands: it starts PageLab from its own stick, starts again after a reset, and
its screen can be looked at."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import machine
from pagelab_host.qmp import Qmp

TEXT_SECONDS = 90
OVMF = "/usr/share/ovmf/OVMF.fd"
PARTITION = "@@1M"


class Computer:
    """`screen` are QEMU's arguments for it."""

    def __init__(self, directory: Path, screen: tuple[str, ...] = ("-vga", "std")) -> None:
        self._screen = screen
        self.stick = directory / "stick.img"
        self.serial = directory / "serial.log"
        self._socket = directory / "qmp"

    def write_stick(self, config: str, files: dict[str, Path | bytes] | None = None) -> None:
        """`files` are below \\pagelab."""
        content: dict[str, Path | bytes] = {
            "EFI/BOOT/BOOTX64.EFI": machine.LOADER, "pagelab/pagelab.cfg": config.encode()}
        machine.make_image(self.stick, content | {f"pagelab/{name}": data
                                                  for name, data in (files or {}).items()})

    @contextmanager
    def on(self, *arguments: str) -> Iterator[Qmp]:
        words = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-machine", "q35", "-accel",
                 "tcg", "-cpu", "max", "-m", "512M", "-smp", "2", *self._screen, "-display", "none",
                 "-bios", OVMF, "-serial", f"file:{self.serial}",
                 "-qmp", f"unix:{self._socket},server=on,wait=off", *machine.drive(self.stick)]
        process = subprocess.Popen([*words, *arguments], stdin=subprocess.DEVNULL)
        try:
            while not self._socket.exists():
                time.sleep(0.1)
            with Qmp(self._socket) as qmp:
                yield qmp
        finally:
            process.terminate()
            process.wait()
            self._socket.unlink(missing_ok=True)

    def wait_for_text(self, *words: str) -> str:
        """Until the serial port has carried all of it: the firmware's console, then the core's."""
        end = time.monotonic() + TEXT_SECONDS
        while True:
            said = self.serial.read_bytes().decode(errors="replace") if self.serial.exists() else ""
            if all(word in said for word in words):
                return said
            assert time.monotonic() < end, said[-3000:]
            time.sleep(0.5)

    def fetch(self, name: str, to: Path) -> bool:
        done = subprocess.run(["mcopy", "-n", "-i", f"{self.stick}{PARTITION}",
                               f"::/pagelab/results/{name}", str(to)], capture_output=True,
                              check=False, env={"MTOOLS_SKIP_CHECK": "1", "PATH": "/usr/bin:/bin"})
        return done.returncode == 0
