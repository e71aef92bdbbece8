"""RAM disks that begin with \\pagelab\\ramdisk.img of the boot volume."""

from collections.abc import Callable
from pathlib import Path

import machine
from pagelab_host.pattern import LANES, pattern_chunk

Boot = Callable[..., machine.Booted]
MIB = 1 << 20
IMAGE_BYTES = 5 * MIB + 3 * 4096 + 1000
PATTERN = 1 << 40


def image_bytes() -> bytes:
    """What `fill pattern=1T` writes."""
    words = range(PATTERN, PATTERN + IMAGE_BYTES // 8 + 1, LANES)
    return b"".join(pattern_chunk(first) for first in words)[:IMAGE_BYTES]


def stick(directory: Path, image: Path | bytes, size_mib: int = 64) -> list[str]:
    machine.make_image(directory / "stick.img", {
        "pagelab/scenarios/ramdisk.scn": machine.SCENARIOS / "ramdisk.scn",
        "pagelab/ramdisk.img": image}, size_mib)
    return machine.drive(directory / "stick.img")


def test_every_byte_comes_through(boot: Boot, tmp_path: Path) -> None:
    """And the scenarios that are shipped do not take it for content of PageLab's own."""
    run = boot("run=ramdisk,fault-file,oom-reclaim", f"ramdisk.image={IMAGE_BYTES}", "--memory", "512M",
               "--", *stick(tmp_path, image_bytes()))
    assert run.status == 0, run
    assert run.stream().counts == (3, 0, 0)
    assert f"RAM disk: \\pagelab\\ramdisk.img, {IMAGE_BYTES} bytes" in run.console


def test_an_image_that_is_too_large(boot: Boot, tmp_path: Path) -> None:
    image = tmp_path / "large"
    with image.open("wb") as file:
        file.truncate(100 * MIB)
    run = boot("run=null,fault-file", "--memory", "192M", "--", *stick(tmp_path, image, 160))
    assert run.status == 0, run
    assert run.stream().counts == (2, 0, 0), "without it the run goes on"
    assert "\\pagelab\\ramdisk.img is too large and is ignored: it has 102400 KiB, and " in run.console
