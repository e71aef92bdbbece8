"""The ways in which boot parameters reach PageLab, and what it says about bad ones."""

from collections.abc import Callable
from pathlib import Path

import machine

Boot = Callable[..., machine.Booted]
SCENARIO = machine.SCENARIOS / "hello.scn"


def names(run: machine.Booted) -> list[str]:
    return [result.name for result in run.stream().results]


def test_append(boot: Boot) -> None:
    """What `-append` hands over; the later word wins."""
    run = boot("run=floor", "run=null", "seed=1234")
    assert run.status == 0, run
    assert names(run) == ["null"]
    assert run.meta["seed"] == "1234"


def test_config_file(tmp_path: Path) -> None:
    """A stick as `make image` makes it, with a pagelab.cfg: the firmware hands nothing over."""
    image = tmp_path / "stick.img"
    config = b"# a comment\r\nrun=null,hello\r\n\r\non-exit=qemu\r\nhello.pages=16\r\n"
    machine.make_image(image, {"EFI/BOOT/BOOTX64.EFI": machine.LOADER,
                               "pagelab/pagelab.cfg": config,
                               "pagelab/scenarios/hello.scn": SCENARIO})
    run = machine.boot_by_hand(tmp_path / "run", *machine.drive(image))
    assert run.status == 0, run
    assert sorted(names(run)) == ["hello", "null"]
    assert run.median("hello.write", pages=16) > 0


def test_uefi_shell(tmp_path: Path) -> None:
    """The shell passes the program's own name first. Its words win over the file's."""
    image = tmp_path / "stick.img"
    machine.make_image(image, {"lab.efi": machine.LOADER, "pagelab/pagelab.cfg": b"run=floor\n",
                               "startup.nsh": b"fs0:\r\nlab.efi run=null on-exit=qemu\r\n"})
    run = machine.boot_by_hand(tmp_path / "run", *machine.drive(image))
    assert run.status == 0, run
    assert names(run) == ["null"]


def test_foreign_load_options(tmp_path: Path) -> None:
    """A Linux command line is somebody else's: ignored, with a log line; the file holds."""
    image = tmp_path / "stick.img"
    machine.make_image(image, {"pagelab/pagelab.cfg": b"run=null on-exit=qemu\n"})
    run = machine.boot_by_hand(tmp_path / "run", *machine.drive(image), "-kernel",
                               str(machine.LOADER), "-append", "root=/dev/vda1 console=tty0 quiet")
    assert run.status == 0, run
    assert names(run) == ["null"]
    assert "load options are ignored" in run.console


def test_unknown_parameter(boot: Boot) -> None:
    run = boot("run=null", "sed=5")
    assert run.status == 3, run
    assert "unknown boot parameter 'sed=5'" in run.console and "seed=" in run.console
    assert run.stream().results == []


def test_unknown_scenario(boot: Boot) -> None:
    run = boot("run=fork-cov")
    assert run.status == 3, run
    assert "fork-cov" in run.console and "fork-cow" in run.console
