"""What a person wants to know at the end of a run: a table, the failures, the verdict."""

from collections.abc import Iterable

from .stream import Run, ScenarioResult

COLUMNS = ("scenario", "params", "metric", "unit", "cpus", "n", "min", "p50", "p99", "max")
LEFT_COLUMNS = 4
PROBLEMS_SHOWN = 20
DETAILS_SHOWN = 12


def table(header: Iterable[str], rows: Iterable[Iterable[str]], left: int) -> list[str]:
    """A table with aligned columns: the first `left` to the left, the rest to the right."""
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return ["  ".join(cell.ljust(width) if i < left else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
            for row in cells]


def timings_table(run: Run) -> list[str]:
    rows = run.rows("timings")
    if not rows:
        return []
    return table(COLUMNS, ([row.get(name, "") for name in COLUMNS] for row in rows), LEFT_COLUMNS)


def failure_lines(result: ScenarioResult) -> list[str]:
    lines = [f"not ok: {result.name}" + (f" ({result.directive})" if result.directive else "")]
    lines += [f"    {detail}" for detail in result.details[:DETAILS_SHOWN]]
    if len(result.details) > DETAILS_SHOWN:
        lines.append(f"    ... {len(result.details) - DETAILS_SHOWN} more lines in console.log")
    return lines


def verdict(run: Run) -> str:
    """One line: how many scenarios passed, failed, were skipped."""
    if run.done is not None:
        counts = (run.done.passed, run.done.failed, run.done.skipped)
        ending = f"status {run.done.status}"
    else:
        outcomes = [result.outcome for result in run.results]
        counts = (outcomes.count("ok"), outcomes.count("not ok"), outcomes.count("skip"))
        ending = "no end"
    return f"{counts[0]} passed, {counts[1]} failed, {counts[2]} skipped ({ending})"


def problem_lines(run: Run) -> list[str]:
    lines = [f"damaged: {problem}" for problem in run.problems[:PROBLEMS_SHOWN]]
    if len(run.problems) > PROBLEMS_SHOWN:
        lines.append(f"damaged: ... and {len(run.problems) - PROBLEMS_SHOWN} more")
    return lines


def summary(run: Run) -> str:
    """The table of timings, what was skipped or failed, and the verdict."""
    lines = timings_table(run)
    if lines:
        lines.append("")
    for result in run.results:
        if result.outcome == "not ok":
            lines += failure_lines(result)
        elif result.outcome == "skip":
            lines.append(f"skipped: {result.name} ({result.directive})")
    lines.append(verdict(run))
    return "\n".join(lines)
