"""A machine under the test's hands: it starts PageLab from its own stick, starts again after a reset, and
its screen can be looked at."""

import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import machine
from pagelab_host.errors import PagelabError
from pagelab_host.qmp import Qmp

START_SECONDS = 60
TEXT_SECONDS = 180
OVMF = "/usr/share/ovmf/OVMF.fd"
PARTITION = "@@1M"


class Computer:
    """`screen` are QEMU's arguments for it."""

    def __init__(self, directory: Path, screen: tuple[str, ...] = ("-vga", "std")) -> None:
        self._screen = screen
        self.stick = directory / "stick.img"
        self.serial = directory / "serial.log"
        self._socket = directory / "qmp"
        self._words: list[str] = []  # what started it
        machine.started.append(self)

    @property
    def report(self) -> str:
        said = machine.tail(self.said) or ["nothing"]
        return "\n".join([shlex.join(self._words), "the serial port's last lines:", *map(repr, said)])

    @property
    def said(self) -> str:
        """All that the serial port has carried."""
        return self.serial.read_bytes().decode(errors="replace") if self.serial.exists() else ""

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
        self._words = [*words, *arguments]
        process = subprocess.Popen(self._words, stdin=subprocess.DEVNULL)
        try:
            with self._connect(process) as qmp:
                yield qmp
        finally:
            process.terminate()
            process.wait()
            self._socket.unlink(missing_ok=True)

    def _connect(self, process: subprocess.Popen[bytes]) -> Qmp:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                return Qmp(self._socket)
            except PagelabError:
                assert process.poll() is None, "QEMU has ended"
                assert time.monotonic() < end, "QEMU's monitor does not answer"
                time.sleep(0.1)

    def wait_for_text(self, *words: str, times: int = 1) -> str:
        """Until the serial port has carried all of it: the firmware's console, then the core's."""
        end = time.monotonic() + TEXT_SECONDS
        while True:
            said = self.said
            if all(said.count(word) >= times for word in words):
                return said
            assert time.monotonic() < end, f"not said within {TEXT_SECONDS} s: {words}"
            time.sleep(0.1)

    def fetch(self, name: str, to: Path) -> bool:
        done = subprocess.run(["mcopy", "-n", "-i", f"{self.stick}{PARTITION}",
                               f"::/pagelab/results/{name}", str(to)], capture_output=True,
                              check=False, env={"MTOOLS_SKIP_CHECK": "1", "PATH": "/usr/bin:/bin"})
        return done.returncode == 0
