"""Every scenario on the machine that differs most in what lies under the core: page tables of five levels, and
another firmware. (The default machine, with four levels and OVMF: test_default_run.py.)"""

from collections.abc import Callable

import machine
import pytest

Boot = Callable[..., machine.Booted]


@pytest.mark.slow
def test_every_scenario_with_five_levels_on_uboot(boot: Boot) -> None:
    run = boot("paging=5", *machine.SMALL, "--memory", "512M", "--disk", "64M", "--firmware", "uboot",
               "--", "-cpu", "max,la57=on")
    assert run.status == 0, run
    stream = run.stream()
    shipped = sorted(path.stem for path in (machine.ROOT / "scenarios").glob("*.scn"))
    assert sorted(result.name for result in stream.results) == shipped
    assert stream.counts == (len(shipped), 0, 0), "passed, failed, skipped"
    assert run.meta["paging_levels"] == "5"
    started = [row["n"] for row in run.rows("timings") if row["metric"] == "ap.start"]
    assert started == ["1"], "one sample for each CPU but the first"
