"""What one commit sends, and what is read off the records it is made of."""

from __future__ import annotations

from typing import Any

import pytest

from agents.outbox import produced_times
from streamer.core.record import Record


@pytest.mark.parametrize(
    ("value", "told"),
    [(b"1772366400123", [1_772_366_400_123]), (None, []), (b"", []), (b"now", []), (b"-1", []), (b"9" * 16, [])],
)
def test_a_time_of_sending_that_cannot_be_read_is_passed_over(value: Any, told: list[int]) -> None:
    """Kafka allows a header without a value, too: such a record ended the process, again and again."""
    record = Record("browse", 0, 0, 0, None, None, (("other", b"1"), ("produced_at", value)))
    assert produced_times([record]) == told
