"""`tools/make-image`: the same files give the same image, and they are in it."""

import subprocess
from pathlib import Path

from pretended import Tree


def make(tree: Tree, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tree.path / "tools" / "make-image", *words], cwd=tree.path,
                          capture_output=True, text=True, timeout=180, check=False)


def read(image: Path, name: str) -> bytes:
    return subprocess.run(["mtype", "-i", f"{image}@@1M", f"::{name}"], capture_output=True,
                          check=True).stdout


def test_contents(tree: Tree) -> None:
    (tree.path / "mine.scn").write_text('scenario mine "x"\n')
    done = make(tree, "a.img", "mine.scn", "startup.nsh=tools/pagelab")
    assert (done.returncode, done.stderr) == (0, "")
    image = tree.path / "a.img"
    assert read(image, "EFI/BOOT/BOOTX64.EFI") == b"MZ"
    assert read(image, "pagelab/scenarios/mine.scn") == b'scenario mine "x"\n'
    assert read(image, "startup.nsh") == (tree.path / "tools" / "pagelab").read_bytes()
    assert b"boot parameters" in read(image, "pagelab/pagelab.cfg")
    table = subprocess.run(["sgdisk", "--verify", image], capture_output=True, text=True,
                           check=True).stdout
    assert "No problems found" in table


def test_own_config(tree: Tree) -> None:
    (tree.path / "x.cfg").write_text("run=null\n")
    assert make(tree, "a.img", "x.cfg").returncode == 0
    assert read(tree.path / "a.img", "pagelab/pagelab.cfg") == b"run=null\n"


def test_reproducible(tree: Tree) -> None:
    assert make(tree, "a.img").returncode == 0
    (tree.path / "build" / "BOOTX64.EFI").touch()
    assert make(tree, "b.img").returncode == 0
    assert (tree.path / "a.img").read_bytes() == (tree.path / "b.img").read_bytes()


def test_bad_usage(tree: Tree) -> None:
    for words, message in ((["a.img", "x"], "neither a .scn nor a .cfg"), ([], "OUT"),
                           (["a.img", "x.scn"], "no file 'x.scn'"),
                           (["--size", "8", "a.img"], "at least 40 MiB")):
        done = make(tree, *words)
        assert done.returncode == 5, words
        assert message in done.stderr
        assert not (tree.path / "a.img").exists()


def test_missing_loader(tree: Tree) -> None:
    (tree.path / "build" / "BOOTX64.EFI").unlink()
    assert "run `make` first" in make(tree, "a.img").stderr
