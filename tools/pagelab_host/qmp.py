"""Talks to a running QEMU by its machine protocol (QMP), over a Unix socket."""

import json
import socket
from pathlib import Path
from typing import Any

from .errors import PagelabError

REPLY_SECONDS = 30


class Qmp:
    """One connection. Errors of QEMU, and of the connection, are PagelabErrors."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(REPLY_SECONDS)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise PagelabError(f"no QEMU answers at {path}: {error.strerror or error}") from error
        self._stream = self._socket.makefile("rw", encoding="utf-8")
        self.events: list[str] = []  # names of what happened meanwhile, in order
        self._receive()  # the greeting
        self.do("qmp_capabilities")

    def __enter__(self) -> "Qmp":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._socket.close()

    def _receive(self) -> dict[str, Any]:
        try:
            line = self._stream.readline()
        except OSError as error:
            raise PagelabError(f"QEMU does not answer: {error}") from error
        if not line:
            raise PagelabError("QEMU has ended")
        message: dict[str, Any] = json.loads(line)
        if "event" in message:
            self.events.append(message["event"])
        return message

    def do(self, command: str, **arguments: Any) -> Any:
        """Runs a command and returns what it gives back."""
        self._stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._stream.flush()
        while True:
            reply = self._receive()
            if "error" in reply:
                raise PagelabError(f"QEMU refuses '{command}': {reply['error']['desc']}")
            if "return" in reply:
                return reply["return"]

    def wait_for(self, event: str, seconds: float) -> None:
        """Until the event has happened once more than it had been seen."""
        seen = self.events.count(event)
        self._socket.settimeout(seconds)
        while self.events.count(event) == seen:
            self._receive()
        self._socket.settimeout(REPLY_SECONDS)

    def screenshot(self, path: Path) -> None:
        """What the screen shows, as PNG. QEMU writes the file."""
        self.do("screendump", filename=str(path.resolve()), format="png")
