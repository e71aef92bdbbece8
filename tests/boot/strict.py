"""Reads a run's serial stream as strictly as results/README.md allows, and raises `Violation` at
the first thing that is not as promised. Shares no code with tools/pagelab on purpose: a
misunderstanding must not hide itself."""

import csv
import re
import zlib
from dataclasses import dataclass, field

HEADERS = {
    "meta": "key,value",
    "timings": "scenario,params,metric,unit,cpus,n,min,p50,p90,p99,p999,max,mean,stddev,overhead,"
               "exact",
    "samples": "scenario,params,metric,cpu,index,value",
    "histogram": "scenario,params,metric,low,high,count",
    "counters": "scenario,params,counter,value",
}
META_KEYS = set("""
    pagelab_version git_commit run_id seed boot_params cpu_vendor cpu_model cpu_count cpus_up tsc_hz
    tsc_source tsc_invariant hypervisor memory_total memory_usable paging_levels features
    firmware_vendor firmware_revision uefi_revision serial framebuffer check exact_mode compiler
    microcode topology board""".split())
BEGIN = re.compile(r"@pagelab begin (\w+) block=(\d+)")
END = re.compile(r"@pagelab end (\w+) block=(\d+) rows=(\d+) crc32=([0-9a-f]{8})")
DONE = re.compile(r"@pagelab done passed=(\d+) failed=(\d+) skipped=(\d+) status=([0-3])")
RESULT = re.compile(r"(not )?ok (\d+) ([^#]*?)(?: # (\S.*))?")
LOG = re.compile(r"\[ *\d+\.\d{6}\] .*")
NUMBER = re.compile(r"-?\d+(\.\d{0,2}[1-9])?")


class Violation(AssertionError):
    """The stream breaks its contract."""


def demand(holds: object, complaint: str) -> None:
    if not holds:
        raise Violation(complaint)


@dataclass
class Result:
    name: str
    ok: bool
    skipped: bool
    combinations: list["Result"] = field(default_factory=list)


@dataclass
class Stream:
    """A whole run."""

    results: list[Result] = field(default_factory=list)
    rows: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    counts: tuple[int, int, int] = (0, 0, 0)
    status: int = -1

    @property
    def meta(self) -> dict[str, str]:
        return {row["key"]: row["value"] for row in self.rows.get("meta", [])}


class Plan:
    """One level of KTAP: numbers rise by one, and there are as many as planned."""

    def __init__(self, indent: str) -> None:
        self.indent = indent
        self.planned: int | None = None
        self.results: list[Result] = []

    def plan(self, text: str) -> None:
        match = re.fullmatch(r"1\.\.(\d+)", text)
        demand(match and self.planned is None, f"a plan must follow the version line: {text!r}")
        assert match
        self.planned = int(match[1])

    def add(self, text: str) -> Result:
        match = RESULT.fullmatch(text)
        demand(match, f"not a KTAP line: {text!r}")
        assert match
        demand(self.planned is not None, f"a result before the plan: {text!r}")
        demand(int(match[2]) == len(self.results) + 1, f"numbers must rise by one: {text!r}")
        directive = match[4] or ""
        demand(not directive or re.match(r"(SKIP|TODO|XFAIL|TIMEOUT|ERROR)\b", directive),
               f"unknown directive: {text!r}")
        skipped = directive.startswith("SKIP")
        demand(not (skipped and match[1]), f"a skipped test is ok: {text!r}")
        demand(not skipped or directive != "SKIP", f"a skip needs a reason: {text!r}")
        result = Result(match[3], not match[1], skipped)
        self.results.append(result)
        return result

    def end(self) -> None:
        demand(self.planned == len(self.results),
               f"{self.planned} results planned, {len(self.results)} came")


