"""Apple Push Notification service: headers and body of ``POST /3/device/TOKEN``.

Headers as https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns has them:
``apns-expiration`` in seconds since the epoch; ``apns-priority`` 10 at once, 5 with regard to the device's power, 1
with regard to that alone; ``apns-collapse-id`` at most 64 bytes, replaces what is shown; ``apns-id`` a UUID, which is
the candidate's id. The body as https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification
has it: at most 4,096 bytes, our own keys as peers of ``aps``.

``interruption-level`` is ``passive`` for low priority and ``active`` otherwise: ``time-sensitive`` breaks through a
shopper's Focus, for which no offer is reason enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from streamer.payloads.message import Message, Request, digest, encode, expires_ms, fit, priority, seconds_left, told

if TYPE_CHECKING:
    from streamer.core.effects import Candidate

LIMIT_BYTES: Final = 4096
COLLAPSE_BYTES: Final = 64
_PRIORITIES: Final = {"high": "10", "normal": "5", "low": "1"}
_LEVELS: Final = {"high": "active", "normal": "active", "low": "passive"}


def apns(candidate: Candidate, message: Message, topic: str, now_ms: int) -> Request:
    """The request that pushes ``candidate`` to the app ``topic`` (its bundle id). Raises ``Expired``, ``TooLarge``."""
    seconds_left(candidate, now_ms)

    def body(words: Message) -> dict[str, object]:
        return {
            "aps": {
                "alert": {"title": words.title, "body": words.body},
                "interruption-level": priority(candidate, _LEVELS),
                "relevance-score": min(max(candidate.score, 0.0), 1.0),
                "thread-id": candidate.campaign,
            },
            **told(candidate),
        }

    headers = {
        "apns-push-type": "alert",
        "apns-topic": topic,
        "apns-id": str(UUID(candidate.candidate_id)),
        **delivery(candidate),
    }
    return Request(headers, encode(body(fit(message, LIMIT_BYTES, body, "APNs"))))


def delivery(candidate: Candidate) -> dict[str, str]:
    """The headers that say until when, how urgently and in place of what it is shown."""
    return {
        "apns-expiration": str(expires_ms(candidate) // 1000),
        "apns-priority": priority(candidate, _PRIORITIES),
        "apns-collapse-id": collapse_id(candidate.collapse_key),
    }


def collapse_id(key: str) -> str:
    """``key``, or a digest of it where it is no header's value or has more than 64 bytes."""
    return key if key.isascii() and key.isprintable() and len(key) <= COLLAPSE_BYTES else digest(key).hex()
