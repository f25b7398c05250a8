"""Reading one setting's value: from text (environment, flags) and from what TOML gives, by the field's type."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

TRUE: Final = frozenset({"true", "yes", "on", "1"})
FALSE: Final = frozenset({"false", "no", "off", "0"})

#: A field whose name ends so cannot be negative.
UNITS: Final = re.compile(r"_(ms|s|m|h|days|bytes|chars|items|records|events|partitions|cents)$")


class RefusedError(ValueError):
    """A value does not fit; the message goes on after the value: "is not a whole number"."""


def from_text(hint: Any, text: str) -> Any:
    """``text`` as a value of type ``hint``. Lists are written with commas, mappings as JSON."""
    text = text.strip()
    origin, choices = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _choice(choices, next((one for one in choices if str(one) == text), text))
    if origin in (Union, UnionType):
        if NoneType in choices and text.lower() in ("", "none"):
            return None
        return from_text(_present(choices), text)
    if origin in (tuple, list, frozenset):
        parts = [part.strip() for part in text.split(",")] if text else []
        return origin(from_text(choices[0], part) for part in parts)
    if origin is dict:
        try:
            return from_toml(hint, json.loads(text))
        except json.JSONDecodeError:
            raise RefusedError("is not a JSON object") from None
    if hint is bool:
        if text.lower() in TRUE | FALSE:
            return text.lower() in TRUE
        raise RefusedError("is neither true nor false")
    if hint is int:
        try:
            return int(text)
        except ValueError:
            raise RefusedError("is not a whole number") from None
    if hint is float:
        try:
            return from_toml(float, float(text))
        except ValueError:
            raise RefusedError("is not a number") from None
    return from_toml(hint, text)


def from_toml(hint: Any, value: Any) -> Any:
    """``value``, as TOML typed it, as a value of type ``hint``. Nothing is guessed: ``"1"`` is no number here."""
    origin, choices = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _choice(choices, value)
    if origin in (Union, UnionType):
        return None if value is None and NoneType in choices else from_toml(_present(choices), value)
    if origin in (tuple, list, frozenset):
        if not isinstance(value, (list, tuple, frozenset)):
            raise RefusedError("is not a list")
        return origin(from_toml(choices[0], one) for one in value)
    if origin is dict:
        if not isinstance(value, dict):
            raise RefusedError("is not a table")
        return {from_toml(choices[0], key): from_toml(choices[1], one) for key, one in value.items()}
    if hint is bool and not isinstance(value, bool):
        raise RefusedError("is neither true nor false")
    if hint is int and (isinstance(value, bool) or not isinstance(value, int)):
        raise RefusedError("is not a whole number")
    if hint is float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise RefusedError("is not a number")
        if not math.isfinite(value):
            raise RefusedError("is not a finite number")
        return float(value)
    if hint is str and not isinstance(value, str):
        raise RefusedError("is not text: put it in quotes")
    if hint is Path:
        if not isinstance(value, (str, Path)) or not str(value):
            raise RefusedError("is not a path: put it in quotes")
        return Path(value).expanduser()
    return value


def in_unit(name: str, value: Any) -> Any:
    """``value`` if what ``name`` says of its unit allows it: no negative lengths, shares and chances from 0 to 1."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if UNITS.search(name) and value < 0:
            raise RefusedError("is negative: choose 0 or more")
        if name.endswith(("_rate", "_share")) and not 0 <= value <= 1:
            raise RefusedError("is no share: choose between 0 and 1")
        if name.endswith("_threshold") and not 0 <= value <= 1:
            raise RefusedError("is no probability: choose between 0 and 1")
    return value


def _choice(choices: tuple[Any, ...], value: Any) -> Any:
    if value in choices and not isinstance(value, bool):
        return value
    raise RefusedError(f"is none of {', '.join(map(str, choices))}")


def _present(choices: tuple[Any, ...]) -> Any:
    return next(one for one in choices if one is not NoneType)
