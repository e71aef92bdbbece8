"""A source tree in which QEMU only pretends."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import fake_stream

ROOT = Path(__file__).resolve().parents[2]


class Tree:
    """A source tree with the host command in it, and a QEMU that only pretends: it prints
    `stream` and ends with `exit_status`, or does what `script` says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        shutil.copytree(ROOT / "tools", path / "tools",
                        ignore=shutil.ignore_patterns("__pycache__"))
        (path / "build").mkdir()
        (path / "build" / "BOOTX64.EFI").write_bytes(b"MZ")
        (path / "scenarios").mkdir()
        (path / "scenarios" / "fork-cow.scn").write_text('scenario fork-cow "x"\n')
        (path / "firmware.fd").write_bytes(b"firmware")
        (path / "bin").mkdir()
        self.pretend(fake_stream.Stream().whole())

    def pretend(self, stream: bytes, exit_status: int = 33, then: str = "") -> None:
        (self.path / "stream").write_bytes(stream)
        self.pretend_script(f"cat {self.path}/stream\n{then}\nexit {exit_status}")

    def pretend_script(self, script: str) -> None:
        qemu = self.path / "bin" / "qemu-system-x86_64"
        qemu.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {self.path}/arguments\n{script}\n")
        qemu.chmod(qemu.stat().st_mode | stat.S_IXUSR)

    @property
    def qemu_arguments(self) -> list[str]:
        return (self.path / "arguments").read_text().splitlines()

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PATH": f"{self.path}/bin:{os.environ['PATH']}",
                             "XDG_CACHE_HOME": str(self.path / "cache")}

    def pagelab(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        done = subprocess.run([str(self.path / "tools" / "pagelab"), *words], input=stdin,
                              capture_output=True, env=self.environment, cwd=self.path, timeout=180,
                              check=False)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(),
                                           done.stderr.decode())

    def run(self, *words: str, cut: str = "--") -> subprocess.CompletedProcess[str]:
        """`pagelab run` into `out/`, with a firmware that is only a file, and without KVM."""
        before, after = list(words), []
        if cut in before:
            at = before.index(cut)
            before, after = before[:at], before[at + 1:]
        return self.pagelab("run", "--firmware", "firmware.fd", "--out", "out", *before, "--",
                            "-accel", "tcg", *after)
