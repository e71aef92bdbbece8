"""Every scenario on the machines that differ most in what lies under the core: page tables of five
levels, and another firmware. (The default machine, with four levels and OVMF: test_default_run.py.)"""

from collections.abc import Callable

import machine
import pytest

Boot = Callable[..., machine.Booted]
# What takes minutes in software only takes longer for being large.
SMALL = [*(f"{name}.regions=10,1000" for name in ("lookup", "map-among", "place-fragmented")),
         "teardown.regions=10000", "punch.pages=4096", "fork-huge.pages=16384",
         "fork-cow.pages=256", "aslr.spaces=2000", "tables.slots=2000",
         "pressure-soak.rounds=20", "--memory", "512M", "--disk", "64M"]
MACHINES = {
    "five levels": ["paging=5", *SMALL, "--", "-cpu", "max,la57=on"],
    "U-Boot": [*SMALL, "--firmware", "uboot"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MACHINES)
def test_every_scenario(boot: Boot, name: str) -> None:
    run = boot(*MACHINES[name])
    assert run.status == 0, run
    stream = run.stream()
    shipped = sorted(path.stem for path in (machine.ROOT / "scenarios").glob("*.scn"))
    assert sorted(result.name for result in stream.results) == shipped
    assert stream.counts == (len(shipped), 0, 0), "passed, failed, skipped"
    assert run.meta["paging_levels"] == ("5" if name == "five levels" else "4")
    started = [row["n"] for row in run.rows("timings") if row["metric"] == "ap.start"]
    assert started == ["1"], "one sample for each CPU but the first"
