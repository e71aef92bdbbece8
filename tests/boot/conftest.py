"""Boots QEMU, in software where KVM does not work: a boot takes seconds. What one boot can show is
asserted on one boot: the fixtures here keep it for the session."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import machine  # noqa: E402

STARTED_BEFORE = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than half a minute")
    config.addinivalue_line("markers", "alone: tests/run boots nothing else meanwhile, since many CPUs "
                            "work at once, or it boots two machines itself")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not machine.LOADER.is_file():
        pytest.exit(f"{machine.LOADER} is missing: run `make` first", returncode=5)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[STARTED_BEFORE] = len(machine.started)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test that fails shows the machines that it started, and those that it was given."""
    report = (yield).get_result()  # type: ignore[misc]
    if report.failed:
        given = str(getattr(item, "funcargs", {}))
        own = machine.started[item.stash[STARTED_BEFORE]:]
        for one in [*(one for one in machine.started if one not in own and repr(one) in given), *own]:
            report.sections.append((repr(one), one.report))


@pytest.fixture
def boot(tmp_path: Path) -> Callable[..., machine.Booted]:
    """boot(*words): `tools/pagelab run` into a directory of the test's own."""
    return lambda *words: machine.boot(tmp_path / "run", *words)


@pytest.fixture(scope="session")
def default_run(tmp_path_factory: pytest.TempPathFactory) -> machine.Booted:
    """`tools/pagelab run`, as a new user starts it: every scenario."""
    return machine.boot(tmp_path_factory.mktemp("default"))


@pytest.fixture(scope="session")
def exact_runs(tmp_path_factory: pytest.TempPathFactory) -> list[machine.Booted]:
    """The same exact run twice, side by side: that they share the host must not show."""
    words = ("--exact", "run=fork-cow,fault-anon,floor")
    outs = [tmp_path_factory.mktemp("exact") for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda out: machine.boot(out, *words), outs))


@pytest.fixture(scope="session")
def panic_run(tmp_path_factory: pytest.TempPathFactory) -> machine.Booted:
    """A panic on purpose."""
    return machine.boot(tmp_path_factory.mktemp("panic"), "selftest=panic", "run=null")
