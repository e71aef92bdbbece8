"""Help texts, bad usage, `check` and `list`."""

import pytest
from pretended import Tree

CHECKER = """#!/bin/sh
if [ "$1" = --list ]; then
    printf 'fork-cow\\tquick seed\\tpages=256\\tfork, then write\\n'
    exit 0
fi
echo "$1:1:1: error: bad" ; exit 1
"""


def with_checker(tree: Tree) -> None:
    """A Makefile that 'builds' a checker."""
    (tree.path / "checker.sh").write_text(CHECKER)
    (tree.path / "Makefile").write_text(
        "build/pagelab-check: checker.sh\n\tcp $< $@ && chmod +x $@\n")


@pytest.mark.parametrize("command", [[], ["run"], ["collect"], ["check"], ["list"],
                                     ["screenshot"]])
def test_help(tree: Tree, command: list[str]) -> None:
    done = tree.pagelab(*command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: pagelab")
    assert "exit status" in done.stdout


@pytest.mark.parametrize("words", [[], ["bogus"], ["collect"], ["check"], ["list", "--", "-x"],
                                   ["collect", "x", "--baud", "fast"]])
def test_bad_usage(tree: Tree, words: list[str]) -> None:
    done = tree.pagelab(*words)
    assert done.returncode == 5
    assert "Traceback" not in done.stderr
    assert "--help" in done.stderr


def test_list(tree: Tree) -> None:
    with_checker(tree)
    done = tree.pagelab("list")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "name      tags        parameters  description",
        "fork-cow  quick seed  pages=256   fork, then write"]


def test_check_has_the_checkers_status(tree: Tree) -> None:
    with_checker(tree)
    done = tree.pagelab("check", "scenarios/fork-cow.scn")
    assert done.returncode == 1
    assert done.stdout == "scenarios/fork-cow.scn:1:1: error: bad\n"


def test_check_without_a_file(tree: Tree) -> None:
    with_checker(tree)
    done = tree.pagelab("check", "nowhere.scn")
    assert (done.returncode, done.stderr) == (5, "pagelab: no file 'nowhere.scn'\n")


def test_checker_that_does_not_build(tree: Tree) -> None:
    done = tree.pagelab("list")
    assert done.returncode == 5
    assert "`make build/pagelab-check` failed" in done.stderr
