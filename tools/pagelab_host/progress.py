"""Progress on the error output: one line that changes on a terminal, plain lines elsewhere."""

import shutil
import sys
import time
from typing import TextIO

from .stream import Run


def clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


class Progress:
    """Call `update()` often: it prints what is new, and on a terminal each second that passes."""

    def __init__(self, waiting_for: str, output: TextIO | None = None) -> None:
        self._output = output or sys.stderr
        self._is_terminal = self._output.isatty()
        self._start = time.monotonic()
        self._waiting_for = waiting_for
        self._shown = ""
        self._reported = 0

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._start

    def update(self, run: Run) -> None:
        for result in run.results[self._reported:]:
            reason = f" ({result.directive})" if result.directive else ""
            self._print(f"[{clock(self.elapsed)}] scenario {result.number} of "
                        f"{run.plan or '?'}: {result.name}: {result.outcome}{reason}")
        self._reported = len(run.results)
        if self._is_terminal:
            self._show(f"[{clock(self.elapsed)}] {self._state(run)}")

    def message(self, text: str) -> None:
        """A line that stays."""
        self._print(text)

    def clear(self) -> None:
        """Takes the changing line away."""
        if self._shown:
            self._output.write("\r\x1b[K")
            self._output.flush()
            self._shown = ""

    def _state(self, run: Run) -> str:
        if run.done is not None:
            return "ending"
        if not run.core_seen:
            return f"waiting for {self._waiting_for}"
        if run.plan is None:
            return "starting"
        name = f": {run.running}" if run.running else ""
        return f"running scenario {min(len(run.results) + 1, run.plan)} of {run.plan}{name}"

    def _show(self, text: str) -> None:
        text = text[: shutil.get_terminal_size().columns - 1]
        if text != self._shown:
            self._output.write(f"\r\x1b[K{text}")
            self._output.flush()
            self._shown = text

    def _print(self, text: str) -> None:
        self.clear()
        self._output.write(text + "\n")
        self._output.flush()
