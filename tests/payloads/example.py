"""The example notification service as a module: it is a script in a folder of its own, and no package has it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[2] / "deploy" / "examples" / "notifier" / "notifier.py"


def _loaded() -> Any:
    spec = importlib.util.spec_from_file_location("example_notifier", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    # Dataclasses look up their module by its name.
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


notifier = _loaded()
