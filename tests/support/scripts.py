"""Load files of `scripts/` as modules."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from tests.support.paths import PROJECT

SCRIPTS = PROJECT / "scripts"


def load_script(name: str) -> ModuleType:
    """Load `scripts/NAME.py` as a new module."""
    spec = importlib.util.spec_from_file_location(f"scripts_{name}", SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
