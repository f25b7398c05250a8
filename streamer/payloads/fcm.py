"""Firebase Cloud Messaging, HTTP v1: the body of ``POST …/v1/projects/PROJECT/messages:send``.

As https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages has it: values of ``data`` are strings.
A token does not tell whether it is of Android, iOS or a browser, and each is told in its own block for how long, how
urgently and in place of what: ``apns`` and ``webpush`` have the headers that ``apns.py`` and ``web_push.py`` send.
``android.collapse_key`` replaces what waits for a device that is away, ``android.notification.tag`` what it shows
already; ``android.ttl`` is seconds with an "s". On Android and the Web FCM takes at most 28 days, and leaves iOS to
Apple (https://firebase.google.com/docs/cloud-messaging/customize-messages/setting-message-lifespan). FCM keeps four
collapse keys a device at a time: more campaigns than that, and it is not said which are kept.

The maximum payload is 4,096 bytes (https://firebase.google.com/docs/cloud-messaging/concept-options); here it is
``notification`` and ``data`` together as JSON, which is more than either alone. The platforms' blocks say how to
deliver that and are not counted.

On Android ``high`` wakes a device that dozes, and FCM lowers an app's priority whose high messages show nothing;
``normal`` and ``low`` are both ``normal``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from streamer.payloads import apns, web_push
from streamer.payloads.message import Message, Request, encode, fit, priority, seconds_left, told

if TYPE_CHECKING:
    from streamer.core.effects import Candidate

LIMIT_BYTES: Final = 4096
LONGEST_TTL_S: Final = 2_419_200
_PRIORITIES: Final = {"high": "high", "normal": "normal", "low": "normal"}


def fcm(candidate: Candidate, message: Message, token: str, now_ms: int) -> Request:
    """The request that pushes ``candidate`` to the device with ``token``. Raises ``Expired`` and ``TooLarge``."""
    ttl = min(seconds_left(candidate, now_ms), LONGEST_TTL_S)
    data = {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in told(candidate).items()
    }

    def counted(words: Message) -> dict[str, object]:
        return {"notification": {"title": words.title, "body": words.body}, "data": data}

    body = {
        "message": {
            "token": token,
            **counted(fit(message, LIMIT_BYTES, counted, "FCM")),
            "android": {
                "collapse_key": candidate.collapse_key,
                "priority": priority(candidate, _PRIORITIES),
                "ttl": f"{ttl}s",
                "notification": {"tag": candidate.collapse_key},
            },
            "apns": {"headers": apns.delivery(candidate)},
            "webpush": {"headers": web_push.delivery(candidate, ttl)},
        }
    }
    return Request({"content-type": "application/json"}, encode(body))
