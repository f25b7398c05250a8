"""``docs/settings.md``, made from the settings' classes: ``python -m streamer.settings_docs > docs/settings.md``."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from itertools import pairwise
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin

from streamer.settings import leaves

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamer.settings import Setting

HEAD: Final = """\
# Settings

Made from the classes that hold them by `python -m streamer.settings_docs > docs/settings.md`; a test compares the two.

A setting can be given in three places; the later one wins:

1. a TOML file: `per_hour = 2` under `[core.policy]`,
2. the environment: `STREAMER_CORE__POLICY__PER_HOUR=2` (two underscores between section and field),
3. a flag: `core.policy.per_hour=2`.

Lists are written with commas in the environment and in flags; an optional setting is unset by an empty value. All are
checked at the start; every problem found is reported at once, and nothing starts. A unit is part of a name: `_ms`,
`_s`, `_bytes`. [`deploy/streamer.toml`](../deploy/streamer.toml) is an example to start from.
"""


def page() -> str:
    """The whole page, as Markdown."""
    parts = [HEAD]
    sections: dict[tuple[tuple[str, ...], type], list[Setting]] = {}
    for setting in leaves():
        sections.setdefault((setting.path[:-1], setting.owner), []).append(setting)
    for (section, cls), settings in sections.items():
        meanings = field_docs(cls)
        parts.append(f"## `[{'.'.join(section)}]`\n")
        parts.append(inspect.cleandoc(cls.__doc__ or "").replace("``", "`") + "\n")
        told = any(setting.path[-1] in meanings for setting in settings)
        lines = [
            "| setting | type | default |" + (" meaning |" if told else ""),
            "|---|---|---|" + ("---|" if told else ""),
        ]
        for setting in settings:
            name = setting.path[-1]
            default = "" if setting.secret else shown(name, setting.default)
            line = f"| `{name}` | {typed(setting.hint)}{', secret' if setting.secret else ''} | {default} |"
            lines.append(line + (f" {meanings.get(name, '').replace('``', '`')} |" if told else ""))
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def field_docs(cls: type) -> dict[str, str]:
    """The string under each field of ``cls``. Python itself forgets these, so they are read from its source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    return dict(_pairs(body.body))


def _pairs(statements: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for one, after in pairwise(statements):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and isinstance(after, ast.Expr):
            text = ast.literal_eval(after.value)
            yield one.target.id, " ".join(str(text).split())


def typed(hint: Any) -> str:
    """A type in a reader's words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in args)
    if origin in (Union, UnionType):
        return " or ".join(typed(one) for one in args if one is not NoneType) + ", optional"
    if origin in (tuple, list, frozenset):
        return f"list of {typed(args[0])}"
    words = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false", "Path": "path"}
    name = getattr(hint, "__name__", str(hint))
    return words.get(name, name)


def shown(name: str, default: Any) -> str:
    """A default as one would write it, and a long time or size in larger units."""
    if default is None:
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    text = ",".join(map(str, default)) if isinstance(default, (tuple, list, frozenset)) else str(default)
    code = f"`{text}`" if text else '`""`'
    return f"{code} ({larger})" if (larger := _larger(name, default)) else code


def _larger(name: str, value: Any) -> str:
    scales: tuple[tuple[int, str], ...] = ()
    if name.endswith("_ms"):
        scales = ((86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))
    elif name.endswith("_s"):
        scales = ((86_400, "days"), (3_600, "h"), (60, "min"))
    elif name.endswith("_bytes"):
        scales = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
    for size, unit in scales:
        if isinstance(value, int) and value and value % size == 0:
            return f"{value // size} {unit}"
    return ""


if __name__ == "__main__":
    sys.stdout.write(page())
