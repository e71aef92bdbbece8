"""Where things are in the source tree."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOADER = ROOT / "build" / "BOOTX64.EFI"
CHECKER = ROOT / "build" / "pagelab-check"
SCENARIOS = ROOT / "scenarios"
RESULTS = ROOT / "results"


def shown(path: Path) -> str:
    """A path as short as it can be named from where the user stands."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
