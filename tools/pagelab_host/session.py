"""A QEMU under way: its serial output as it comes, its end, and an end for it when it hangs."""

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

CHUNK_BYTES = 1 << 16
TICK_SECONDS = 0.2
ENDING_SECONDS = 5  # between the run's last line and QEMU's end (on-exit=halt never ends)
KILL_SECONDS = 3
ERRORS_KEPT = 8192
PR_SET_PDEATHSIG = 1


class Ending(Enum):
    """Why there is no more output."""

    EXITED = auto()  # QEMU ended by itself
    STAYED = auto()  # the run ended, QEMU did not; it was ended
    NO_CORE = auto()  # the firmware never got to the core
    SILENT = auto()  # no output for too long
    TIMEOUT = auto()  # the whole took too long
    INTERRUPTED = auto()  # Ctrl-C


@dataclass
class Limits:
    """In seconds; 0 is none."""

    firmware: float
    silence: float
    total: float


@dataclass
class State:
    """What the session must know of the run to apply the limits."""

    core_seen: bool
    done: bool


def _die_with_parent() -> None:
    """Runs in the child: QEMU must not outlive this program, however that ends."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def keys_unbuffered() -> Iterator[None]:
    """While the menu has the terminal keys go through one by one, unechoed; Ctrl-C still ends."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


class Session:
    """Starts QEMU and hands its serial output to `receive` until an end comes. `state` tells how
    far the run is; `tick` is called a few times a second."""

    def __init__(self, arguments: list[str], limits: Limits, receive: Callable[[bytes], None],
                 state: Callable[[], State], tick: Callable[[], None]) -> None:
        self._limits = limits
        self._receive = receive
        self._state = state
        self._tick = tick
        self._start = self._heard = time.monotonic()
        self._done_at: float | None = None
        self.errors = b""  # what QEMU itself complained about
        self._qemu = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, preexec_fn=_die_with_parent)
        self._selector = selectors.DefaultSelector()
        assert self._qemu.stdout is not None and self._qemu.stderr is not None
        self._selector.register(self._qemu.stdout, selectors.EVENT_READ, self._output)
        self._selector.register(self._qemu.stderr, selectors.EVENT_READ, self._complaint)

    @property
    def exit_status(self) -> int | None:
        """QEMU's own; None if it had to be ended."""
        return self._qemu.returncode

    def forward_keys(self) -> None:
        """From now on what is typed goes to the guest's serial port."""
        with contextlib.suppress(ValueError, PermissionError, OSError):
            self._selector.register(sys.stdin, selectors.EVENT_READ, self._keys)

    def stop_keys(self) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(sys.stdin)

    def run(self) -> Ending:
        """Returns when QEMU has ended, by itself or because a limit or Ctrl-C ended it."""
        try:
            ending = self._pump()
        except KeyboardInterrupt:
            ending = Ending.INTERRUPTED
        if ending is not Ending.EXITED:
            self._end()
        self._drain()
        self._qemu.wait()
        return ending

    def _pump(self) -> Ending:
        outputs = 2
        while outputs > 0:
            for key, _ in self._selector.select(TICK_SECONDS):
                data = os.read(key.fd, CHUNK_BYTES)
                if not data:
                    with contextlib.suppress(KeyError):  # keys may have been stopped meanwhile
                        self._selector.unregister(key.fileobj)
                    outputs -= key.fileobj is not sys.stdin
                key.data(data)
            self._tick()
            late = self._late()
            if late is not None:
                return late
        return Ending.EXITED

    def _late(self) -> Ending | None:
        state, now, limits = self._state(), time.monotonic(), self._limits
        if state.done:
            self._done_at = self._done_at or now
            return Ending.STAYED if now - self._done_at > ENDING_SECONDS else None
        if limits.total and now - self._start > limits.total:
            return Ending.TIMEOUT
        if not state.core_seen:
            over = limits.firmware and now - self._start > limits.firmware
            return Ending.NO_CORE if over else None
        over = limits.silence and now - self._heard > limits.silence
        return Ending.SILENT if over else None

    def _output(self, data: bytes) -> None:
        self._heard = time.monotonic()
        self._receive(data)

    def _complaint(self, data: bytes) -> None:
        self.errors = (self.errors + data)[-ERRORS_KEPT:]

    def _keys(self, data: bytes) -> None:
        assert self._qemu.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._qemu.stdin.write(data)
            self._qemu.stdin.flush()

    def _end(self) -> None:
        for stop in (self._qemu.terminate, self._qemu.kill):
            stop()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._qemu.wait(KILL_SECONDS)
                break

    def _drain(self) -> None:
        """What QEMU wrote before it ended."""
        self.stop_keys()
        for key in list(self._selector.get_map().values()):
            while data := os.read(key.fd, CHUNK_BYTES):
                key.data(data)
        self._selector.close()
