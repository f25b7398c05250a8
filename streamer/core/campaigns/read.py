"""A campaign from what its TOML file says. Every key is checked, and every problem found is told, with its place.

``SECTIONS`` is the list of keys: what may stand in a file, and how it is read.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

from streamer.core.campaigns.campaign import (
    PRICE_DROP,
    Audience,
    Campaign,
    Caps,
    Coupon,
    Due,
    Listing,
    Message,
    Source,
    Triggers,
)
from streamer.core.campaigns.words import PRICE_WAS, VARIABLES
from streamer.core.candidates.registry import GENERATORS
from streamer.core.events import EVENT_TYPES
from streamer.core.tags import TAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

CHANNELS: Final = ("push", "in-app", "email", "sms")
_UNITS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"(\d+)([smhd])")
_LONGEST_MS: Final = 3650 * _UNITS["d"]
_LONGEST_DIGITS: Final = len(str(_LONGEST_MS))
_MOST_RHYTHM: Final = 100
_COUPON: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MOST_CENTS: Final = 10**11
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_BEHAVIOUR: Final = tuple(t.name for t in EVENT_TYPES.values() if t.kind not in {"feedback", "preference"})
# Of those that need nothing items are welcome: a checkout may have them.
_OF_ITEMS: Final = frozenset(t.name for t in EVENT_TYPES.values() if t.needs in {"items", "nothing"})
_WATCHED: Final = frozenset(name for name in _OF_ITEMS if EVENT_TYPES[name].kind != "purchase")
_USUAL: Final = Triggers(())


class _RefusedError(ValueError):
    """A value does not fit; the message goes on after the value."""


class CampaignError(ValueError):
    """Campaigns cannot be used. ``problems``: one line each, beginning with file and key."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class Key(NamedTuple):
    """A key of a file: the field it becomes, and how it is read. ``read`` raises for what cannot be."""

    field: str
    read: Callable[[Any], Any]


def duration(value: Any) -> int:
    """Milliseconds, of seconds ("90s"), minutes ("30m"), hours ("12h") or days ("7d"); ten years at most."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _RefusedError('is no duration: write "90s", "30m", "12h" or "7d"')
    # Python does not read a number of thousands of digits.
    if len(match[1]) > _LONGEST_DIGITS or int(match[1]) * _UNITS[match[2]] > _LONGEST_MS:
        raise _RefusedError('is longer than ten years: write "3650d" at most')
    return int(match[1]) * _UNITS[match[2]]


def _some_time(value: Any) -> int:
    if not (time_ms := duration(value)):
        raise _RefusedError("is no time at all")
    return time_ms


def _part_of_day(value: Any) -> int:
    wait_ms = duration(value)
    if not _UNITS["h"] <= wait_ms <= _UNITS["d"]:
        raise _RefusedError("is too short or too long to choose an hour of the day in: write 1h to 24h")
    return wait_ms


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _RefusedError("is not text: put it in quotes")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _RefusedError("is neither true nor false")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _RefusedError("is no whole number of 0 or more")
    return value


def _cap(value: Any) -> int:
    if not (most := _whole(value)):
        raise _RefusedError("would be no cap: leave it out; to send nothing, switch the campaign off")
    return most


def _rhythm(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= _MOST_RHYTHM:
        raise _RefusedError(f"is no number above 0 and at most {_MOST_RHYTHM}")
    return float(value)


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise _RefusedError("is no share: choose between 0 and 1")
    return float(value)


def _money(value: Any) -> int:
    """Cents, of an amount in the currency of the prices."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value * 100 <= _MOST_CENTS:
        raise _RefusedError("is no amount of money above 0")
    cents = round(value * 100)
    if abs(cents - value * 100) > 1e-6 * cents:
        raise _RefusedError("is no whole number of cents")
    return cents


