"""tools/lint must still find what it looks for."""

from pathlib import Path
from types import ModuleType

import pytest
import scripts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def lint() -> ModuleType:
    return scripts.load("tools/lint")


@pytest.mark.parametrize("name, header, allowed", [
    ("core/mm/fault.c", '"core/machine.h"', True),
    ("core/mm/fault.c", '"core/mm/space.h"', True),
    ("core/mm/fault.c", '"x86_64/pte.h"', False),
    ("core/mm/fault.c", '"machine_inline.h"', False),
    ("core/mm/fault.c", '"core/script/script.h"', False),
    ("core/mm/fault.c", '"core/report/report.h"', False),
    ("core/mm/fault.c", "<string.h>", False),
    ("core/machine.h", '"machine_inline.h"', True),
    ("core/report/csv.c", '"core/mm/mm.h"', False),
    ("core/log.c", '"core/mm/mm.h"', False),
    ("core/script/run_value.c", '"core/mm/mm.h"', True),
    ("core/script/run_value.c", '"core/mm/internal.h"', False),
    ("core/main.c", '"core/script/runner.h"', True),
    ("core/log.c", '"core/main.c"', False),
    ("x86_64/smp.c", '"core/machine.h"', True),
    ("x86_64/smp.c", '"core/mm/mm.h"', False),
    ("efi/main.c", '"core/script/script.h"', True),
    ("efi/main.c", '"core/machine.h"', False),
    ("efi/main.c", '"x86_64/pte.h"', False),
])
def test_edges(lint: ModuleType, name: str, header: str, allowed: bool) -> None:
    assert lint.may_include(name, header) is allowed


def in_tree(lint: ModuleType, monkeypatch: pytest.MonkeyPatch, tree: Path, name: str, text: str) -> None:
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text(text)
    (tree / ".clang-format").write_text((ROOT / ".clang-format").read_text())
    monkeypatch.setattr(lint, "ROOT", tree)
    monkeypatch.setattr(lint, "sources", lambda *suffixes: [name] if name.endswith(suffixes) else [])


BAD = {
    "edges": ("core/mm/x.c", '#include "core/script/script.h"\n'),
    "conditions": ("core/x.c", "#ifdef DEBUG\n#endif\n"),
    "promises": ("core/x.c", "/* FIX" + "ME: finish */\n"),
    "sizes": ("core/x.c", "int f(void)\n{\n" + "\n" * 70 + "}\n"),
}


@pytest.mark.parametrize("check", BAD)
def test_finds_what_is_bad(lint: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                           check: str) -> None:
    in_tree(lint, monkeypatch, tmp_path, *BAD[check])
    assert lint.CHECKS[check]()


CLOSE = {
    "locks": """#include "core/lock.h"
extern struct lock lock;
void work(void) REQUIRES(lock);
void f(void);
void f(void)
{
    work();
}
""",
    "tidy": """int f(int i);
int f(int i)
{
    if (i == 1);
        return 0;
    return i;
}
""",
    "cppcheck": """int f(int i);
int f(int i)
{
    int a[4] = {0};
    a[4] = i;
    return a[0];
}
""",
}
GOOD = """#include "core/lock.h"
extern struct lock lock;
void f(int *p);
void f(int *p)
{
    lock_acquire(&lock);
    *p = 1;
    lock_release(&lock);
}
"""


def read_closely(lint: ModuleType, monkeypatch: pytest.MonkeyPatch, tree: Path, text: str) -> None:
    in_tree(lint, monkeypatch, tree, "core/x.c", text)
    for name in (".clang-tidy", ".cppcheck"):
        (tree / name).write_text((ROOT / name).read_text())
    flags = ["clang", "-std=gnu2x", f"-I{ROOT}", f"-I{ROOT}/x86_64", "-ffreestanding"]
    monkeypatch.setattr(lint, "commands", lambda: {"core/x.c": flags})


@pytest.mark.parametrize("check", CLOSE)
def test_finds_bugs(lint: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                    check: str) -> None:
    read_closely(lint, monkeypatch, tmp_path, CLOSE[check])
    assert any(finding.startswith("core/x.c:") for finding in lint.CHECKS[check]())
    read_closely(lint, monkeypatch, tmp_path, GOOD)
    assert lint.CHECKS[check]() == []


def test_commands_are_those_of_make(lint: ModuleType) -> None:
    known = lint.commands()
    assert {"core/mm/fault.c", "x86_64/smp.c", "efi/main.c", "core/script/parser.c"} <= set(known)
    assert "-ffreestanding" in known["core/mm/fault.c"]
    assert not {"-c", "-MMD"} & set(known["core/mm/fault.c"])  # nothing is written


def test_headers_may_be_long_in_comments_only(lint: ModuleType, monkeypatch: pytest.MonkeyPatch,
                                              tmp_path: Path) -> None:
    in_tree(lint, monkeypatch, tmp_path, "core/x.h", "/*\n" + "words\n" * 300 + "*/\n")
    assert not lint.check_sizes()
    in_tree(lint, monkeypatch, tmp_path, "core/x.h", "int x;\n" * 151)
    assert lint.check_sizes()


def test_a_clean_file_is_clean(lint: ModuleType, monkeypatch: pytest.MonkeyPatch,
                               tmp_path: Path) -> None:
    in_tree(lint, monkeypatch, tmp_path, "core/x.h",
            "/* Nothing. */\n#ifndef CORE_X_H\n#define CORE_X_H\n\n#include <stdint.h>\n\n#endif\n")
    for check in BAD:
        assert not lint.CHECKS[check](), check
