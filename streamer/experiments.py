"""Experiments from their files: a folder with a TOML file each, whose name is the experiment's.

salt = "autumn"            # another one draws all shoppers anew

[arms.as-now]
share = 0.5

[arms.bolder]
share = 0.5
set = { score_threshold = 0.01, per_day = 2 }
"""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, get_type_hints

from streamer.core.policy.experiments import Arm, Experiment, Splits
from streamer.core.settings import PolicySettings
from streamer.settings import SettingsError
from streamer.settings_values import RefusedError, from_toml, in_unit

if TYPE_CHECKING:
    from pathlib import Path


_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_FIXED: Final = frozenset({"holdout_share", "groups_seed", "time_zone"})
"""Who is held back, and what time it is, is not an arm's to say."""


def load(folder: Path, settings: PolicySettings) -> tuple[Experiment, ...]:
    """All experiments of a folder, in the order of their names. Raises ``SettingsError`` with all problems found."""
    if not folder.is_dir():
        raise SettingsError([f"campaigns.experiments = {folder}: there is no such folder"])
    problems: list[str] = []
    found = []
    for file in sorted(folder.glob("*.toml")):
        experiment, told = _read(file)
        problems += told
        if experiment is not None and not told:
            try:
                Splits(settings, [experiment])
            except ValueError as exc:
                problems += [f"{file}: {line}" for line in str(exc).splitlines()]
            found.append(experiment)
    if not problems:
        try:
            Splits(settings, found)
        except ValueError as exc:
            problems += [f"{folder}: {line}" for line in str(exc).splitlines()]
    if problems:
        raise SettingsError(problems)
    return tuple(found)


def _read(file: Path) -> tuple[Experiment | None, list[str]]:
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        return None, [f"{file}: cannot be read: {exc}"]
    except tomllib.TOMLDecodeError as exc:
        return None, [f"{file}: is not TOML: {exc}"]
    problems = [
        f"{file}: {key}: there is no such key: there are salt and [arms]" for key in tree.keys() - {"salt", "arms"}
    ]
    salt, arms = tree.get("salt", ""), tree.get("arms", {})
    if not _NAME.fullmatch(file.stem):
        problems.append(f"{file}: {file.stem!r} is no name of an experiment: small letters, digits and -, at most 32")
    if not isinstance(salt, str):
        problems.append(f"{file}: salt: {salt!r} is not text: put it in quotes")
    if not isinstance(arms, dict) or len(arms) < 2:
        return None, [*problems, f"{file}: arms: there must be two at least, each as [arms.NAME]"]
    read = [_arm(file, name, arm, problems) for name, arm in arms.items()]
    if not problems and not math.isclose(whole := math.fsum(arm.share for arm in read), 1.0, abs_tol=1e-9):
        problems.append(f"{file}: arms: their shares sum to {whole:g}, not to 1")
    return (Experiment(file.stem, tuple(read), salt) if not problems else None), problems


def _arm(file: Path, name: str, given: Any, problems: list[str]) -> Arm:
    where = f"{file}: arms.{name}"
    if not _NAME.fullmatch(name):
        problems.append(f"{where}: {name!r} is no name of an arm: small letters, digits and -, at most 32")
    if not isinstance(given, dict):
        problems.append(f"{where}: write [arms.{name}] and its keys below")
        return Arm(name, 0.0)
    problems += [
        f"{where}.{key}: there is no such key: there are share and set" for key in given.keys() - {"share", "set"}
    ]
    share, changes = given.get("share"), given.get("set", {})
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
        problems.append(f"{where}.share: {share!r} is no share: choose a number above 0, at most 1")
        share = 0.0
    if not isinstance(changes, dict):
        problems.append(f"{where}.set: {changes!r} is no table: write set = {{ per_day = 2 }}")
        changes = {}
    return Arm(name, float(share), _changes(where, changes, problems))


def _changes(where: str, given: dict[str, Any], problems: list[str]) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(PolicySettings)
    known = {one.name for one in fields(PolicySettings)} - _FIXED
    found = []
    for name, value in sorted(given.items()):
        if name not in known:
            problems.append(f"{where}.set.{name}: it is no setting of core.policy that an arm may change")
            continue
        try:
            found.append((name, in_unit(name, from_toml(hints[name], value))))
        except RefusedError as exc:
            problems.append(f"{where}.set.{name}: {value!r} {exc}")
    return tuple(found)
