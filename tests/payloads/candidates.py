"""Candidates to make payloads of; ``python -m tests.payloads.candidates`` writes the payloads as golden files.

Look at what changed before you commit it: the files are what apps in people's pockets parse.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from streamer.core.effects import Candidate, SlateItem, Template, Trigger
from streamer.payloads.apns import apns
from streamer.payloads.fcm import fcm
from streamer.payloads.message import Message, Request, render
from streamer.payloads.web_push import web_push

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).parent / "golden"
NOW_MS = 1_772_359_620_500  # 2026-03-01T10:07:00.500Z
TEMPLATE = Message("Still thinking about {title}?", "{brand} {title}, now {price}. Because {reason}")

PLAIN = Candidate(
    schema_version=1,
    candidate_id="0123456789abcdef0123456789abcdef",
    dedupe_key="0123456789abcdef",
    collapse_key="next",
    user_id="user-42",
    trigger=Trigger("cart", "evt-3", "purchase", 2, 1207),
    event_time="2026-03-01T10:07:00.000Z",
    decided_at="2026-03-01T10:07:00.000Z",
    campaign="next",
    channel="push",
    template=Template("next.v1", "en", {"title": "Trail shoe", "brand": "acme", "price": "89.90"}),
    items=(SlateItem("sku-1", 0.31, "covisitation"), SlateItem("sku-7", 0.2, "popular")),
    deep_link="shop://item/sku-1?campaign=next",
    priority="normal",
    expires_at="2026-03-01T11:07:00.000Z",
    score=0.31,
    propensity=1.0,
    experiments=(),
    model_version=12,
    policy_version="9f3c12",
    reasons=("you looked at Socks twice", "often viewed with Socks"),
)
URGENT = replace(PLAIN, priority="high", collapse_key="back in stock / größe 42", campaign="back_in_stock")
WORDY = replace(
    PLAIN,
    priority="low",
    template=Template(
        "next.v1", "ja", {"title": "トレイルランニングシューズ" * 40, "brand": 'A"c"me', "price": "89.90"}
    ),
    items=tuple(SlateItem(f"{n}" + "x" * 255, 0.1, "popular") for n in range(3)),
    deep_link="shop://item/0" + "x" * 255,
)
CANDIDATES = {"plain": PLAIN, "urgent": URGENT, "wordy": WORDY}

VENDORS: dict[str, Callable[[Candidate, Message], Request]] = {
    "fcm": lambda candidate, message: fcm(candidate, message, "device-token", NOW_MS),
    "apns": lambda candidate, message: apns(candidate, message, "shop.example.app", NOW_MS),
    "web_push": lambda candidate, message: web_push(candidate, message, NOW_MS),
}


def shown(vendor: str, candidate: Candidate) -> str:
    """The request as its golden file has it."""
    request = VENDORS[vendor](candidate, render(TEMPLATE, candidate))
    whole = {"headers": request.headers, "body": json.loads(request.body)}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for vendor in VENDORS:
        for name, candidate in CANDIDATES.items():
            (GOLDEN / f"{vendor}_{name}.json").write_text(shown(vendor, candidate), encoding="utf-8")
