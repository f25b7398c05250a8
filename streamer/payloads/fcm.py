"""Firebase Cloud Messaging, HTTP v1: the body of ``POST …/v1/projects/PROJECT/messages:send``.

As https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages has it: values of ``data`` are strings.
A token does not tell whether it is of Android, iOS or a browser, and each is told in its own block for how long, how
urgently and in place of what: ``apns`` and ``webpush`` have the headers that ``apns.py`` and ``web_push.py`` send.
``android.collapse_key`` and the header ``Topic`` replace what waits for a device that is away,
``android.notification.tag`` and ``webpush.notification.tag`` what it shows already: title and body stay those of
``notification``, as ``webpush.notification`` has none. ``android.ttl`` is seconds with an "s". On Android and the Web
FCM takes at most 28 days, and leaves iOS to Apple
(https://firebase.google.com/docs/cloud-messaging/customize-messages/setting-message-lifespan). FCM keeps four
collapse keys a device at a time: more campaigns than that, and it is not said which are kept.

The maximum payload is 4,096 bytes (https://firebase.google.com/docs/cloud-messaging/concept-options), and it is the
maximum of APNs and of Web Push, to which FCM passes it on, too. What is counted here is ``notification`` and ``data``
together as JSON, which is more than either alone; ``LIMIT_BYTES`` leaves room for what FCM adds. The platforms' blocks
say how to deliver that and are not counted.

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

# What FCM adds on the way also counts where it arrives. On iOS that is gcm.message_id, google.c.a.e, google.c.fid,
# google.c.sender.id and the nesting in aps.alert: 123 bytes and more, by the length of ids that are FCM's to choose. In
# a browser it is the sender, fcmMessageId, the tag, and 103 bytes of encryption. At 4,096 of ours, what Apple gets is
# more than the 4,096 that it takes.
LIMIT_BYTES: Final = 3800
_PRIORITIES: Final = {"high": "high", "normal": "normal", "low": "normal"}


def fcm(candidate: Candidate, message: Message, token: str, now_ms: int) -> Request:
    """The request that pushes ``candidate`` to the device with ``token``. Raises ``Expired`` and ``TooLarge``."""
    ttl = min(seconds_left(candidate, now_ms), web_push.LONGEST_TTL_S)
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
            "webpush": {
                "headers": web_push.delivery(candidate, ttl),
                "notification": {"tag": candidate.collapse_key},
            },
        }
    }
    return Request({"content-type": "application/json"}, encode(body))
