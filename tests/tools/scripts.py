"""Programs whose names do not end in .py, as modules whose functions can be called."""

import importlib.machinery
import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def load(program: str) -> ModuleType:
    """The program at this path of the tree, not run."""
    name = program.replace("/", "_")
    loader = importlib.machinery.SourceFileLoader(name, str(ROOT / program))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
