"""A violation to plant: the rule that it breaks, and what plants it."""

from __future__ import annotations

from collections.abc import Callable

from tests.governance.made import Made

Plants = dict[str, tuple[str, Callable[[Made], None]]]
