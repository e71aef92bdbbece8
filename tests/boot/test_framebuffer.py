"""The screen changes hands: who owns it is all that is on it."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import machine
import pytest
from computer import Computer
from pagelab_host.qmp import Qmp

SCREENS = {"std": ("-vga", "std"), "virtio": ("-vga", "virtio"),
           "ramfb": ("-vga", "none", "-device", "ramfb")}
# Of tests/boot/scenarios/screen-owner.scn: what it paints, and how often.
FIRST, SECOND = (255, 0, 255), (0, 255, 0)
SCREEN_ROUNDS = 40


def colours(path: Path) -> dict[tuple[int, int, int], int]:
    """How many pixels of a PNG have each colour: 8 bits a channel, not interlaced."""
    data, at, packed = path.read_bytes(), 8, b""
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IHDR":
            width, height, depth, style = struct.unpack_from(">IIBB", data, at + 8)
        elif kind == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += length + 12
    assert depth == 8 and style == 2
    raw, stride = zlib.decompress(packed), width * 3
    before, counts = bytes(stride), {}
    for y in range(height):
        start = y * (stride + 1)
        line = unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + stride]), before)
        for x in range(0, stride, 3):
            pixel = (line[x], line[x + 1], line[x + 2])
            counts[pixel] = counts.get(pixel, 0) + 1
        before = line
    return counts


def unfiltered(kind: int, line: bytearray, before: bytes) -> bytes:
    """One row as it was before its filter (PNG specification, 9.2)."""
    for i in range(len(line) if kind else 0):
        left, up = line[i - 3] if i >= 3 else 0, before[i]
        corner = before[i - 3] if i >= 3 else 0
        if kind == 4:
            guess = left + up - corner
            near = min((abs(guess - left), 0, left), (abs(guess - up), 1, up),
                       (abs(guess - corner), 2, corner))
            line[i] = (line[i] + near[2]) & 0xFF
        else:
            line[i] = (line[i] + (left, up, (left + up) // 2)[kind - 1]) & 0xFF
    return bytes(line)


def seen_when(computer: Computer, qmp: Qmp, step: str, picture: Path) -> dict[tuple[int, int, int], int]:
    """What the screen shows while this step is the last thing that was said. Whoever comes too late for it
    waits until it comes again."""
    end = f": {step}\r\n"
    for times in range(1, SCREEN_ROUNDS):
        computer.wait_for_text(end, times=times)
        qmp.do("stop")
        is_now = computer.said.endswith(end)
        if is_now:
            qmp.screenshot(picture)
        qmp.do("cont")
        if is_now:
            return colours(picture)
    raise AssertionError(f"never stopped at '{step}'")


@pytest.mark.parametrize("screen", SCREENS)
def test_only_the_owner_is_seen(tmp_path: Path, screen: str) -> None:
    computer = Computer(tmp_path, SCREENS[screen])
    computer.write_stick("run=screen-owner on-exit=halt timeout=1",
                         {"scenarios/screen-owner.scn": machine.SCENARIOS / "screen-owner.scn"})
    with computer.on() as qmp:
        graphics, text, again = (seen_when(computer, qmp, step, tmp_path / "screen.png")
                                 for step in ("now: graphics", "now: text", "now: graphics again"))
    assert set(graphics) == {FIRST}
    assert FIRST not in text and SECOND not in text and len(text) > 3
    assert set(again) == {SECOND}


@pytest.mark.parametrize("screen", [*SCREENS, "none"])
def test_on_every_screen(boot: Callable[..., machine.Booted], screen: str) -> None:
    """Without a screen it is the stand-in. That one entry maps 2 MiB, where the screen has them, is seen by
    the scenario itself, which counts the page tables."""
    extra = SCREENS.get(screen, ("-vga", "none"))
    run = boot("run=framebuffer-switch,framebuffer-matrix", "framebuffer-switch.mappings=16",
               "framebuffer-matrix.size=64K", "check=deep", "--", *extra)
    assert run.status == 0, run
    assert run.stream().counts == (2, 0, 0)
    assert (run.meta["framebuffer"] == "none") == (screen == "none")
    assert run.median("switch.to_text", mappings=16, workers=1) > 0
    for cache in ("uc", "wc", "wb"):
        for metric in ("fb.remap", "fb.write"):
            assert min(run.median(metric, cache=cache, page_size=size) for size in (4096, 2**21)) > 0
