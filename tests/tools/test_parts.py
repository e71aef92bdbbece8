"""Small parts of the host command: the KVM probe, firmware, names, progress."""

import io
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pagelab_host import firmware, kvm
from pagelab_host.errors import PagelabError
from pagelab_host.progress import Progress
from pagelab_host.results import run_name
from pagelab_host.stream import Run, ScenarioResult
from pretended import Tree


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A QEMU for the probe; it notes each start in `starts`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(kvm, "PROBE_SECONDS", 1)
    monkeypatch.setattr("os.access", lambda path, mode: True)
    return tmp_path / "qemu"


def pretend(qemu: Path, script: str) -> None:
    qemu.write_text(f"#!/bin/sh\necho x >> {qemu.parent}/starts\n{script}\n")
    qemu.chmod(0o755)


def starts(qemu: Path) -> int:
    return len((qemu.parent / "starts").read_text().splitlines())


@pytest.mark.parametrize(("script", "answer"), [
    ("echo firmware; exec sleep 60", True), ("exit 1", False), ("exec sleep 60", False),
    ("kill -ABRT $$", False)], ids=["boots", "fails", "hangs", "aborts"])
def test_kvm_probe(probe: Path, script: str, answer: bool) -> None:
    pretend(probe, script)
    assert kvm.works(str(probe), ["-bios", "x"]) is answer
    assert kvm.works(str(probe), ["-bios", "x"]) is answer
    assert starts(probe) == 1, "the answer is remembered"
    kvm.works(str(probe), ["-bios", "y"])
    assert starts(probe) == 2, "of the same question only"


def test_kvm_probe_with_a_damaged_cache(probe: Path) -> None:
    pretend(probe, "echo firmware")
    cache = probe.parent / "cache" / "pagelab" / "kvm.json"
    cache.parent.mkdir(parents=True)
    for damage in ("", "[]", '{"key": 1}', "\0"):
        cache.write_text(damage)
        assert kvm.works(str(probe), [])


def test_kvm_without_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert kvm.works(str(tmp_path / "none"), []) is False


def test_firmware_pair_gets_its_own_variables(tmp_path: Path) -> None:
    (tmp_path / "X_CODE.fd").write_bytes(b"code")
    (tmp_path / "X_VARS.fd").write_bytes(b"variables")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = firmware.find(str(tmp_path / "X_CODE.fd"), scratch)
    assert f"file={tmp_path}/X_CODE.fd" in found.arguments[1]
    assert f"file={scratch}/OVMF_VARS.fd" in found.arguments[3]
    assert (scratch / "OVMF_VARS.fd").read_bytes() == b"variables"


def test_no_firmware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware, "OVMF_WHOLE", ())
    monkeypatch.setattr(firmware, "OVMF_PAIRS", ())
    monkeypatch.setattr(firmware, "UBOOT", "/nowhere")
    for choice, package in (("ovmf", "'ovmf'"), ("uboot", "'u-boot-qemu'")):
        with pytest.raises(PagelabError, match=package):
            firmware.find(choice, tmp_path)


def test_uboot_boots_from_a_disk(tree: Tree) -> None:
    """U-Boot hands over no parameters: they are in the disk's pagelab.cfg."""
    if not Path(firmware.UBOOT).is_file():
        pytest.skip("no U-Boot here")
    tree.pretend_script(f'for word; do case "$word" in *file=*) cp "${{word#*file=}}" '
                        f"{tree.path}/disk;; esac; done; cat {tree.path}/stream; exit 33")
    done = tree.run("--firmware", "uboot", "run=null")
    assert done.returncode == 0, done.stderr
    assert "-kernel" not in tree.qemu_arguments
    assert firmware.UBOOT in tree.qemu_arguments
    config = subprocess.run(["mtype", "-i", f"{tree.path}/disk@@1M", "::pagelab/pagelab.cfg"],
                            capture_output=True, check=True).stdout
    assert config == b"on-exit=qemu\nrun=null\n"


def test_run_name() -> None:
    now = datetime(2026, 11, 21, 11, 12, 31, tzinfo=UTC)
    assert run_name([], now) == "20261121-111231"
    assert run_name(["fork-cow,tag:SMP", "exact"], now) == "20261121-111231-fork-cow-tag-smp-exact"
    assert run_name(["../../x" * 50], now).startswith("20261121-111231-x-x-x")
    assert len(run_name(["../../x" * 50], now)) < 60


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal() -> None:
    output = Terminal()
    progress = Progress("OVMF", output)
    run = Run()
    progress.update(run)
    assert output.getvalue() == "\r\x1b[K[0:00] waiting for OVMF"
    run.core_seen, run.plan, run.running = True, 2, "null"
    progress.update(run)
    assert output.getvalue().endswith("[0:00] running scenario 1 of 2: null")
    run.results.append(ScenarioResult(1, "null", "ok"))
    run.running = ""
    progress.update(run)
    assert output.getvalue().endswith("\r\x1b[K[0:00] scenario 1 of 2: null: ok\n"
                                      "\r\x1b[K[0:00] running scenario 2 of 2")
    progress.clear()
    assert output.getvalue().endswith("\r\x1b[K")


def test_progress_elsewhere() -> None:
    output = io.StringIO()
    progress = Progress("OVMF", output)
    run = Run(core_seen=True, plan=1)
    progress.update(run)
    assert output.getvalue() == ""
    run.results.append(ScenarioResult(1, "null", "skip", "SKIP needs cpus>=2"))
    progress.update(run)
    progress.update(run)
    assert output.getvalue() == "[0:00] scenario 1 of 1: null: skip (SKIP needs cpus>=2)\n"
