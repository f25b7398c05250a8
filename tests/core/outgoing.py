"""Making outgoing values for tests: ordinary ones, and the largest that ids at their limit allow."""

from __future__ import annotations

from urllib.parse import quote

from streamer.core.effects import Alternative, Candidate, Decision, Experiment, SlateItem, Template, Trigger
from streamer.core.encode import rfc3339
from streamer.core.record import Record

AT_MS = 1_772_359_200_250


def candidate(
    user: str = "user-42",
    event_id: str = "evt-0001",
    items: tuple[str, ...] = ("sku-7", "sku-9"),
    words: dict[str, str] | None = None,
    reasons: tuple[str, ...] = ("often viewed with Trail shoe", "in shoes.running, which you like"),
) -> Candidate:
    """A candidate as the policy builds it."""
    return Candidate(
        schema_version=1,
        candidate_id="0123456789abcdef" * 2,
        dedupe_key="0123456789abcdef",
        collapse_key="next",
        user_id=user,
        trigger=Trigger("remove_from_cart", event_id, "purchase", 1023, 2**62),
        event_time=rfc3339(AT_MS),
        decided_at=rfc3339(AT_MS + 1),
        campaign="next",
        channel="in-app",
        template=Template("next.v1", "zh-Hant-TW", {"title": "Trail shoe"} if words is None else words),
        items=tuple(SlateItem(item, 0.12345600128173828, "category_affinity") for item in items),
        deep_link=f"shop://item/{quote(items[0], safe='')}?campaign=next",
        priority="normal",
        expires_at=rfc3339(AT_MS + 3_600_000),
        score=0.12345600128173828,
        propensity=0.9876543210123457,
        experiments=(Experiment("slate-size", "three"),),
        model_version=2**53,
        policy_version="9f3c12",
        reasons=reasons,
    )


def refusal(reason: str = "min_gap", origin: str = "browse:12345", model_version: int = 12) -> Decision:
    """A decision before ranking."""
    return Decision("user-42", origin, "next", reason, 1.0, model_version, "9f3c12")


def ranked(reason: str = "sent") -> Decision:
    """A decision after ranking."""
    return Decision(
        user="user-42",
        origin="browse:12345",
        campaign="next",
        reason=reason,
        propensity=0.25,
        model_version=12,
        policy_version="9f3c12",
        event_id="evt-0001",
        candidate_id="0123456789abcdef" * 2,
        score=0.125,
        items=("sku-7", "sku-9"),
        features=(0.0, 1.5, -0.25),
        alternatives=(Alternative("sku-3", 0.25, 0.75), Alternative("sku-7", 0.125, 0.25)),
    )


def record(value: bytes | None = b"poison", key: bytes | None = b"user-42", header: bytes = b"00-1") -> Record:
    """A record that could not be folded."""
    return Record("browse", 3, 17, 1_772_359_200_250, key, value, (("traceparent", header),))
