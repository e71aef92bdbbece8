"""`collect` on the log of a real run with one byte changed."""

import subprocess
from pathlib import Path

import machine


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
