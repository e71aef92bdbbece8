"""What a new user gets: `tools/pagelab run`; and what `collect` makes of its log, whole and with one byte
changed."""

import re
import subprocess
from pathlib import Path

import machine
import pytest

METRICS = {
    "null": {"harness.empty"},
    "floor": {"floor.gate", "floor.trap", "floor.ring3", "floor.page_clear", "floor.page_copy",
              "floor.invlpg", "floor.root_load"},
    "fault-anon": {"fault.anon"},
    "fault-zero": {"fault.zero_read", "fault.zero_write"},
    "fault-denied": {"fault.denied"},
    "fork-cow": {"fork.latency", "cow.copy", "cow.reuse", "teardown.page"},
    "map-cycle": {"map.create", "map.destroy"},
    "lookup": {"lookup.hit", "lookup.miss"},
}


def test_status(default_run: machine.Booted) -> None:
    assert default_run.status == 0, default_run


def test_stream_is_well_formed(default_run: machine.Booted) -> None:
    stream = default_run.stream()
    assert stream.status == 0
    assert stream.counts[1] == 0


def test_every_scenario_ran(default_run: machine.Booted) -> None:
    names = sorted(path.stem for path in (machine.ROOT / "scenarios").glob("*.scn"))
    assert sorted(result.name for result in default_run.stream().results) == names
    assert set(METRICS) <= set(names)


@pytest.mark.parametrize("scenario", METRICS)
def test_metrics(default_run: machine.Booted, scenario: str) -> None:
    found = {row["metric"] for row in default_run.rows("timings") if row["scenario"] == scenario}
    assert METRICS[scenario] <= found


def test_tables_agree_with_the_stream(default_run: machine.Booted) -> None:
    rows = default_run.stream().rows
    for table in ("meta", "timings", "counters"):
        assert default_run.rows(table) == rows[table]


def test_parameters_of_fork_cow(default_run: machine.Booted) -> None:
    params = {row["params"] for row in default_run.rows("timings")
              if (row["scenario"], row["metric"]) == ("fork-cow", "fork.latency")}
    assert params == {"pages=256", "pages=4096", "pages=16384"}


def test_counters_of_fork_cow(default_run: machine.Booted) -> None:
    """A round copies each page three times at most; the warm-up rounds count as well."""
    copies = [int(row["value"]) for row in default_run.rows("counters")
              if (row["params"], row["counter"]) == ("pages=256", "fault.cow_copy")]
    assert len(copies) == 1
    assert copies[0] > 0 and copies[0] % 256 == 0


def test_meta(default_run: machine.Booted) -> None:
    meta = default_run.meta
    assert (meta["cpu_count"], meta["cpus_up"]) == ("2", "2")
    assert 900 << 20 < int(meta["memory_total"]) <= 1 << 30
    assert 0 < int(meta["memory_usable"]) <= int(meta["memory_total"])
    assert int(meta["tsc_hz"]) > 10**8
    assert meta["paging_levels"] == "4"
    assert "run=all" in meta["boot_params"]
    assert meta["framebuffer"] not in ("", "none")
    assert int(meta["seed"]) >= 0


def test_summary(default_run: machine.Booted) -> None:
    assert re.search(r"^fork-cow +pages=256 +fork\.latency +tick ", default_run.stdout, re.M)
    assert re.search(r"^\d+ passed, 0 failed, \d+ skipped \(status 0\)$", default_run.stdout, re.M)
    assert re.search(r"scenario \d+ of \d+: fork-cow: ok", default_run.stderr)


def collect(log: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([machine.PAGELAB, "collect", log, "--out", out], capture_output=True,
                          text=True, timeout=60, check=False)


def test_whole_log(default_run: machine.Booted, tmp_path: Path) -> None:
    done = collect(default_run.out / "console.log", tmp_path)
    assert done.returncode == 0, done.stderr
    for table in ("timings.csv", "meta.csv", "counters.csv"):
        assert (tmp_path / table).read_bytes() == (default_run.out / table).read_bytes()


def test_changed_byte(default_run: machine.Booted, tmp_path: Path) -> None:
    log = bytearray((default_run.out / "console.log").read_bytes())
    row = log.index(b"fork-cow,pages=4096,fork.latency,")
    log[row + 40] ^= 1
    (tmp_path / "log").write_bytes(log)
    done = collect(tmp_path / "log", tmp_path / "out")
    number = log[:row].count(b"@pagelab begin")
    assert done.returncode == 4
    assert f"block {number} (timings of fork-cow): crc32" in done.stderr
    lost = {("fork-cow", "pages=4096")}
    kept = {(row["scenario"], row["params"]) for row in default_run.rows("timings")} - lost
    left = machine.Booted(0, tmp_path / "out", "", "").rows("timings")
    assert {(row["scenario"], row["params"]) for row in left} == kept
