"""All CPUs at once, on machines with few and with many of them."""

from collections.abc import Callable

import machine
import pytest

Boot = Callable[..., machine.Booted]
pytestmark = pytest.mark.slow
SCENARIOS = ("shootdown", "fault-parallel", "map-parallel", "unmap-race", "lock-order", "soak")
RUN = "run=floor,framebuffer-switch,lookup," + ",".join(SCENARIOS)
SMALL = ["shootdown.rounds=8", "soak.ops=4000", "map-parallel.pages=64", "lock-order.rounds=8",
         "framebuffer-switch.mappings=2", "lookup.regions=10"]


@pytest.mark.parametrize("cpus", [2, pytest.param(8, marks=pytest.mark.alone)])
def test_scenarios_of_several_cpus(boot: Boot, cpus: int) -> None:
    run = boot(RUN, *SMALL, "check=debug", "--cpus", str(cpus), "--memory", "512M")
    assert run.status == 0, run
    stream = run.stream()
    assert stream.counts == (len(SCENARIOS) + 3, 0, 0)
    rows = run.rows("timings")
    for count in (1, 2, 4, 8):
        for mode in ("own", "region", "table"):
            wanted = [row for row in rows if row["metric"] == "fault.parallel" and
                      f"mode={mode} workers={count}" == row["params"]]
            assert [row["cpus"] for row in wanted] == ([str(count)] if count <= cpus else [])
    ipi = [row for row in rows if row["metric"] == "floor.ipi"]
    assert len(ipi) == (cpus > 1)


@pytest.mark.alone
@pytest.mark.parametrize("cpus", [64])
def test_shootdown_of_many_cpus(boot: Boot, cpus: int) -> None:
    """Each round has a dozen barriers of all CPUs."""
    run = boot("run=floor,shootdown", f"shootdown.workers={cpus}", "shootdown.rounds=2",
               "--cpus", str(cpus), "--memory", "1G", "--silence", "400")
    assert run.status == 0, run
    assert run.stream().counts == (2, 0, 0)
    assert run.meta["cpus_up"] == str(cpus)
