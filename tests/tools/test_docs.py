"""The documents agree with the program: links lead somewhere, examples run, names exist, figures are those
of the reference run. Needs `make host`."""

import csv
import re
import struct
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKER = ROOT / "build" / "pagelab-check"
HOSTED = ROOT / "build" / "pagelab-host"
REFERENCE = ROOT / "results" / "reference"
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "results" / "README.md", *ROOT.glob("docs/*.md")])
SOURCES = [path for room in ("core", "efi", "x86_64", "tests/host") for path in ROOT.glob(f"{room}/**/*")
           if path.suffix in (".c", ".h", ".asm")]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)


def prose(path: Path) -> str:
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """The names that headings get, as on GitHub."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def built(program: Path) -> Path:
    assert program.exists(), f"{program.name} is missing: run `make host`"
    return program


def output_of(*words: str | Path) -> str:
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=180).stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links(document: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", prose(document))
    for link in links:
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_document_is_linked() -> None:
    text = (ROOT / "README.md").read_text()
    for document in DOCUMENTS[1:]:
        assert f"({document.relative_to(ROOT)})" in text, document


EXAMPLES = {f"{path.name}:{match[1]}": block for path in DOCUMENTS for block in blocks(path, "tcl")
            if (match := re.match(r"scenario (\S+) ", block))}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"{name.partition(':')[2]}.scn"
    file.write_text(EXAMPLES[name])
    done = subprocess.run([built(HOSTED), file, "check=deep"], cwd=ROOT, capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "@pagelab done passed=1 failed=0 skipped=0 status=0" in done.stdout


def test_there_are_examples() -> None:
    assert {"README.md:read-only", "scenario-language.md:first-steps"} <= set(EXAMPLES)


def test_figures_are_of_the_reference_run() -> None:
    lines = (REFERENCE / "timings.csv").read_text().splitlines()
    quoted = [line for path in DOCUMENTS for block in blocks(path, "csv") for line in block.splitlines()]
    assert len(quoted) > 4
    for line in quoted:
        assert line in lines, f"not in results/reference/timings.csv (tools/quote-figures): {line}"


def test_meta_keys() -> None:
    with (REFERENCE / "meta.csv").open(newline="") as file:
        keys = {row["key"] for row in csv.DictReader(file)}
    table = (ROOT / "results" / "README.md").read_text().partition("## meta.csv")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == keys


def test_commands() -> None:
    """What the language's table has, and nothing else, stands in its document."""
    text = (ROOT / "docs" / "scenario-language.md").read_text()
    for row in output_of(built(CHECKER), "--reference").splitlines():
        usage, _, help_text = row.partition("\t")
        command = re.match(r"expect (fault|error)|\w+", usage)
        assert command, usage
        assert help_text, usage
        name = command[0]
        assert re.search(rf"`{name}[ `]", text), f"'{name}' is missing"
        for option in re.findall(r"([\w-]+)=", usage):
            assert re.search(rf"\b{option}=", text), f"option '{option}=' of '{name}' is missing"


def names_in_source(file: str, pattern: str) -> list[str]:
    found = re.findall(pattern, (ROOT / file).read_text())
    assert len(found) > 3, f"{file} does not look as expected"
    return found


def test_counters_and_variables() -> None:
    text = (ROOT / "docs" / "scenario-language.md").read_text()
    for counter in names_in_source("core/counters.h", r'X\(\w+, "([a-z_.]+)"\)'):
        assert f"`{counter}`" in text, counter
    for variable in names_in_source("core/script/variables.c", r'\{"(\w+)", VARIABLE_'):
        assert re.search(rf"`\$(S\.|S\.R\.|O\.)?{variable}`", text), variable
    for error in names_in_source("core/result.h", r"X\((E[A-Z]+)\)"):
        assert (f"| `{error}` |" in text) == (error != "EAGAIN"), error


def test_boot_parameters() -> None:
    text = (ROOT / "docs" / "boot-parameters.md").read_text()
    table = (ROOT / "core/script/boot_params.c").read_text()
    names = re.findall(r'^    \{"([a-z-]+)", "', table.replace('",\n     apply', '", apply'), re.MULTILINE)
    assert {"run", "seed", "on-exit"} <= set(names)
    for name in names:
        assert name == "selftest" or re.search(rf"`{name}[=`]", text), name


def test_make_targets_and_tools() -> None:
    targets = set(re.findall(r"^make (\w+)", output_of("make", "help"), re.MULTILINE))
    commands = re.findall(r"^    (\w+)\b", output_of("tools/pagelab", "--help"), re.MULTILINE)
    for path in DOCUMENTS:
        text = path.read_text()
        for words in re.findall(r"(?:^|`|&& )make ((?:[a-z]+ ?)+)(?= |`|$)", text, re.MULTILINE):
            assert set(words.split()) <= targets, f"{path.name}: make {words}"
        for command in re.findall(r"tools/pagelab (\w+)", text):
            assert command in commands, f"{path.name}: tools/pagelab {command}"


def test_screens() -> None:
    """What tools/make-screens takes: every picture is there, as large as its name says, and shown."""
    text = (ROOT / "docs" / "real-hardware.md").read_text()
    names = {f"{what}-{size}.png" for what in ("menu", "progress", "summary", "panic")
             for size in ("640x480", "1920x1080")}
    assert {path.name for path in (ROOT / "docs" / "screens").iterdir()} == names
    for name in names:
        width, height = struct.unpack_from(">II", (ROOT / "docs" / "screens" / name).read_bytes(), 16)
        assert name.endswith(f"-{width}x{height}.png")
        assert f"(screens/{name})" in text


def test_names_of_the_code() -> None:
    """Files and functions that documents name are there."""
    code = "\n".join(path.read_text() for path in SOURCES)
    files = {path.name for path in SOURCES}
    for path in DOCUMENTS:
        for span in re.findall(r"`([^`\n]+)`", prose(path)):
            if "NAME" in span:
                continue
            if re.fullmatch(r"(core|efi|x86_64|tests|tools|scenarios|docs)/[\w./-]+", span):
                assert (ROOT / span).exists(), f"{path.name}: {span}"
            elif re.fullmatch(r"\w+\.(c|h|asm)", span):
                assert span in files, f"{path.name}: {span}"
            function = re.fullmatch(r"([a-z]\w+_\w+|panic)\(\)", span)
            if function:
                assert re.search(rf"\b{function[1]}\(", code), f"{path.name}: {span}"
