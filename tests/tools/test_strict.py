"""The strict reader must find what it is there to find: every rule is broken once."""

import zlib

import pytest
import strict

META = "".join(f"{key},1\n" for key in sorted(strict.META_KEYS))
ROW = "a,,m,tick,1,2,1,1,1.5,2,2,2.125,1.5,0.5,3,1"


def block(kind: str, number: int, rows: str, header: str | None = None) -> str:
    text = f"{header or strict.HEADERS[kind]}\n{rows}"
    return (f"@pagelab begin {kind} block={number}\n{text}@pagelab end {kind} block={number} "
            f"rows={rows.count(chr(10))} crc32={zlib.crc32(text.encode()):08x}\n")


GOOD = ("\x1b[2Jfirmware\n\n[0.000001] hello\nKTAP version 1\n1..3\n" + block("meta", 1, META)
        + block("timings", 2, ROW + "\n") + "ok 1 a\n  KTAP version 1\n  1..2\n  ok 1 n=1\n"
        + "  # why\n  not ok 2 n=2 # TIMEOUT\nnot ok 2 b\nok 3 c # SKIP needs a disk\n"
        + "@pagelab done passed=1 failed=1 skipped=1 status=1\n")


def test_good_stream() -> None:
    stream = strict.read(GOOD)
    assert stream.counts == (1, 1, 1)
    assert [len(result.combinations) for result in stream.results] == [0, 2, 0]
    assert stream.meta["seed"] == "1"


@pytest.mark.parametrize(("old", "new"), [
    ("1..3", "1..4"), ("ok 1 a", "ok 2 a"), ("ok 1 a", "okay 1 a"), ("ok 1 a\n", ""),
    ("  1..2\n", ""), ("  1..2", "  1..3"), ("not ok 2 b", "ok 2 b"),
    ("# SKIP needs a disk", "# SKIP"),
    ("# SKIP needs", "# HOP needs"), ("block=2", "block=3"), ("rows=1 ", "rows=2 "),
    ("a,,m,tick", "a,,n,tick"), ("crc32=", "crc32=0"), ("ok 1 a", "chatter"),
    ("[0.000001] hello", "[0.000001] hello\nchatter"), ("ok 1 a", "ok 1 a\r"),
    ("ok 1 a", "\x1b[0mok 1 a"), ("passed=1", "passed=2"), ("status=1", "status=2"),
    ("status=1", "status=4"), ("@pagelab done", "done"), ("status=1\n", "status=1\nmore\n"),
    ("KTAP version 1\n1..3", "KTAP version 1\nKTAP version 1\n1..3"),
], ids=lambda text: text.strip()[:20].replace("\x1b", "ESC"))
def test_broken_streams(old: str, new: str) -> None:
    assert old in GOOD
    with pytest.raises(strict.Violation):
        strict.read(GOOD.replace(old, new, 1))


@pytest.mark.parametrize("row", [
    ROW.replace("1.5,2,2", "3,2,2"), ROW.replace("2.125", "2.1250"), ROW.replace(",0.5,", ",.5,"),
    ROW.replace("tick", "ms"), ROW.replace("tick,1,2", "tick,1,0"),
    ROW.replace(",1.5,0.5", ",9,0.5"),
    ROW + ",1", ROW[:-2]])
def test_broken_rows(row: str) -> None:
    with pytest.raises(strict.Violation):
        strict.read(GOOD.replace(block("timings", 2, ROW + "\n"), block("timings", 2, row + "\n")))


def test_missing_meta_key() -> None:
    short = META.replace("topology,1\n", "")
    with pytest.raises(strict.Violation, match="topology"):
        strict.read(GOOD.replace(block("meta", 1, META), block("meta", 1, short)))
