"""The parser of the serial stream: whole streams, and every way in which one can be damaged."""

import random

import pytest
from fake_stream import Stream
from pagelab_host.stream import Run, StreamParser, printable

BLOCKS = 6


def parse(data: bytes, chunk: int = 1 << 16) -> list[Run]:
    parser = StreamParser()
    for start in range(0, len(data), chunk):
        parser.feed(data[start:start + chunk])
    parser.finish()
    return parser.runs


def parse_one(data: bytes) -> Run:
    runs = parse(data)
    assert len(runs) == 1
    return runs[0]


@pytest.fixture
def whole() -> bytes:
    return Stream().whole()


def test_whole_stream(whole: bytes) -> None:
    run = parse_one(whole)
    assert run.problems == []
    assert run.is_whole
    assert [block.number for block in run.blocks] == list(range(1, BLOCKS + 1))
    assert [(r.number, r.name, r.outcome) for r in run.results] == [
        (1, "null", "ok"), (2, "fork-cow", "ok"), (3, "fault-file", "skip")]
    assert run.results[2].directive == "SKIP needs disk"
    assert run.plan == 3
    assert run.done is not None and run.done.status == 0
    assert run.meta["boot_params"] == 'run=all on-exit=qemu, "quoted"'
    assert len(run.rows("timings")) == 5
    assert run.rows("timings")[1]["params"] == "pages=256"


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_chunks_do_not_matter(whole: bytes, chunk: int) -> None:
    assert parse(whole, chunk) == parse(whole)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\r\n"])
def test_line_ends_do_not_matter(whole: bytes, line_end: bytes) -> None:
    assert parse(whole.replace(b"\r\n", line_end)) == parse(whole)


def test_changed_byte_names_the_block(whole: bytes) -> None:
    run = parse_one(whole.replace(b"fork.latency,tick", b"fork.latency,tock", 1))
    assert len(run.problems) == 1
    assert run.problems[0].startswith("block 3 (timings of fork-cow): crc32 is ")
    assert [block.number for block in run.blocks] == [1, 2, 4, 5, 6]
    assert not run.is_whole


def test_wrong_row_count() -> None:
    stream = Stream().begin(0)
    stream.block("counters", "scenario,params,counter,value", ["a,,b,1"], rows_said=2).done(0)
    run = parse_one(stream.data)
    assert run.problems == ["block 2 (counters of a): 1 rows, its end line says 2; block left out"]


def test_short_row() -> None:
    stream = Stream().begin(0).block("counters", "scenario,params,counter,value", ["a,b"]).done(0)
    assert parse_one(stream.data).problems == [
        "block 2 (counters of a): row 1 has 2 fields instead of 4; block left out"]


def test_other_columns() -> None:
    stream = Stream().begin(0).block("timings", "a,b", ["1,2"]).block("timings", "a,c", ["1,2"])
    assert "columns differ" in parse_one(stream.done(0).data).problems[0]


def without(data: bytes, start: bytes) -> bytes:
    """The stream without the first line that starts so."""
    lines = data.split(b"\r\n")
    at = next(i for i, line in enumerate(lines) if line.startswith(start))
    return b"\r\n".join(lines[:at] + lines[at + 1:])


def test_missing_block(whole: bytes) -> None:
    start = whole.index(b"@pagelab begin timings block=3")
    end = whole.index(b"@pagelab begin timings block=5")
    assert parse_one(whole[:start] + whole[end:]).problems[0] == "blocks 3 to 4 are missing"


def test_missing_end_line(whole: bytes) -> None:
    run = parse_one(without(whole, b"@pagelab end timings block=2"))
    assert run.problems[0].startswith("block 2 (timings of null): no end line (it began in line ")
    assert [r.name for r in run.results] == ["null", "fork-cow", "fault-file"]
    assert len(run.blocks) == BLOCKS - 1


