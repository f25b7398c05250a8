"""The round once more, by the command an operator types, and what came of it as the checker reads it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from agents.clients import read_topic
from streamer.supervisor import environment_of
from tests.faults.evidence import Shadow, read_store

if TYPE_CHECKING:
    from random import Random

    from streamer.settings import Settings

NAME: Final = "check"
PATIENCE_S: Final = 300


async def replayed(settings: Settings, random: Random, *, canonical: bool) -> Shadow:
    """Replay all of the journal into a shadow, under a hash seed drawn from ``random``, and compare it with live."""
    shadow = Shadow()
    wanted: list[tuple[str, ...]] = [("replay", "--into", NAME), ("verify", "live", NAME)]
    if canonical:
        wanted.append(("replay", "--canonical", "--into", "canonical"))
    for words in wanted:
        ended = subprocess.run(  # noqa: ASYNC221 - there is nothing else to do meanwhile
            [sys.executable, "-m", "streamer.cli.main", *words],
            env=os.environ | environment_of(settings) | {"PYTHONHASHSEED": str(random.randrange(1 << 32))},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if ended.returncode:
            said = (ended.stdout + ended.stderr).strip()
            shadow.failures.append(f"{' '.join(words)} ended with {ended.returncode}: {said[-600:]}")
    folder = settings.runtime.data_dir / f"{settings.topics.prefix}shadow.{NAME}"
    for path in sorted(path for path in folder.glob("**/CURRENT")):
        store = read_store(path.parent, path.parent.name, "user", int(path.parent.name))
        shadow.tables[store.partition] = store.tables
    if not shadow.failures:
        for rec in await read_topic(
            settings.kafka.client_kwargs(), settings.topics.physical(f"push-candidates.{NAME}"), fetch_max_wait_ms=50
        ):
            shadow.candidates.setdefault(rec.partition, []).append((rec.key, rec.value))
    return shadow
