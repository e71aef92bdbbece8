"""The machines that PageLab must start on."""

from collections.abc import Callable
from pathlib import Path

import machine
import pytest

Boot = Callable[..., machine.Booted]
GIB = 1 << 30
QUICK = "run=null,fault-anon,fork-cow"
SMALL = "fork-cow.pages=256"


def assert_good(run: machine.Booted, cpus: int) -> None:
    assert run.status == 0, run
    stream = run.stream()
    assert stream.counts == (3, 0, 0)
    assert (stream.meta["cpu_count"], stream.meta["cpus_up"]) == (str(cpus), str(cpus))


def test_one_cpu_on_pc_without_a_screen(boot: Boot) -> None:
    run = boot(QUICK, SMALL, "--cpus", "1", "--", "-machine", "pc", "-vga", "none")
    assert_good(run, 1)
    assert run.meta["framebuffer"] in ("", "none")


def test_pc_with_128_mib(boot: Boot) -> None:
    run = boot(*machine.SMALL, "--memory", "128M", "--", "-machine", "pc")
    assert run.status == 0, run
    stream = run.stream()
    assert 64 << 20 < int(stream.meta["memory_total"]) <= 128 << 20
    assert stream.counts[0] >= 30 and stream.counts[1] == 0, "most need no more"


def test_q35_without_a_screen(boot: Boot) -> None:
    assert_good(boot(QUICK, SMALL, "--", "-vga", "none"), 2)


def test_without_serial_port(boot: Boot) -> None:
    run = boot(QUICK, SMALL, "--", "-serial", "none")
    assert run.status == 0, run


def test_without_serial_port_a_failure_is_a_status(boot: Boot) -> None:
    assert boot("run=nul", "--", "-serial", "none").status == 3


def test_uboot(boot: Boot) -> None:
    """It starts the loader with SSE off, and hands over a Linux command line as load options."""
    run = boot(QUICK, SMALL, "--firmware", "uboot")
    assert_good(run, 2)
    assert "load options are ignored" in run.console
    assert "U-Boot" in run.meta["firmware_vendor"]


@pytest.mark.alone
def test_64_cpus(boot: Boot) -> None:
    assert_good(boot(QUICK, SMALL, "--cpus", "64", "--memory", "1G"), 64)


@pytest.mark.parametrize(("machine_type", "block"), [("q35", 512), ("pc", 4096)])
def test_disk(boot: Boot, tmp_path: Path, machine_type: str, block: int) -> None:
    """By memory on q35, by ports on pc, which has no MCFG; on a bus behind a bridge, and not."""
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(2 << 20))
    words = ["-drive", f"if=none,id=other,format=raw,file={image}"]
    device = f"nvme,drive=other,serial=1,logical_block_size={block},physical_block_size={block}"
    if machine_type == "q35":
        words += ["-device", "pcie-root-port,id=below,chassis=1", "-device", f"{device},bus=below"]
    else:
        words += ["-device", device]
    run = boot("run=null", "--", "-machine", machine_type, *words)
    assert run.status == 0, run
    assert f"2 MiB in blocks of {block} bytes, read-only" in run.console
    assert run.meta["disk"].endswith(f"size={2 << 20} block={block}")


def test_files_come_from_the_disk(boot: Boot) -> None:
    """All bytes that are read are those of the pattern that `--disk SIZE` makes."""
    run = boot("run=disk-fault,fault-file", "check=deep", "--disk", "8M")
    assert run.status == 0, run
    assert run.stream().counts == (2, 0, 0)
    assert "the disk has PageLab's pattern, and all of it was right" in run.console
    assert run.meta["disk"].endswith(f"size={8 << 20} block=512")


def test_without_a_disk(boot: Boot) -> None:
    run = boot("run=disk-fault")
    assert run.status == 0, run
    assert run.stream().counts == (0, 0, 1)
    assert run.meta["disk"] == "none"


def test_cpus_limits_the_cpus(boot: Boot) -> None:
    run = boot("run=null", "cpus=2", "--cpus", "4")
    assert run.status == 0, run
    assert (run.meta["cpu_count"], run.meta["cpus_up"]) == ("4", "2")


def with_scenario(tmp_path_factory: pytest.TempPathFactory, name: str) -> list[str]:
    """QEMU arguments for a stick with one scenario of these tests on it."""
    image = tmp_path_factory.mktemp("stick") / "stick.img"
    machine.make_image(image, {f"pagelab/scenarios/{name}.scn": machine.SCENARIOS / f"{name}.scn"})
    return machine.drive(image)


@pytest.mark.slow
def test_8_cpus_and_memory_above_4_gib(boot: Boot, tmp_path_factory: pytest.TempPathFactory
                                       ) -> None:
    """q35 has 2 GiB below 4 GiB: a region of 4 GiB cannot do without what lies above."""
    run = boot("run=null,high-memory", "--cpus", "8", "--memory", "6G", "--",
               *with_scenario(tmp_path_factory, "high-memory"))
    assert run.status == 0, run
    assert run.stream().counts == (2, 0, 0)
    assert run.meta["cpus_up"] == "8"
    assert 5.9 * GIB < int(run.meta["memory_total"]) <= 6 * GIB


def test_16_cpus_and_16_gib(boot: Boot) -> None:
    run = boot("run=null", "--cpus", "16", "--memory", "16G")
    assert run.status == 0, run
    assert run.meta["cpus_up"] == "16"
    assert 15.9 * GIB < int(run.meta["memory_total"]) <= 16 * GIB


@pytest.mark.slow
def test_parent_of_1_gib_forks_on_3_gib(boot: Boot, tmp_path_factory: pytest.TempPathFactory
                                        ) -> None:
    run = boot("run=fork-1g", "--memory", "3G", "--", *with_scenario(tmp_path_factory, "fork-1g"))
    assert run.status == 0, run
    assert run.stream().counts == (1, 0, 0)
    assert run.median("fork.latency") > 0
