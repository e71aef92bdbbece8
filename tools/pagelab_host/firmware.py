"""Finds the firmware that QEMU starts, and says how to hand it over."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from .errors import PagelabError

# Code and variables in one file: nothing is kept between runs.
OVMF_WHOLE = (
    "/usr/share/ovmf/OVMF.fd",
    "/usr/share/qemu/OVMF.fd",
    "/usr/share/edk2/x64/OVMF.4m.fd",
    "/usr/share/edk2-ovmf/x64/OVMF.fd",
)
# Code, and a template of the variables.
OVMF_PAIRS = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
)
UBOOT = "/usr/lib/u-boot/qemu-x86_64/u-boot.rom"


@dataclass
class Firmware:
    """`arguments` start it. With `boots_from_disk` it takes no -kernel, only a disk."""

    name: str
    arguments: list[str]
    boots_from_disk: bool = False


def _pflash(code: Path, variables: Path, scratch: Path) -> list[str]:
    copy = scratch / "OVMF_VARS.fd"
    shutil.copyfile(variables, copy)
    return ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}",
            "-drive", f"if=pflash,format=raw,unit=1,file={copy}"]


def _ovmf(scratch: Path) -> Firmware:
    for whole in OVMF_WHOLE:
        if Path(whole).is_file():
            return Firmware("OVMF", ["-bios", whole])
    for code, variables in OVMF_PAIRS:
        if Path(code).is_file() and Path(variables).is_file():
            return Firmware("OVMF", _pflash(Path(code), Path(variables), scratch))
    raise PagelabError("no OVMF firmware found: install the package 'ovmf' (`make deps`), or name "
                       "a file with --firmware FILE")


def _file(path: Path, scratch: Path) -> Firmware:
    if not path.is_file():
        raise PagelabError(f"no firmware file '{path}'; --firmware takes ovmf, uboot or a file")
    variables = path.with_name(path.name.replace("CODE", "VARS"))
    if variables != path and variables.is_file():
        return Firmware(path.name, _pflash(path, variables, scratch))
    return Firmware(path.name, ["-bios", str(path)])


def find(choice: str, scratch: Path) -> Firmware:
    """`choice` is 'ovmf', 'uboot' or a file. Private copies go to `scratch`."""
    if choice == "ovmf":
        return _ovmf(scratch)
    if choice != "uboot":
        return _file(Path(choice), scratch)
    if not Path(UBOOT).is_file():
        raise PagelabError(f"no U-Boot at {UBOOT}: install the package 'u-boot-qemu' (`make deps`)")
    return Firmware("U-Boot", ["-machine", "pc", "-bios", UBOOT], boots_from_disk=True)
