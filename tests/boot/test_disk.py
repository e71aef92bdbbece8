"""Reading from QEMU's NVMe disk: what reading ahead is worth."""

from collections.abc import Callable

import machine
import pytest

Boot = Callable[..., machine.Booted]


@pytest.mark.parametrize("words", [[], ["policy.map_around=16"]], ids=["alone", "around"])
def test_who_reads_in_order_waits_a_quarter_as_often(boot: Boot, words: list[str]) -> None:
    """It is the waiting that costs (docs/measuring.md has what it came to): how long a wait takes depends on
    what else the host does, how many there are does not."""
    run = boot("run=disk-fault", "--disk", "16M", *words)
    assert run.status == 0, run
    assert 0 < run.median("wait.sequential") <= run.median("wait.random") / 4
    assert run.median("read.sequential") > 0 and run.median("read.random") > 0