def test_missing_begin_line(whole: bytes) -> None:
    run = parse_one(without(whole, b"@pagelab begin timings block=3"))
    assert run.problems == ["block 3 (timings): its begin line is missing or damaged; "
                            "block left out"]
    assert len(run.blocks) == BLOCKS - 1


def test_torn_marker(whole: bytes) -> None:
    run = parse_one(whole.replace(b"@pagelab begin timings block=3", b"@pagelab begin timi"))
    assert "damaged marker line" in run.problems[0]
    assert "block 3 (timings)" in run.problems[1]


def test_lost_line_end_before_a_marker(whole: bytes) -> None:
    run = parse_one(whole.replace(b"\r\n@pagelab begin timings block=3", b"@pagelab begin timings "
                                  b"block=3"))
    assert len(run.problems) == 1 and "noise before a marker" in run.problems[0]
    assert len(run.blocks) == BLOCKS


def test_missing_done(whole: bytes) -> None:
    run = parse_one(whole[:whole.index(b"@pagelab done")])
    assert run.problems == ["the run has no end: no '@pagelab done' line came"]


def test_lost_result(whole: bytes) -> None:
    problems = parse_one(without(whole, b"ok 1 null")).problems
    assert problems == ["KTAP results are missing: number 1"]
    problems = parse_one(without(whole, b"ok 3 ")).problems
    assert problems == ["2 KTAP results came, the end line counts 3"]


def test_panic_in_a_block(whole: bytes) -> None:
    cut = whole[:whole.index(b"fork.latency")] + b"x\r\nnot ok 2 fork-cow\r\n"
    run = parse_one(cut + b"@pagelab done passed=1 failed=1 skipped=0 status=2\r\n")
    assert run.done is not None and run.done.status == 2
    assert [(r.name, r.outcome) for r in run.results] == [("null", "ok"), ("fork-cow", "not ok")]
    assert run.problems[0].startswith("block 3 (timings")


def test_failure_details() -> None:
    stream = Stream().begin(1).line("  KTAP version 1").line("  1..2").line("  ok 1 pages=1")
    stream.line("  # fork-cow.scn:12:5: error: verify").line("  not ok 2 pages=256 # TIMEOUT")
    run = parse_one(stream.line("not ok 1 fork-cow").done(0, 1, 0, 1).data)
    assert run.results[0].details == ["fork-cow.scn:12:5: error: verify",
                                      "not ok pages=256 TIMEOUT"]
    assert run.is_whole


def test_two_runs_in_one_log(whole: bytes) -> None:
    cut = whole[:whole.index(b"ok 2 fork-cow")]
    runs = parse(cut + whole + whole)
    assert [run.is_whole for run in runs] == [False, True, True]


def test_noise_never_raises(whole: bytes) -> None:
    generator = random.Random(1)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(generator.randrange(1, 20)):
            at = generator.randrange(len(data))
            data[at:at + generator.randrange(40)] = generator.randbytes(generator.randrange(40))
        parse(bytes(data), generator.randrange(1, 500))
    parse(generator.randbytes(1 << 20))


def test_every_cut_is_noticed(whole: bytes) -> None:
    last_line = whole.rindex(b"@pagelab done")
    for end in range(0, last_line + 20, 37):
        assert not any(run.is_whole for run in parse(whole[:end]))


def test_every_changed_byte_of_a_block_is_noticed(whole: bytes) -> None:
    start = whole.index(b"@pagelab begin timings block=3")
    end = whole.index(b"@pagelab begin counters block=4")
    for at in range(start, end):
        if whole[at] not in b"\r":
            damaged = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:]
            run = parse_one(damaged)
            assert not run.is_whole, damaged[at - 20:at + 20]
            assert [block.number for block in run.blocks] == [1, 2, 4, 5, 6]


def test_printable() -> None:
    assert printable(b"\x1b[2J\x1b[01;01Ha\x00b\xff") == "a\ufffdb\ufffd"
