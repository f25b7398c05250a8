"""The contracts page tells the truth: its examples work, and it leaves no name out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from streamer.core.adapters.registry import ADAPTERS
from streamer.core.catalog import read_entry
from streamer.core.events import EVENT_TYPES, REJECTIONS
from tests.core.inbound import event
from tests.core.test_schemas import SCHEMAS, valid

PAGE = (Path(__file__).parents[2] / "docs" / "contracts.md").read_text()
EXAMPLES: list[tuple[str, Any]] = [
    (kind, json.loads(body)) for kind, body in re.findall(r"^```json (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
]


def test_every_contract_has_an_example() -> None:
    """Schemas, adapters, and the binary mode."""
    kinds = {kind for kind, _ in EXAMPLES}
    assert kinds == set(SCHEMAS) | {adapter.SOURCE for adapter in ADAPTERS} | {"binary"}
    assert PAGE.count("```") == 2 * len(EXAMPLES)


@pytest.mark.parametrize(("kind", "value"), EXAMPLES)
def test_an_example_is_what_it_is_said_to_be(kind: str, value: Any) -> None:
    """Valid by its schema, and read by what reads it."""
    if kind in SCHEMAS:
        assert valid(kind, value)
    if kind in {"event", "feedback", "preferences"}:
        assert event(value).type == value["type"]
    elif kind == "catalog":
        assert read_entry(json.dumps(value).encode()) is not None
    elif kind == "binary":
        headers = tuple((name, content.encode()) for name, content in value["headers"].items())
        assert event(value["value"], headers).type == value["headers"]["ce_type"]
    elif kind not in SCHEMAS:
        assert event(value).source == kind


def test_every_type_and_every_reason_is_on_the_page() -> None:
    """By its own name, with its topic in the same row."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    for kind in EVENT_TYPES.values():
        assert any(f"`{kind.name}`" in row and f"| `{kind.topic}` |" in row for row in rows), kind.name
    for reason in REJECTIONS:
        assert any(row.startswith(f"| `{reason}` |") for row in rows), reason


def test_every_foreign_name_is_on_the_page() -> None:
    """A producer looks for its own word."""
    for adapter in ADAPTERS:
        for name in adapter.TYPES:
            assert re.search(rf"\b{name}\b", PAGE), name
