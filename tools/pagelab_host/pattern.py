"""Disks for a machine: a file that is there, or one full of the pattern that PageLab can verify, which is
splitmix64(offset / 8) in every 8 bytes (core/block.h)."""

import re
from array import array
from pathlib import Path

from .errors import PagelabError

# Many words are worked on at once: each has 128 bits of one large number, so that the product of a
# word and a constant does not reach its neighbour.
LANES = 1 << 14
CHUNK_BYTES = 8 * LANES
WORD = (1 << 64) - 1
SUFFIXES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
SECTOR_BYTES = 512
SIZE_MAX = 64 << 30


def _in_all_lanes(value: int) -> int:
    return int.from_bytes(value.to_bytes(16, "little") * LANES, "little")


_WORDS = _in_all_lanes(WORD)
_GAMMA = _in_all_lanes(0x9e3779b97f4a7c15)
_BELOW = {shift: _in_all_lanes(WORD >> shift) for shift in (30, 27, 31)}


def pattern_chunk(first: int) -> bytes:
    """LANES words: splitmix64 of first, first + 1, ..."""
    lanes = array("Q", bytes(16 * LANES))
    lanes[::2] = array("Q", range(first, first + LANES))
    value = (int.from_bytes(lanes.tobytes(), "little") + _GAMMA) & _WORDS
    value = ((value ^ (value >> 30 & _BELOW[30])) * 0xbf58476d1ce4e5b9) & _WORDS
    value = ((value ^ (value >> 27 & _BELOW[27])) * 0x94d049bb133111eb) & _WORDS
    value ^= value >> 31 & _BELOW[31]
    return array("Q", value.to_bytes(16 * LANES, "little"))[::2].tobytes()


def write_pattern(path: Path, size_bytes: int) -> None:
    with path.open("wb") as file:
        for start in range(0, size_bytes, CHUNK_BYTES):
            file.write(pattern_chunk(start // 8)[:size_bytes - start])


def disk_file(given: str, scratch: Path) -> Path:
    """The file behind `--disk`: the one that is named, or a pattern of that size."""
    path = Path(given)
    size = re.fullmatch(r"(\d{1,12})([KMG]?)", given)
    if path.is_file() or path.is_block_device():
        return path
    if size is None:
        raise PagelabError(f"--disk {given}: no such file, and no size like 64M")
    size_bytes = int(size[1]) * SUFFIXES[size[2]]
    if size_bytes == 0 or size_bytes % SECTOR_BYTES != 0 or size_bytes > SIZE_MAX:
        raise PagelabError(f"--disk {given}: a disk has 512 bytes to 64G, in blocks of 512 bytes")
    path = scratch / "disk.img"
    write_pattern(path, size_bytes)
    return path
