"""`tools/make-image`: a disk image for a USB stick or a virtual machine."""

import argparse
import sys
from pathlib import Path

from .disk import Content, make_image
from .errors import EXIT_USAGE, PagelabError
from .paths import LOADER, shown

BOOT_FILE = "EFI/BOOT/BOOTX64.EFI"
CONFIG = "pagelab/pagelab.cfg"
SCENARIOS = "pagelab/scenarios"

CONFIG_TEXT = b"""\
# PageLab's boot parameters, one a line. A line that starts with # does nothing.
# Without any, PageLab shows its menu and runs everything after 30 seconds.
#run=all
#timeout=30
#cpus=all
#serial=auto
#on-exit=poweroff
"""
README_TEXT = b"""\
PageLab, a laboratory for virtual memory.\r
\r
pagelab\\pagelab.cfg   boot parameters\r
pagelab\\scenarios\\    your own scenarios: NAME.scn, checked at start, shown in the menu\r
pagelab\\ramdisk.img   what RAM disks of scenarios begin with, if it is there\r
"""

DESCRIPTION = """\
Makes a GPT disk image with one FAT32 EFI system partition that starts PageLab on any UEFI PC.
The same files give the same image. Neither root nor loop devices are needed.

Write it to a USB stick (everything on the stick is lost; /dev/sdX is the whole stick):

    sudo dd if=IMAGE of=/dev/sdX bs=4M conv=fsync
"""
FILE_HELP = ("what else goes into the image: NAME.scn goes to \\pagelab\\scenarios\\, "
             "NAME.cfg becomes \\pagelab\\pagelab.cfg, DEST=SOURCE puts SOURCE at DEST")


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(prog="make-image", description=DESCRIPTION,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="OUT", help="the image to write")
    parser.add_argument("files", metavar="FILE", nargs="*", help=FILE_HELP)
    parser.add_argument("--bare", action="store_true",
                        help="put in nothing but the FILEs: no boot file, no \\pagelab")
    parser.add_argument("--size", type=int, default=64, metavar="MIB",
                        help="size of the image in MiB (default 64, at least 40)")
    return parser.parse_args(arguments)


def destination(word: str) -> tuple[str, Path]:
    """Where in the image a FILE argument goes."""
    name, equals, source = word.partition("=")
    if equals:
        return name.replace("\\", "/").strip("/"), Path(source)
    path = Path(word)
    if path.suffix == ".scn":
        return f"{SCENARIOS}/{path.name}", path
    if path.suffix == ".cfg":
        return CONFIG, path
    raise PagelabError(f"'{word}': neither a .scn nor a .cfg file; say where it goes: "
                       f"DEST={word}")


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    try:
        if options.size < 40:
            raise PagelabError("--size: FAT32 needs at least 40 MiB")
        files: dict[str, Content] = {}
        if not options.bare:
            if not LOADER.is_file():
                raise PagelabError(f"{shown(LOADER)} is missing: run `make` first")
            files |= {BOOT_FILE: LOADER, CONFIG: CONFIG_TEXT,
                      f"{SCENARIOS}/README.TXT": README_TEXT}
        files |= dict(destination(word) for word in options.files)
        make_image(Path(options.out), files, options.size)
    except PagelabError as error:
        print(f"make-image: {error}", file=sys.stderr)
        return EXIT_USAGE
    return 0
