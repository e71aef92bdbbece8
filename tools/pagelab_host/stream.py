"""Takes the serial stream of a run apart, byte by byte as it comes (docs: results/README.md).

The stream may be damaged: lines torn or lost, noise in between, cut off anywhere. Whatever is
whole is kept, and everything that is not is named in `Run.problems`. Nothing raises.

A log may hold several runs (a capture that went on over a reboot): each is a `Run` of its own.
"""

import csv
import re
import zlib
from dataclasses import dataclass, field

LINE_MAX = 1 << 20  # longer lines are noise, and are cut here

MARKER = b"@pagelab"
BEGIN = re.compile(rb"@pagelab begin ([a-z]+) block=([0-9]{1,9})")
END = re.compile(rb"@pagelab end ([a-z]+) block=([0-9]{1,9}) rows=([0-9]{1,9}) crc32=([0-9a-f]{8})")
DONE = re.compile(
    rb"@pagelab done passed=([0-9]{1,6}) failed=([0-9]{1,6}) skipped=([0-9]{1,6}) status=([0-3])"
)
KTAP_VERSION = re.compile(rb"( *)KTAP version 1")
KTAP_PLAN = re.compile(rb"1\.\.([0-9]{1,6})")
KTAP_RESULT = re.compile(rb"( *)(ok|not ok) ([0-9]{1,6}) ?([^#]*?)(?: *# ?(.*))?")
LOG_LINE = re.compile(rb"\[ *[0-9]+\.[0-9]{6}\] (?:scenario [0-9]+ of [0-9]+: ([a-z0-9-]+)$)?")
ESCAPE = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]")


def printable(line: bytes) -> str:
    """A line as it may be shown on a terminal: no escape sequences, no noise."""
    text = ESCAPE.sub("", line.decode("utf-8", "replace"))
    return "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)


