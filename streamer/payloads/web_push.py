"""Web Push: headers of the request to a subscription's endpoint, and the text to be encrypted into its body.

Headers as RFC 8030 has them: ``TTL`` in seconds (5.2), ``Urgency`` (5.3), ``Topic``, at most 32 characters of the URL
and filename safe Base 64 alphabet, replaces what waits for the browser (5.4). ``TTL`` is at most 28 days: Chrome's
subscriptions are at FCM, which takes no more (https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode), and
any push service may keep a message for less than asked. A push service need not take more than
4,096 bytes (7.2), of which encryption takes 103: at most 3,993 of plaintext (RFC 8291, 4). Encryption and the
``authorization`` header (RFC 8292) are the sender's, who has the keys.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Final

from streamer.payloads.message import Message, Request, digest, encode, fit, priority, seconds_left, told

if TYPE_CHECKING:
    from streamer.core.effects import Candidate

LIMIT_BYTES: Final = 4096 - 103
LONGEST_TTL_S: Final = 28 * 86_400
_TOPIC: Final = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)
_URGENCIES: Final = {"high": "high", "normal": "normal", "low": "low"}


def web_push(candidate: Candidate, message: Message, now_ms: int) -> Request:
    """The request for ``candidate``, its body not yet encrypted. Raises ``Expired`` and ``TooLarge``."""
    ttl = min(seconds_left(candidate, now_ms), LONGEST_TTL_S)

    def body(words: Message) -> dict[str, object]:
        return {"title": words.title, "body": words.body, "tag": candidate.collapse_key, **told(candidate)}

    return Request(delivery(candidate, ttl), encode(body(fit(message, LIMIT_BYTES, body, "Web Push"))))


def delivery(candidate: Candidate, ttl: int) -> dict[str, str]:
    """The headers that say for how many seconds, how urgently and in place of what it waits for the browser."""
    return {
        "TTL": str(ttl),
        "Urgency": priority(candidate, _URGENCIES),
        "Topic": topic(candidate.collapse_key),
    }


def topic(key: str) -> str:
    """``key``, or 32 characters that stand for it where it is no topic."""
    return key if _TOPIC.fullmatch(key) else urlsafe_b64encode(digest(key)).decode()
