"""All settings in one frozen object, from a TOML file, the environment and flags, in that order of precedence.

Every layer declares its own frozen dataclass; ``Settings`` composes them, and ``load`` works on whatever fields they
have. ``core.policy.per_hour`` is ``per_hour`` under ``[core.policy]`` in the file,
``STREAMER_CORE__POLICY__PER_HOUR`` in the environment, and ``core.policy.per_hour=2`` as a flag.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_type_hints

from agents.settings import KafkaSettings, LogSettings, RuntimeSettings, WebSettings
from agents.topics import TopicSettings
from state.settings import StateSettings
from streamer.campaign_settings import CampaignSettings
from streamer.core.settings import CoreSettings
from streamer.settings_values import RefusedError, from_text, from_toml, in_unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

ENV_PREFIX: Final = "STREAMER_"

T = TypeVar("T")

#: Of an unknown name and the known ones, how alike they must be (0..1) to ask "did you mean".
LIKENESS: Final = 0.6


class SettingsError(ValueError):
    """The settings cannot be used. ``problems`` holds one line each, saying where and what to do."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"the settings have {count}:", *(f"  {problem}" for problem in problems)]))


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a worker can be told."""

    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    topics: TopicSettings = field(default_factory=TopicSettings)
    runtime: RuntimeSettings = field(default_factory=RuntimeSettings)
    state: StateSettings = field(default_factory=StateSettings)
    core: CoreSettings = field(default_factory=CoreSettings)
    campaigns: CampaignSettings = field(default_factory=CampaignSettings)
    web: WebSettings = field(default_factory=WebSettings)
    log: LogSettings = field(default_factory=LogSettings)


@dataclass(frozen=True, slots=True)
class Setting:
    """One leaf of the tree of settings."""

    path: tuple[str, ...]
    hint: Any
    default: Any
    owner: type
    secret: bool

    @property
    def name(self) -> str:
        """As in a flag: ``kafka.bootstrap``."""
        return ".".join(self.path)

    @property
    def env(self) -> str:
        """As in the environment: ``STREAMER_KAFKA__BOOTSTRAP``."""
        return ENV_PREFIX + "__".join(self.path).upper()


def leaves(cls: type = Settings, path: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Every setting, in the order declared. What is made from other settings (``elsewhere``) is none."""
    hints = get_type_hints(cls)
    default = cls()
    for one in dataclasses.fields(cls):
        hint = hints[one.name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from leaves(hint, (*path, one.name))
        elif not one.metadata.get("elsewhere"):
            secret = bool(one.metadata.get("secret"))
            yield Setting((*path, one.name), hint, getattr(default, one.name), cls, secret)


def flags(texts: Iterable[str]) -> dict[str, object]:
    """``["web.port=9500", …]`` as the ``overrides`` of ``load``. Raises ``SettingsError``."""
    wrong = [text for text in texts if "=" not in text]
    if wrong:
        raise SettingsError([f"{text!r}: write section.field=value, such as web.port=9500" for text in wrong])
    return {name.strip(): value for name, _, value in (text.partition("=") for text in texts)}


def load(
    config: Path | None = None,
    env: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
    *,
    check_files: bool = True,
) -> Settings:
    """The settings of the file ``config``, overruled by ``env``, overruled by ``overrides`` (name → text or value).

    ``check_files`` looks whether the data directory can be written and the TLS files read; a program that
    starts no worker leaves it out. Raises ``SettingsError`` with all problems found.
    """
    settings, problems = read(Settings, config, env or {}, overrides or {})
    if settings is not None:
        problems += _unknown_names(settings)
        problems += _unknown_zone(settings)
        settings = _with_campaigns(settings, problems)
    if settings is not None and check_files:
        problems += _unusable_files(settings)
    if problems or settings is None:
        raise SettingsError(problems)
    return settings


def read(
    cls: type[T], config: Path | None, env: Mapping[str, str], overrides: Mapping[str, object]
) -> tuple[T | None, list[str]]:
    """``load`` for any tree of dataclasses: an instance of ``cls`` and the problems found.

    With problems the instance, if there is one, has defaults in their places.
    """
    known = {setting.path: setting for setting in leaves(cls)}
    problems: list[str] = []
    values: dict[tuple[str, ...], Any] = {}
    sources: dict[tuple[str, ...], str] = {}

    def take(path: tuple[str, ...], value: object, where: str, *, text: bool) -> None:
        setting = known[path]
        try:
            taken = from_text(setting.hint, str(value)) if text else from_toml(setting.hint, value)
            values[path] = in_unit(path[-1], taken)
            sources[path] = where
        except RefusedError as exc:
            shown = "the value" if setting.secret else repr(value)
            problems.append(f"{where}: {shown} {exc}")

    if config is not None:
        for path, value in _from_file(config, known, problems):
            take(path, value, f"{config}: {'.'.join(path)}", text=False)
    by_env = {setting.env: setting.path for setting in known.values()}
    for name in sorted(env):
        if name in by_env:
            take(by_env[name], env[name], f"environment {name}", text=True)
        elif problem := _unknown_variable(name, by_env):
            problems.append(problem)
    by_flag = {setting.name: setting.path for setting in known.values()}
    for name, value in overrides.items():
        if name in by_flag:
            take(by_flag[name], value, f"flag {name}", text=isinstance(value, str))
        else:
            problems.append(f"flag {name}: there is no such setting{_did_you_mean(name, by_flag)}")
    return _build(cls, (), values, sources, problems), problems


def _from_file(
    config: Path, known: Mapping[tuple[str, ...], Setting], problems: list[str]
) -> Iterator[tuple[tuple[str, ...], object]]:
    try:
        tree = tomllib.loads(config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problems.append(f"{config}: there is no such file")
        return
    except (OSError, UnicodeDecodeError) as exc:
        problems.append(f"{config}: cannot be read: {exc}")
        return
    except tomllib.TOMLDecodeError as exc:
        problems.append(f"{config}: is not TOML: {exc}")
        return
    sections = {path[:depth] for path in known for depth in range(1, len(path))}

    def walk(node: Mapping[str, object], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
        for name, value in node.items():
            here = (*path, name)
            if here in known:
                yield here, value
            elif here in sections and isinstance(value, dict):
                yield from walk(value, here)
            elif here in sections:
                problems.append(f"{config}: {name} is a section: write [{'.'.join(here)}] and its fields below")
            else:
                depth = len(path)
                siblings = [one[depth] for one in (*known, *sections) if len(one) > depth and one[:depth] == path]
                kind = "section" if isinstance(value, dict) else "setting"
                problems.append(f"{config}: {'.'.join(here)}: there is no such {kind}{_did_you_mean(name, siblings)}")

    yield from walk(tree, ())


def _unknown_variable(name: str, known: Iterable[str]) -> str | None:
    """What is wrong with a variable that is no setting, or None where it is none of ours.

    Only a double underscore makes a variable ours, as an orchestrator adds ``STREAMER_SERVICE_HOST`` and the like for a
    service of that name; but a setting's name with single ones is a slip of the pen.
    """
    if not name.startswith(ENV_PREFIX):
        return None
    slip = re.sub("_+", "_", name)
    for right in known:
        if re.sub("_+", "_", right) == slip:
            return f"environment {name}: write {right}, with two underscores between section and field"
    if "__" in name:
        return f"environment {name}: there is no such setting{_did_you_mean(name, known)}"
    return None


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, sorted(set(known)), n=1, cutoff=LIKENESS)
    return f"; did you mean {close[0]}?" if close else ""


def _build(
    cls: type,
    path: tuple[str, ...],
    values: Mapping[tuple[str, ...], Any],
    sources: Mapping[tuple[str, ...], str],
    problems: list[str],
) -> Any:
    """An instance of ``cls`` with ``values`` below ``path``, or None with its problems told."""
    hints = get_type_hints(cls)
    arguments: dict[str, Any] = {}
    for one in dataclasses.fields(cls):
        here, hint = (*path, one.name), hints[one.name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            part = _build(hint, here, values, sources, problems)
            if part is not None:  # a part that failed stays at its default, so that its siblings are checked too
                arguments[one.name] = part
        elif here in values:
            arguments[one.name] = values[here]
    try:
        return cls(**arguments)
    except ValueError as exc:
        given = [sources[(*path, name)] for name in arguments if (*path, name) in sources]
        told = f" (given: {', '.join(given)})" if given else ""
        problems += [f"[{'.'.join(path)}] {line}{told}" for line in str(exc).splitlines()]
        return None


def _with_campaigns(settings: Settings, problems: list[str]) -> Settings:
    """The settings with the campaigns and experiments that are on in the core's."""
    if settings.campaigns == CampaignSettings():
        return settings  # the core's default is the same
    from streamer import campaigns, experiments  # they take numpy, which most commands do not need
    from streamer.core.campaigns.read import CampaignError

    core, folder = settings.core, settings.campaigns.experiments
    try:
        core = dataclasses.replace(core, campaigns=campaigns.load(settings.campaigns, core, settings.topics.partitions))
        if folder is not None:
            core = dataclasses.replace(core, experiments=experiments.load(folder, core.policy))
    except (CampaignError, SettingsError) as exc:
        problems += exc.problems
        return settings
    except ValueError as exc:
        problems.append(f"[core] {exc}")
        return settings
    return dataclasses.replace(settings, core=core)


def _unknown_names(settings: Settings) -> list[str]:
    retrieval = settings.core.retrieval
    if not (retrieval.without or retrieval.without_features):
        return []
    from streamer.core.switches import unknown  # it takes numpy, which most commands do not need

    return unknown(retrieval)


def _unknown_zone(settings: Settings) -> list[str]:
    name = settings.core.policy.time_zone
    if name == "UTC":
        return []
    from importlib import resources  # most have no other zone

    from streamer.core.zones import NO_ZONES

    zones = (resources.files("tzdata") / "zones").read_text(encoding="ascii").split()
    if NO_ZONES.offset_ms(name, 0) is not None or name in zones:
        return []
    return [f"core.policy.time_zone = {name}: there is no such zone{_did_you_mean(name, zones)}"]


def _unusable_files(settings: Settings) -> list[str]:
    problems = []
    data_dir = settings.runtime.data_dir.absolute()
    nearest = next(folder for folder in (data_dir, *data_dir.parents) if folder.exists())
    if not nearest.is_dir():
        problems.append(f"runtime.data_dir = {data_dir}: {nearest} is not a directory; choose another")
    elif not os.access(nearest, os.W_OK | os.X_OK):
        problems.append(f"runtime.data_dir = {data_dir}: {nearest} cannot be written; change that or choose another")
    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
        file: Path | None = getattr(settings.kafka, name)
        if file is not None and not os.access(file, os.R_OK):
            problems.append(f"kafka.{name} = {file}: there is no such file, or it cannot be read")
    return problems
