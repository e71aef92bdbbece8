"""Page tables of four and five levels, whatever the firmware has."""

from collections.abc import Callable

import machine
import pytest

Boot = Callable[..., machine.Booted]
QUICK = ["run=null,fault-anon,fault-denied,fork-cow", "fork-cow.pages=256"]
LA57 = ["--", "-cpu", "max,la57=on"]


@pytest.mark.parametrize("cpus", [1, 2, 8])
def test_five(boot: Boot, cpus: int) -> None:
    run = boot(*QUICK, "paging=5", "check=debug", "--cpus", str(cpus), *LA57)
    assert run.status == 0, run
    assert run.stream().counts == (4, 0, 0)
    assert (run.meta["paging_levels"], run.meta["cpus_up"]) == ("5", str(cpus))


def test_five_reach_higher_addresses(boot: Boot, tmp_path_factory: pytest.TempPathFactory) -> None:
    image = tmp_path_factory.mktemp("stick") / "stick.img"
    name = "high-addresses.scn"
    machine.make_image(image, {f"pagelab/scenarios/{name}": machine.SCENARIOS / name})
    run = boot("run=high-addresses", "paging=5", *LA57, *machine.drive(image))
    assert run.status == 0, run


@pytest.mark.parametrize("paging", ["4", "auto"])
def test_four_as_firmware_has_it(boot: Boot, paging: str) -> None:
    run = boot("run=null", f"paging={paging}", *LA57)
    assert run.status == 0, run
    assert run.meta["paging_levels"] == "4"


def test_five_with_uboot(boot: Boot) -> None:
    run = boot(*QUICK, "paging=5", "--firmware", "uboot", *LA57)
    assert run.status == 0, run
    assert run.meta["paging_levels"] == "5"


def test_firmware_can_end_a_run_with_five(boot: Boot) -> None:
    """ResetSystem is called on the core's tables, with five levels."""
    run = boot("run=null", "paging=5", "on-exit=poweroff", *LA57)
    assert run.status == 0, run
    assert "firmware did not switch the power off" not in run.console


def test_without_la57_five_is_refused(boot: Boot) -> None:
    run = boot("run=null", "paging=5", "--", "-cpu", "max,la57=off")
    assert run.status == 3, run
    complaint = next(line for line in run.console.splitlines() if "paging=5" in line)
    assert "LA57" in complaint and "use paging=4 or paging=auto" in complaint
    assert run.stream().counts == (0, 0, 0)