class Reader:
    def __init__(self, panics: bool) -> None:
        self.panics = panics
        self.stream = Stream()
        self.top: Plan | None = None
        self.nested: Plan | None = None
        self.block_number = 0

    def read(self, text: str) -> Stream:
        lines = self._core_lines(text)
        while lines:
            line = lines.pop(0)
            demand("\x1b" not in line, f"escape sequence: {line!r}")
            demand(line == line.rstrip("\r"), f"carriage return in the line: {line!r}")
            if match := BEGIN.fullmatch(line):
                self._block(match[1], int(match[2]), lines)
            elif match := DONE.fullmatch(line):
                demand(not [rest for rest in lines if rest], f"lines after the end: {lines!r}")
                self._done(match)
                return self.stream
            elif line or lines:
                demand("@pagelab" not in line, f"damaged marker: {line!r}")
                self._line(line)
        raise Violation("no '@pagelab done' line")

    @staticmethod
    def _core_lines(text: str) -> list[str]:
        """From the core's first line on: what firmware and loader say is theirs."""
        lines = text.split("\n")
        starts = [i for i, line in enumerate(lines)
                  if LOG.fullmatch(line) or line == "KTAP version 1" or "@pagelab" in line]
        demand(starts, "the core said nothing")
        return lines[starts[0]:]

    def _line(self, line: str) -> None:
        if LOG.fullmatch(line):
            return
        indent = line[: len(line) - len(line.lstrip(" "))]
        text = line.strip(" ")
        demand(indent in ("", "  "), f"neither a log line nor KTAP: {line!r}")
        if text.startswith("# "):
            demand(self.top is not None, f"a diagnostic before the version line: {line!r}")
        elif text == "KTAP version 1":
            self._version(indent)
        elif text.startswith("1.."):
            plan = self.nested if indent else self.top
            demand(plan, f"a plan without a version line: {line!r}")
            assert plan
            plan.plan(text)
        else:
            self._result(indent, text)

    def _version(self, indent: str) -> None:
        if indent:
            demand(self.top is not None and self.nested is None, "a second nested version line")
            self.nested = Plan(indent)
        else:
            demand(self.top is None, "a second version line")
            self.top = Plan(indent)

    def _result(self, indent: str, text: str) -> None:
        plan = self.nested if indent else self.top
        demand(plan, f"neither a log line nor KTAP: {text!r}")
        assert plan
        result = plan.add(text)
        if not indent and self.nested is not None:
            result.combinations = self.nested.results
            demand(self.panics or self.nested.planned == len(result.combinations),
                   f"combinations of {text!r} are missing")
            demand(result.ok == all(c.ok for c in result.combinations),
                   f"{text!r} does not agree with its combinations")
            self.nested = None

    def _block(self, kind: str, number: int, lines: list[str]) -> None:
        self.block_number += 1
        demand(number == self.block_number, f"block {number} instead of {self.block_number}")
        demand((kind == "meta") == (number == 1), f"block {number} is of kind {kind}")
        body: list[str] = []
        while lines and not lines[0].startswith("@pagelab"):
            body.append(lines.pop(0))
        demand(lines, f"block {number} has no end")
        match = END.fullmatch(lines.pop(0))
        demand(match and (match[1], int(match[2])) == (kind, number), f"end of block {number}")
        assert match
        crc32 = zlib.crc32("".join(f"{line}\n" for line in body).encode())
        demand(f"{crc32:08x}" == match[4], f"crc32 of block {number}")
        demand(body and body[0] == HEADERS.get(kind), f"header of block {number}: {body[:1]}")
        rows = list(csv.DictReader(body, strict=True))
        demand(len(rows) == int(match[3]), f"rows of block {number}")
        for row in rows:
            demand(None not in row and None not in row.values(), f"fields of {row}")
            self._row(kind, row)
        self.stream.rows.setdefault(kind, []).extend(rows)

    @staticmethod
    def _row(kind: str, row: dict[str, str]) -> None:
        if kind != "timings":
            return
        numbers = [row[name] for name in ("min", "p50", "p90", "p99", "p999", "max")]
        for text in [*numbers, row["mean"], row["stddev"], row["overhead"]]:
            demand(NUMBER.fullmatch(text), f"not a number of at most three decimals: {text!r}")
        values = [float(text) for text in numbers]
        demand(values == sorted(values), f"percentiles out of order: {row}")
        demand(values[0] <= float(row["mean"]) <= values[-1], f"mean out of range: {row}")
        demand(int(row["n"]) > 0 and int(row["cpus"]) > 0, f"no samples: {row}")
        demand(row["unit"] in ("tick", "count") and row["exact"] in ("0", "1"), f"{row}")

    def _done(self, match: re.Match[str]) -> None:
        self.stream.counts = (int(match[1]), int(match[2]), int(match[3]))
        self.stream.status = int(match[4])
        self.stream.results = self.top.results if self.top else []
        demand(self.panics == (self.stream.status == 2), f"status {self.stream.status}")
        if not self.panics:
            demand(self.top, "no KTAP at all")
            assert self.top
            self.top.end()
        results = self.stream.results
        found = (sum(r.ok and not r.skipped for r in results), sum(not r.ok for r in results),
                 sum(r.skipped for r in results))
        demand(found == self.stream.counts,
               f"{found} counted, the end line says {self.stream.counts}")
        if "meta" in self.stream.rows:
            demand(META_KEYS <= set(self.stream.meta),
                   f"meta lacks {META_KEYS - set(self.stream.meta)}")


def read(text: str, panics: bool = False) -> Stream:
    """`text` is console.log. A run that panics may end in the middle."""
    return Reader(panics).read(text)
