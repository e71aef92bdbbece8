"""Makes disk images with a GPT and one EFI system partition, byte for byte the same for the same
files. Needs sgdisk and mtools, but no root and no loop devices."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .errors import PagelabError

MIB = 1 << 20
PARTITION_START = MIB
TAIL_BYTES = MIB  # the second GPT
SECTOR_BYTES = 512
# Fixed, so that images are reproducible.
DISK_GUID = "7061676C-6162-4D69-8000-000000000001"
PARTITION_GUID = "7061676C-6162-4D69-8000-000000000002"
VOLUME_SERIAL = "50414745"
VOLUME_LABEL = "PAGELAB"
SOURCE_DATE_EPOCH = "1577836800"  # 2020-01-01

Content = Path | bytes


def _run(arguments: list[str]) -> None:
    if shutil.which(arguments[0]) is None:
        package = "gdisk" if arguments[0] == "sgdisk" else "mtools"
        raise PagelabError(f"{arguments[0]} is not installed: install the package '{package}' "
                           "(`make deps`)")
    environment = os.environ | {
        "MTOOLS_SKIP_CHECK": "1", "MTOOLSRC": os.devnull, "TZ": "UTC",
        "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH)}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PagelabError(f"`{' '.join(arguments)}` failed:\n"
                           f"{(done.stdout + done.stderr).strip()}")


def _directories(names: list[str]) -> list[str]:
    """Every directory that the files need, parents first."""
    parents = {str(parent) for name in names for parent in Path(name).parents}
    return sorted(parents - {"."})


def _copy(volume: str, files: dict[str, Content], scratch: Path) -> None:
    directories = _directories(list(files))
    if directories:
        _run(["mmd", "-i", volume, *(f"::{directory}" for directory in directories)])
    for index, (name, content) in enumerate(sorted(files.items())):
        if isinstance(content, bytes):
            source = scratch / str(index)
            source.write_bytes(content)
        else:
            source = content
            if not source.is_file():
                raise PagelabError(f"no file '{source}' to put into the image")
        _run(["mcopy", "-i", volume, str(source), f"::{name}"])


def make_image(path: Path, files: dict[str, Content], size_mib: int = 64) -> None:
    """Writes the image. `files` maps names in the volume ('EFI/BOOT/BOOTX64.EFI') to a file or its
    bytes; a name's directories are made. FAT32, so `size_mib` is at least 40."""
    with tempfile.TemporaryDirectory(prefix="pagelab-image-") as scratch_name:
        scratch = Path(scratch_name)
        image = scratch / "image"
        with image.open("wb") as file:
            file.truncate(size_mib * MIB)
        _run(["sgdisk", "--clear", f"--disk-guid={DISK_GUID}",
              f"--new=1:{PARTITION_START // SECTOR_BYTES}:"
              f"{(size_mib * MIB - TAIL_BYTES) // SECTOR_BYTES - 1}",
              "--typecode=1:EF00", "--change-name=1:PageLab",
              f"--partition-guid=1:{PARTITION_GUID}", str(image)])
        volume = f"{image}@@{PARTITION_START}"
        sectors = (size_mib * MIB - PARTITION_START - TAIL_BYTES) // SECTOR_BYTES
        _run(["mformat", "-i", volume, "-F", "-c", "1", "-T", str(sectors), "-h", "64", "-s", "32",
              "-H", str(PARTITION_START // SECTOR_BYTES),
              "-N", VOLUME_SERIAL, "-v", VOLUME_LABEL, "::"])
        _copy(volume, files, scratch)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(image, path)
        except OSError as error:
            raise PagelabError(f"cannot write '{path}': {error.strerror}") from error
