"""The menu, driven over the serial port as a person at a terminal would."""

import os
from collections.abc import Iterator
from pathlib import Path

import machine
import pexpect
import pytest
import strict

MENU_SECONDS = 180
RUN_SECONDS = 300
KEYS_MAX = 80
# The menu redraws only what changes: look for words, not for lines.
ENTER = "\r"
HIGHLIGHTED = r"> \[[x ]\] ([a-z-]+)[^a-z-]"  # the whole name has arrived


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def menu(tmp_path: Path, out: Path) -> Iterator[pexpect.spawn]:
    """`tools/pagelab run menu=on` in a terminal, with the user's files on a stick, at the menu."""
    image = tmp_path / "stick.img"
    machine.make_image(image, {f"pagelab/scenarios/{name}.scn": machine.SCENARIOS / f"{name}.scn"
                               for name in ("hello", "broken")})
    words = ("run", "menu=on", "timeout=0", "--out", str(out), "--", *machine.drive(image))
    machine.Booted(0, out, "", "", (str(machine.PAGELAB), *words))  # for whoever reads why a test failed
    process = pexpect.spawn(
        str(machine.PAGELAB), list(words), timeout=MENU_SECONDS, encoding="utf-8", codec_errors="replace", dimensions=(25, 80),
        env=os.environ | {"TERM": "vt100"})
    process.expect("a laboratory for virtual memory")
    yield process
    process.close(force=True)


def finish(menu: pexpect.spawn) -> int:
    menu.expect(pexpect.EOF, timeout=RUN_SECONDS)
    menu.wait()
    return int(menu.exitstatus)


def names(out: Path) -> list[str]:
    console = (out / "console.log").read_text(errors="replace")
    return [result.name for result in strict.read(console).results]


def test_lists_and_runs_the_users_scenario(menu: pexpect.spawn, out: Path) -> None:
    menu.send("n")
    menu.expect("Enter runs the current scenario alone")
    assert "hello" in (highlighted(menu, "j") for _ in range(KEYS_MAX))
    menu.expect("from the boot volume; tags: mine")
    menu.send(ENTER)
    assert finish(menu) == 0
    assert names(out) == ["hello"]


def test_edits_parameters(menu: pexpect.spawn, out: Path) -> None:
    menu.expect("Enter run")
    menu.send("e")
    menu.expect("Parameters>")
    menu.send(" run=hello hello.pages=2 seed=77" + ENTER)
    menu.expect("Enter runs 1 scenario")
    menu.send(ENTER)
    assert finish(menu) == 0
    assert names(out) == ["hello"]
    run = machine.Booted(0, out, "", "")
    assert run.meta["seed"] == "77"
    assert run.median("hello.write", pages=2) > 0


def test_timeout_runs_the_default(tmp_path: Path, out: Path) -> None:
    run = machine.boot(out, "menu=on", "timeout=2", "run=null")
    assert run.status == 0, run
    assert names(out) == ["null"]


def highlighted(menu: pexpect.spawn, key: str) -> str:
    """Presses a key; the scenario that is highlighted then."""
    menu.send(key)
    menu.expect(HIGHLIGHTED)
    return str(menu.match[1])


HOME_AND_END = {"xterm": ("\x1b[H", "\x1b[F"), "tmux": ("\x1b[1~", "\x1b[4~"), "application": ("\x1bOH", "\x1bOF")}


def test_home_and_end(menu: pexpect.spawn) -> None:
    """As the terminals of this world send them, whatever the firmware makes of it."""
    menu.expect("Enter run")
    for terminal, (home, end) in HOME_AND_END.items():
        second = highlighted(menu, "j")
        assert highlighted(menu, end) > second, terminal
        assert highlighted(menu, home) < second, terminal
    menu.send("q")


def test_one_tag(menu: pexpect.spawn, out: Path) -> None:
    """The tags come in turn; A and N are for those that are listed."""
    menu.expect("Enter run")
    menu.send("n")
    menu.expect("0 of [0-9]+ ticked")
    for _ in range(KEYS_MAX):
        menu.send("t")
        menu.expect(r"tag ([a-z]+): ([0-9]+) of")
        if menu.match[1] == "mine":
            break
    assert menu.match[2] == "1"
    menu.send("a")
    menu.expect("Enter runs 1 scenario")
    menu.send("\x1b")
    menu.expect("what it shows")
    menu.send(ENTER)
    assert finish(menu) == 0
    assert names(out) == ["hello"]


def test_details_and_help(menu: pexpect.spawn) -> None:
    """A file that does not parse says so among the scenarios."""
    menu.expect(r"BROKEN broken\.scn:3:12")
    menu.send("?")
    menu.expect("Any key goes back")
    menu.send("?")
    menu.expect("what it shows")
    menu.send("j")
    menu.send("d")
    menu.expect("built in; tags")
    menu.expect("Up and Down show other scenarios")
    menu.send("q")
    menu.expect("what it shows")
    menu.send("q")