def _percent(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 100:
        raise _RefusedError("is no whole number of per cent, from 1 to 100")
    return value


def _coupon_id(value: Any) -> str:
    if not isinstance(value, str) or not _COUPON.fullmatch(value):
        raise _RefusedError("is no id of a coupon: letters, digits, ., _ and -, at most 64 in all")
    return value


def _segments(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not value:
        raise _RefusedError("is no list with something in it")
    if any(isinstance(one, bool) or not isinstance(one, int) or one < 0 for one in value):
        raise _RefusedError("has something else than whole numbers from 0 on")
    if len(set(value)) < len(value):
        raise _RefusedError("names something twice")
    return tuple(value)


def _one_of(*choices: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value in choices and isinstance(value, str):
            return value
        raise _RefusedError(f"is none of {', '.join(choices)}{_did_you_mean(value, choices)}")

    return read


def _list(read: Callable[[Any], str]) -> Callable[[Any], tuple[str, ...]]:
    def all_of(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            raise _RefusedError("is no list with something in it")
        found = tuple([read(one) for one in value])
        if len(set(found)) < len(found):
            raise _RefusedError("names something twice")
        return found

    return all_of


def _event_type(*known: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value in known and isinstance(value, str):
            return value
        raise _RefusedError(
            f"names {value!r}, which is no event type that a campaign reacts to{_did_you_mean(value, known)}"
        )

    return read


def _tag(value: Any) -> str:
    if isinstance(value, str) and (value in TAGS or (value.partition(":")[0] == "loyal" and value[6:])):
        return value
    raise _RefusedError(f"names {value!r}, which is no tag{_did_you_mean(value, TAGS)}")


def _fixed(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(isinstance(word, str) for word in value.values()):
        raise _RefusedError("is no table of texts")
    return tuple(sorted(value.items()))


SECTIONS: Final[dict[str, tuple[type[Any], dict[str, Key]]]] = {
    "triggers": (
        Triggers,
        {
            "on": Key("on", _list(_event_type(*_BEHAVIOUR))),
            "after": Key("after_ms", duration),
            "due": Key("due", _one_of(*get_args(Due))),
            "restart": Key("restart", _flag),
            "cancel_on": Key("cancel_on", _list(_event_type(*_BEHAVIOUR))),
            "drop_on": Key("drop_on", _list(_event_type(*_BEHAVIOUR))),
            "rhythm": Key("rhythm", _rhythm),
            "at_least": Key("least_ms", duration),
            "at_most": Key("most_ms", duration),
            "first": Key("first_ms", duration),
            "best_hour_within": Key("best_within_ms", _part_of_day),
            "within": Key("within_ms", _some_time),
            "drop": Key("drop", _share),
        },
    ),
    "audience": (
        Audience,
        {
            "tags": Key("tags", _list(_tag)),
            "without_tags": Key("without_tags", _list(_tag)),
            "categories": Key("categories", _list(_text)),
            "churn_at_least": Key("churn_at_least", _share),
            "churn_at_most": Key("churn_at_most", _share),
            "purchases_at_least": Key("purchases_at_least", _whole),
            "purchases_at_most": Key("purchases_at_most", _whole),
            "visits_at_least": Key("visits_at_least", _whole),
            "visits_at_most": Key("visits_at_most", _whole),
            "segments": Key("segments", _segments),
        },
    ),
    "items": (
        Listing,
        {
            "list": Key("source", _one_of(*get_args(Source))),
            "generators": Key("generators", _list(_one_of(*[generator.name for generator in GENERATORS]))),
            "categories": Key("categories", _list(_text)),
            "liked_categories": Key("liked", _whole),
            "again": Key("again", _flag),
            "least_score": Key("least_score", _share),
        },
    ),
    "message": (
        Message,
        {
            "template": Key("template", _text),
            "variables": Key("variables", _list(_one_of(*VARIABLES, PRICE_WAS))),
            "fixed": Key("fixed", _fixed),
            "channels": Key("channels", _list(_one_of(*CHANNELS))),
            "urgency": Key("urgency", _one_of("normal", "high")),
            "expires_after": Key("expires_after_ms", _some_time),
        },
    ),
    "caps": (
        Caps,
        {
            "per_day": Key("per_day", _cap),
            "per_week": Key("per_week", _cap),
            "min_gap": Key("min_gap_ms", duration),
        },
    ),
    "coupon": (
        Coupon,
        {
            "id": Key("id", _coupon_id),
            "cost": Key("cents", _money),
            "percent": Key("percent", _percent),
            "at_most": Key("most_cents", _money),
            "budget": Key("budget_cents", _money),
            "budget_per_day": Key("day_cents", _money),
            "anyway_at_most": Key("anyway_at_most", _share),
        },
    ),
}
_FIELDS: Final = {"items": "listing"}
_TOP: Final = {
    "says": Key("says", _text),
    "priority": Key("priority", _whole),
    "control_share": Key("control_share", _share),
}


def read_campaign(name: str, tree: Mapping[str, Any], where: str) -> Campaign:
    """The campaign called ``name`` that a file says. ``where`` names the file. Raises ``CampaignError``."""
    problems: list[str] = []
    fields: dict[str, Any] = {"name": name}
    if not _NAME.fullmatch(name):
        problems.append(f"{where}: {name!r} is no name of a campaign: small letters, digits and -, at most 32 in all")
    for key, value in tree.items():
        if key in SECTIONS and isinstance(value, dict):
            cls, keys = SECTIONS[key]
            found = _read(keys, value, f"{where}: {key}.", problems)
            missing = [each for each, (field, _) in keys.items() if each not in value and _required(cls, field)]
            if missing:
                problems.append(f"{where}: [{key}] needs {', '.join(missing)}")
            elif not problems:
                fields[_FIELDS.get(key, key)] = cls(**found)
        elif key in SECTIONS:
            problems.append(f"{where}: {key} is a section: write [{key}] and its keys below")
        else:
            fields |= _read(_TOP, {key: value}, f"{where}: ", problems, (*_TOP, *SECTIONS))
    problems += [f"{where}: there is no [{section}]" for section in ("triggers", "message") if section not in tree]
    if not problems:
        problems += [f"{where}: {problem}" for problem in _contradictions(fields)]
    if problems:
        raise CampaignError(problems)
    return Campaign(**fields)


def _read(
    keys: Mapping[str, Key], given: Mapping[str, Any], where: str, problems: list[str], known: tuple[str, ...] = ()
) -> dict[str, Any]:
    fields = {}
    for name, value in given.items():
        key = keys.get(name)
        if key is None:
            problems.append(f"{where}{name}: there is no such key{_did_you_mean(name, known or tuple(keys))}")
            continue
        try:
            fields[key.field] = key.read(value)
        except _RefusedError as refusal:
            problems.append(f"{where}{name}: {value!r} {refusal}")
    return fields


def _required(cls: type[Any], field: str) -> bool:
    at = cls.__struct_fields__.index(field) - (len(cls.__struct_fields__) - len(cls.__struct_defaults__))
    return bool(at < 0)


def _contradictions(fields: Mapping[str, Any]) -> Iterator[str]:
    """What cannot work together, each with its key, and what to do."""
    triggers: Triggers = fields["triggers"]
    coupon: Coupon | None = fields.get("coupon")
    yield from _of_timers(triggers)
    yield from _of_news(triggers)
    yield from _of_lists(triggers, fields.get("listing", Listing()))
    yield from _of_messages(triggers, fields["message"], coupon)
    yield from _of_audiences(fields.get("audience", Audience()))
    if coupon is not None:
        yield from _of_coupons(coupon)


def _of_timers(triggers: Triggers) -> Iterator[str]:
    if triggers.due in {"silence", "rebuy"}:
        if triggers.after_ms:
            yield f'triggers.after: a timer with due = "{triggers.due}" works out its own delay'
    elif triggers.least_ms or triggers.most_ms or triggers.first_ms or triggers.rhythm != _USUAL.rhythm:
        yield 'triggers.due: rhythm, at_least, at_most and first are for due = "silence" or "rebuy"'
    if triggers.due == "silence" and not triggers.first_ms:
        yield "triggers.first: say how long a shopper who came only once may be away"
    if triggers.due == "silence" and not triggers.restart:
        yield 'triggers.restart: with due = "silence" whatever the shopper does moves the timer: leave it out'
    if triggers.at_once and (triggers.cancel_on or triggers.drop_on):
        yield "triggers.after: without it there is no timer that cancel_on or drop_on could take back"
    if triggers.most_ms and triggers.most_ms < triggers.least_ms:
        yield "triggers.at_most: it is less than at_least"


def _of_news(triggers: Triggers) -> Iterator[str]:
    if triggers.watches:
        if _WATCHED.isdisjoint(triggers.on):
            yield f"triggers.on: nothing is watched by {_all(triggers.on)}: add view, wishlist or cart"
        if triggers.best_within_ms:
            yield f'triggers.best_hour_within: with due = "{triggers.due}" news do not wait for it'
        if not triggers.restart:
            yield f'triggers.restart: with due = "{triggers.due}" news are always added to those before'
    elif triggers.within_ms != _USUAL.within_ms:
        yield 'triggers.within: it is for due = "price_drop" or "back_in_stock"'
    if triggers.due == PRICE_DROP and not 0.001 <= triggers.drop < 1:
        yield "triggers.drop: choose a share between 0.001 and 0.999"
    if triggers.due != PRICE_DROP and triggers.drop != _USUAL.drop:
        yield 'triggers.drop: it is for due = "price_drop"'


def _of_lists(triggers: Triggers, listing: Listing) -> Iterator[str]:
    """Of a list of the campaign's own items, or of what goes with them."""
    if listing.source not in {"trigger", "complements"}:
        if triggers.watches:
            yield f'items.list: with due = "{triggers.due}" it is about what the news are of: write list = "trigger"'
        return
    items, due = _OF_ITEMS.intersection(triggers.on), triggers.due
    bought = due == "rebuy" or (due == "after" and items == {"purchase"})
    instead = f'choose "next" or "discover" in place of "{listing.source}"'
    if due == "silence":
        yield f"items.list: a silence is about no items: {instead}"
    if due == "after" and not items:
        yield f"items.list: {_all(triggers.on)} is about no items: {instead}, or add to triggers.on what is"
    if listing.source == "trigger" and bought and not listing.again:
        yield "items.again: all that this is about was bought, which is not shown again: write again = true"


def _of_messages(triggers: Triggers, message: Message, coupon: Coupon | None) -> Iterator[str]:
    if triggers.due != PRICE_DROP and PRICE_WAS in message.variables:
        yield f'message.variables: {PRICE_WAS} is for due = "price_drop"'
    told = {*message.variables, *(coupon.words() if coupon is not None else ())}
    for name, _ in message.fixed:
        if name in told:
            yield f"message.fixed: {name} is told of the item or the coupon already: choose another word for it"


def _of_audiences(audience: Audience) -> Iterator[str]:
    for tag in audience.tags:
        if tag in audience.without_tags:
            yield f"audience.without_tags: {tag} is among tags as well: take it out of one of the two"
    for what in ("churn", "purchases", "visits"):
        least, most = getattr(audience, f"{what}_at_least"), getattr(audience, f"{what}_at_most")
        if most is not None and most < least:
            yield f"audience.{what}_at_most: it is less than {what}_at_least, so nobody is meant"
    if audience.visits_at_most == 0:
        yield "audience.visits_at_most: whoever does something is there, so nobody is meant: write 1 for new shoppers"


def _of_coupons(coupon: Coupon) -> Iterator[str]:
    if bool(coupon.cents) == bool(coupon.percent):
        yield "coupon.cost: say what the coupon costs, or what percent of what is bought, one of the two"
    elif coupon.percent and not coupon.most_cents:
        yield "coupon.at_most: say what percent of a full cart may cost, or no budget could be kept"
    elif coupon.cents and coupon.most_cents:
        yield "coupon.at_most: it is for percent: leave it out"
    if not (coupon.budget_cents or coupon.day_cents):
        yield "coupon.budget: say what all coupons may cost, or those of a day with budget_per_day"
    for key, cents in (("budget", coupon.budget_cents), ("budget_per_day", coupon.day_cents)):
        if 0 < cents < coupon.may_cost:
            yield f"coupon.{key}: it is less than the cost of one coupon, so none could be sent"


def _all(names: Iterable[str]) -> str:
    return " and ".join(names)


def _did_you_mean(name: Any, known: tuple[str, ...] | Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(str(name), sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
