"""`pagelab run --window` and `pagelab screenshot`, with a QEMU that only pretends."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pretended import Tree

GREETING = {"QMP": {"version": {}, "capabilities": []}}


class PretendedMonitor:
    """QEMU's side of one socket: knows `screendump`, refuses everything else."""

    def __init__(self, path: Path) -> None:
        self.commands: list[dict[str, object]] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection, connection.makefile("rw") as stream:
                self._say(stream, GREETING)
                for line in stream:
                    self._answer(stream, json.loads(line))

    def _answer(self, stream, command) -> None:  # type: ignore[no-untyped-def]
        self.commands.append(command)
        self._say(stream, {"event": "RTC_CHANGE"})
        if command["execute"] == "screendump":
            Path(command["arguments"]["filename"]).write_bytes(b"\x89PNG")
        if command["execute"] in ("screendump", "qmp_capabilities"):
            self._say(stream, {"return": {}})
        else:
            self._say(stream, {"error": {"desc": "no such command"}})

    @staticmethod
    def _say(stream, what: dict[str, object]) -> None:  # type: ignore[no-untyped-def]
        stream.write(json.dumps(what) + "\n")
        stream.flush()


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory,
              monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for temporary files of its own: no run of somebody else is in it."""
    path = tmp_path_factory.mktemp("t")
    monkeypatch.setenv("TMPDIR", str(path))
    yield path


def test_takes_the_one_run(tree: Tree, temporary: Path) -> None:
    (temporary / "pagelab-dead").mkdir()
    (temporary / "pagelab-dead" / "qmp").touch()
    (temporary / "pagelab-x").mkdir()
    monitor = PretendedMonitor(temporary / "pagelab-x" / "qmp")
    done = tree.pagelab("screenshot", "picture.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "picture.png\n"
    assert (tree.path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert monitor.commands[-1] == {"execute": "screendump", "arguments": {
        "filename": str((tree.path / "picture.png").resolve()), "format": "png"}}


def test_names_several_runs(tree: Tree, temporary: Path) -> None:
    for name in ("a", "b"):
        (temporary / f"pagelab-{name}").mkdir()
        PretendedMonitor(temporary / f"pagelab-{name}" / "qmp")
    done = tree.pagelab("screenshot", "picture.png")
    assert done.returncode == 5
    assert "pagelab-a/qmp" in done.stderr and "pagelab-b/qmp" in done.stderr
    assert tree.pagelab("screenshot", "picture.png", "--qmp",
                        str(temporary / "pagelab-b" / "qmp")).returncode == 0


@pytest.mark.parametrize("words", [["picture.png"], ["picture.jpg"],
                                   ["picture.png", "--qmp", "nowhere"]])
def test_says_why_not(tree: Tree, temporary: Path, words: list[str]) -> None:
    done = tree.pagelab("screenshot", *words)
    assert done.returncode == 5
    assert done.stderr.startswith("pagelab: ") and "Traceback" not in done.stderr


def test_a_run_can_be_reached(tree: Tree) -> None:
    tree.run()
    arguments = tree.qemu_arguments
    assert arguments[arguments.index("-qmp") + 1].startswith("unix:")
    assert arguments[arguments.index("-display") + 1] == "none"


@pytest.mark.parametrize(("kinds", "wanted"), [("none sdl", "sdl"), ("gtk sdl none", "gtk")])
def test_window(tree: Tree, kinds: str, wanted: str) -> None:
    tree.pretend_script(f'[ "$2" = help ] && {{ printf "%s\\n" {kinds}; exit 0; }}\n'
                        f"cat {tree.path}/stream\nexit 33")
    assert tree.run("--window").returncode == 0
    arguments = tree.qemu_arguments
    assert arguments[arguments.index("-display") + 1] == wanted


def test_no_window_without_the_means(tree: Tree) -> None:
    tree.pretend_script('[ "$2" = help ] && { echo none; exit 0; }\nexit 33')
    done = tree.run("--window")
    assert done.returncode == 5
    assert "qemu-system-gui" in done.stderr


def test_the_users_display_wins(tree: Tree) -> None:
    assert tree.run("--window", "--", "-display", "curses").returncode == 0
    assert tree.qemu_arguments.count("-display") == 1