@dataclass
class Block:
    """A CSV block: lines without their ends, the header first."""

    kind: str
    number: int
    lines: list[bytes] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)

    @property
    def scenario(self) -> str:
        """Whose block it is; empty for `meta`."""
        return self.rows[0].get("scenario", "") if self.rows else ""

    @property
    def title(self) -> str:
        of = f" of {self.scenario}" if self.scenario else ""
        return f"block {self.number} ({self.kind}{of})"

    def text(self) -> bytes:
        return b"".join(line + b"\n" for line in self.lines)

    def parse(self) -> str | None:
        """Fills `rows`; returns what is wrong with the table, if anything."""
        try:
            table = list(csv.reader(self.text().decode().splitlines(), strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            return f"not a CSV table: {error}"
        if not table:
            return "no header row"
        header, *rows = table
        self.rows = [dict(zip(header, row)) for row in rows]
        wrong = [n for n, row in enumerate(rows, 1) if len(row) != len(header)]
        if wrong:
            return f"row {wrong[0]} has {len(rows[wrong[0] - 1])} fields instead of {len(header)}"
        return None


@dataclass
class ScenarioResult:
    """A top-level KTAP result. `details` are the failure lines that stood before it."""

    number: int
    name: str
    outcome: str  # "ok", "not ok" or "skip"
    directive: str = ""
    details: list[str] = field(default_factory=list)


@dataclass
class Done:
    """The last line of a run."""

    passed: int
    failed: int
    skipped: int
    status: int


@dataclass
class Run:
    """Everything that one run said, as far as it came through whole."""

    blocks: list[Block] = field(default_factory=list)
    results: list[ScenarioResult] = field(default_factory=list)
    plan: int | None = None
    done: Done | None = None
    core_seen: bool = False
    running: str = ""  # the scenario under way
    problems: list[str] = field(default_factory=list)

    def rows(self, kind: str) -> list[dict[str, str]]:
        return [row for block in self.blocks if block.kind == kind for row in block.rows]

    @property
    def meta(self) -> dict[str, str]:
        return {row.get("key", ""): row.get("value", "") for row in self.rows("meta")}

    @property
    def is_whole(self) -> bool:
        return self.done is not None and not self.problems


class StreamParser:
    """Feed it bytes; `runs` grows. `finish()` names what the end left open."""

    def __init__(self) -> None:
        self.runs: list[Run] = [Run()]
        self.line_number = 0
        self._tail = b""
        self._block: Block | None = None
        self._block_line = 0
        self._last_number = 0
        self._headers: dict[str, bytes] = {}
        self._details: list[str] = []

    @property
    def run(self) -> Run:
        return self.runs[-1]

    def feed(self, data: bytes) -> None:
        *lines, self._tail = (self._tail + data).split(b"\n")
        for line in lines:
            self._line(line.replace(b"\r", b""))
        if len(self._tail) > LINE_MAX:
            self._line(self._tail.replace(b"\r", b""))
            self._tail = b""

    def finish(self) -> None:
        """The stream has ended; nothing may be fed afterwards."""
        if self._tail:
            self._line(self._tail.replace(b"\r", b""))
            self._tail = b""
        self._close_run()

    def _line(self, line: bytes) -> None:
        self.line_number += 1
        at = -1 if LOG_LINE.match(line) else line.rfind(MARKER)
        if at > 0:
            self._problem(f"line {self.line_number}: noise before a marker, or a lost line end")
            self._piece(line[:at])
        self._piece(line[max(at, 0):])

    def _piece(self, line: bytes) -> None:
        if line.startswith(MARKER):
            self._marker(line)
        elif self._block is not None:
            self._block.lines.append(line)
        else:
            self._text(line)

    # Marker lines.

    def _marker(self, line: bytes) -> None:
        if match := BEGIN.fullmatch(line):
            self._begin(match[1].decode(), int(match[2]))
        elif match := END.fullmatch(line):
            self._end(Block(match[1].decode(), int(match[2])), int(match[3]), int(match[4], 16))
        elif match := DONE.fullmatch(line):
            self._done(Done(*(int(group) for group in match.groups())))
        else:
            self._problem(f"line {self.line_number}: damaged marker line: {printable(line)!r:.120}")

    def _begin(self, kind: str, number: int) -> None:
        self._abandon_block()
        if kind == "meta" and number == 1 and self._last_number > 0:
            self._next_run()
        self.run.core_seen = True
        self._check_number(kind, number)
        self._block = Block(kind, number)
        self._block_line = self.line_number

    def _end(self, end: Block, rows: int, crc32: int) -> None:
        block = self._block
        if block is None or (block.kind, block.number) != (end.kind, end.number):
            self._abandon_block()
            if end.number != self._last_number:
                self._check_number(end.kind, end.number)
                self._problem(f"{end.title}: its begin line is missing or damaged; block left out")
            return
        self._block = None
        wrong = self._check_block(block, rows, crc32)
        if wrong:
            self._problem(f"{block.title}: {wrong}; block left out")
        else:
            self.run.blocks.append(block)

    def _check_block(self, block: Block, rows: int, crc32: int) -> str | None:
        table_error = block.parse()
        found = zlib.crc32(block.text())
        if found != crc32:
            return f"crc32 is {found:08x}, its end line says {crc32:08x}"
        if table_error:
            return table_error
        if len(block.rows) != rows:
            return f"{len(block.rows)} rows, its end line says {rows}"
        header = self._headers.setdefault(block.kind, block.lines[0])
        if header != block.lines[0]:
            return "its columns differ from those of the blocks before"
        return None

    def _check_number(self, kind: str, number: int) -> None:
        first, last = self._last_number + 1, number - 1
        if number <= self._last_number:
            self._problem(f"block {number} ({kind}) comes after block {self._last_number}")
        elif first == last:
            self._problem(f"block {first} is missing")
        elif first < last:
            self._problem(f"blocks {first} to {last} are missing")
        self._last_number = max(number, self._last_number)

    def _abandon_block(self) -> None:
        """The open block never ended. What it swallowed may hold results: read it as text."""
        if self._block is None:
            return
        block, self._block = self._block, None
        block.parse()
        self._problem(f"{block.title}: no end line (it began in line {self._block_line}); "
                      "block left out")
        for line in block.lines:
            self._text(line)

    def _done(self, done: Done) -> None:
        self._abandon_block()
        if self.run.done is None:
            self.run.done = done
        else:
            self._problem(f"line {self.line_number}: a second end of the run")

    # All other lines.

    def _text(self, line: bytes) -> None:
        if match := LOG_LINE.match(line):
            self.run.core_seen = True
            if match[1]:
                self.run.running = match[1].decode()
            return
        if match := KTAP_VERSION.fullmatch(line):
            if not match[1]:
                self._ktap_begin()
            return
        if not self.run.core_seen:
            return
        if match := KTAP_RESULT.fullmatch(line):
            self._result(match)
        elif match := KTAP_PLAN.fullmatch(line):
            self.run.plan = int(match[1])
        elif line.lstrip(b" ").startswith(b"# "):
            self._details.append(printable(line.strip()[2:]))

    def _ktap_begin(self) -> None:
        if self.run.done is not None:
            self._next_run()
        self.run.core_seen = True
        self._details.clear()

    def _result(self, match: re.Match[bytes]) -> None:
        indent, verdict, number, name, directive = match.groups(default=b"")
        if indent:
            if verdict == b"not ok":
                self._details.append(printable(b" ".join((verdict, name, directive)).rstrip()))
            return
        skipped = verdict == b"ok" and directive.upper().startswith(b"SKIP")
        result = ScenarioResult(
            int(number), printable(name), "skip" if skipped else verdict.decode(),
            printable(directive), self._details)
        self._details = []
        self.run.results.append(result)
        self.run.running = ""

    # Ends.

    def _next_run(self) -> None:
        self._close_run()
        self.runs.append(Run())
        self._last_number = 0
        self._headers = {}
        self._details = []

    def _close_run(self) -> None:
        self._abandon_block()
        if self.run.done is None:
            self._problem("the run has no end: no '@pagelab done' line came")
        else:
            self._check_results(self.run.done)

    def _check_results(self, done: Done) -> None:
        results = self.run.results
        numbers = {result.number for result in results}
        lost = [n for n in range(1, max(numbers, default=0) + 1) if n not in numbers]
        if lost:
            self._problem("KTAP results are missing: number " + ", ".join(map(str, lost)))
            return
        count = done.passed + done.failed + done.skipped
        if done.status < 2 and count != len(results):
            self._problem(f"{len(results)} KTAP results came, the end line counts {count}")

    def _problem(self, text: str) -> None:
        self.run.problems.append(text)
