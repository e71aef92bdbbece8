"""What the types are there to prevent does not compile."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAD = '#include "core/mm/frames.h"\nvoid f(void);\nvoid f(void)\n{\n    phys_t page;\n'
GOOD = "    if (frames_take(FRAME_DATA, &page) == OK)\n        frames_give(page);\n}\n"


def compiles(compiler: str, body: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([compiler, "-std=gnu2x", "-Werror", "-I.", "-Itests/host", "-fsyntax-only", "-xc",
                           "-"], input=HEAD + body, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_good(compiler: str) -> None:
    done = compiles(compiler, GOOD)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize(("old", "new", "complaint"), [
    ("if (frames_take(FRAME_DATA, &page) == OK)", "frames_take(FRAME_DATA, &page);", "nodiscard"),
    ("frames_give(page);", "frames_give(page.value);", "incompatible type"),
    ("frames_give(page);", "frames_give(virt(page.value));", "incompatible type"),
])
def test_refused(compiler: str, old: str, new: str, complaint: str) -> None:
    done = compiles(compiler, GOOD.replace(old, new))
    assert done.returncode != 0
    assert complaint in done.stderr or "unused-result" in done.stderr
