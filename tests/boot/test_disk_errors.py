"""NVMe disks that QEMU makes fail: whoever reads gets `bus` or a clear message, never a hang, never a wrong
byte."""

import random
from collections.abc import Callable
from pathlib import Path

import machine
import pytest
from computer import Computer
from pagelab_host.pattern import write_pattern

Boot = Callable[..., machine.Booted]
BAD_PAGE, ODD_PAGE = 777, 901  # of bad-disk.scn
SECTORS = 8  # of a page
DISK_BYTES = (8 << 20) + 512


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    write_pattern(tmp_path / "disk", DISK_BYTES)
    return tmp_path / "disk"


def stick(directory: Path, name: str) -> list[str]:
    machine.make_image(directory / "stick.img",
                       {f"pagelab/scenarios/{name}.scn": machine.SCENARIOS / f"{name}.scn"})
    return machine.drive(directory / "stick.img")


def failing(disk: Path) -> list[str]:
    """One sector in the middle of a page never reads; another, the first of a page, once."""
    errors = [{"sector": BAD_PAGE * SECTORS + 3}, {"sector": ODD_PAGE * SECTORS, "once": "on"}]
    words = [f"inject-error.{i}.{key}={value}" for i, error in enumerate(errors)
             for key, value in ({"event": "none", "iotype": "read", "errno": 5} | error).items()]
    return ["-blockdev", f"driver=file,node-name=file,filename={disk},read-only=on",
            "-blockdev", ",".join(["driver=blkdebug,node-name=bad,image=file,read-only=on", *words]),
            "-device", "nvme,drive=bad,serial=bad"]


def test_pages_that_cannot_be_read(boot: Boot, tmp_path: Path, disk: Path) -> None:
    """And those beyond the disk's end, which is in the middle of one."""
    run = boot("run=bad-disk", "--memory", "256M", "--", *stick(tmp_path, "bad-disk"), *failing(disk))
    assert run.status == 0, run
    assert run.stream().counts == (1, 0, 0)
    assert "reading 8 blocks at 6216: status 0x281" in run.console
    assert "further failures are not shown" in run.console


def test_a_disk_of_another_content(boot: Boot, tmp_path: Path) -> None:
    """A real machine's disk has no pattern that could be verified."""
    content = tmp_path / "content"
    content.write_bytes(random.Random(1).randbytes(DISK_BYTES))
    run = boot("run=disk-fault", "--disk", str(content), "--memory", "256M")
    assert run.status == 0, run
    assert "the disk has PageLab's pattern" not in run.console


def test_a_disk_that_answers_late_or_never(tmp_path: Path, disk: Path) -> None:
    """It has five seconds; then it is reset, and what it was to read is `bus`."""
    computer = Computer(tmp_path)
    computer.write_stick("run=slow-disk\non-exit=halt\n", {
        "scenarios/slow-disk.scn": machine.SCENARIOS / "slow-disk.scn"})
    drive = f"if=none,id=slow,format=raw,readonly=on,file={disk},throttling.bps-read={1 << 18}"
    with computer.on("-drive", drive, "-device", "nvme,drive=slow,serial=slow") as qmp:
        def throttle(bytes_each_second: int) -> None:
            qmp.do("block_set_io_throttle", device="slow", bps=0, bps_rd=bytes_each_second, bps_wr=0,
                   iops=0, iops_rd=0, iops_wr=0)

        said = computer.wait_for_text("the disk may fall silent")
        assert "no answer in time" not in said
        throttle(64)
        computer.wait_for_text("the disk may speak again")
        throttle(0)
        said = computer.wait_for_text("@pagelab done")
    assert "ok 1 slow-disk" in said.replace("not ok", "NOT OK"), said[-3000:]
    assert "no answer in time" in said and "reset; it answers again" in said
