"""What the shell can be told: Kafka, the task runtime, the web port and the logs.

Frozen dataclasses with units in the names. Each checks itself and raises ``ValueError`` with one line a problem, in
words that say what to do. The text under a field is its documentation, which ``docs/settings.md`` is made from.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

SECRET = {"secret": True}


def _raise(problems: list[str]) -> None:
    if problems:
        raise ValueError("\n".join(problems))


def _outside(name: str, value: int, low: int, high: int) -> list[str]:
    return [] if low <= value <= high else [f"{name} = {value}: choose between {low} and {high}"]


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where the brokers are and how to be let in. TLS and SASL are passed through to the client.

    A secret appears neither in ``repr`` nor in any message.
    """

    bootstrap: str = "127.0.0.1:9092"
    """Brokers to ask first, ``host:port``, several with commas between."""
    client_id: str = "streamer"
    """The name this program gives itself in the brokers' logs and quotas."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to talk to the brokers. The two with SSL use TLS and check the brokers' names."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """How to log in; used with a ``SASL_`` protocol only."""
    sasl_username: str = ""
    """The user to log in as."""
    sasl_password: str = field(default="", repr=False, metadata=SECRET)
    """The password to log in with. Better in the environment than in a file."""
    ssl_cafile: Path | None = None
    """PEM file of the authorities to trust; without it, those of the system."""
    ssl_certfile: Path | None = None
    """PEM file of this client's certificate, where the brokers ask for one."""
    ssl_keyfile: Path | None = None
    """PEM file of the certificate's private key, if it is not in ``ssl_certfile``."""

    def __post_init__(self) -> None:
        problems = [
            f"bootstrap names {server.strip()!r}: write host:port, such as kafka-1:9092"
            for server in self.bootstrap.split(",")
            if not _is_address(server.strip())
        ]
        if self.security_protocol.startswith("SASL"):
            if not self.sasl_username:
                problems.append(f"security_protocol = {self.security_protocol}: set sasl_username too")
            if not self.sasl_password:
                problems.append(f"security_protocol = {self.security_protocol}: set sasl_password too")
        elif self.sasl_username or self.sasl_password:
            problems.append(
                f"sasl_username or sasl_password is set, but security_protocol = {self.security_protocol} does not "
                "log in: choose SASL_SSL (or SASL_PLAINTEXT on a network you trust)"
            )
        files = (self.ssl_cafile, self.ssl_certfile, self.ssl_keyfile)
        if any(files) and not self.security_protocol.endswith("SSL"):
            problems.append(
                f"an ssl_ file is set, but security_protocol = {self.security_protocol} is not encrypted: "
                "choose SSL or SASL_SSL"
            )
        if self.ssl_keyfile and not self.ssl_certfile:
            problems.append("ssl_keyfile is set without ssl_certfile: set both, or neither")
        _raise(problems)

    def client_kwargs(self) -> dict[str, Any]:
        """Keyword arguments for every aiokafka client: consumer, producer and admin.

        Raises ``OSError`` (``ssl.SSLError`` is one) when a certificate cannot be read. Holds the password: never log.
        """
        kwargs: dict[str, Any] = {
            "bootstrap_servers": [server.strip() for server in self.bootstrap.split(",")],
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL"):
            kwargs["sasl_mechanism"] = self.sasl_mechanism
            kwargs["sasl_plain_username"] = self.sasl_username
            kwargs["sasl_plain_password"] = self.sasl_password
        if self.security_protocol.endswith("SSL"):
            context = ssl.create_default_context(cafile=str(self.ssl_cafile) if self.ssl_cafile else None)
            if self.ssl_certfile:
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile)
            kwargs["ssl_context"] = context
        return kwargs


def _is_address(server: str) -> bool:
    host, colon, port = server.rpartition(":")
    return bool(host and colon) and port.isdecimal() and 0 < int(port) < 65536


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """How tasks run: guarantee, batches, commits, time limits."""

    guarantee: Literal["exactly_once", "at_least_once"] = "exactly_once"
    """``at_least_once`` is for a broker without transactions: a crash sends some outputs again, with the same ids."""
    data_dir: Path = Path(".streamer/state")
    """Where tables live on disk. Losing it costs a rebuild from the changelogs, nothing else."""
    commit_interval_ms: int = 100
    """One transaction a user task and this long. Longer: fewer transactions and a later candidate."""
    item_commit_interval_ms: int = 1_000
    """The same for item tasks; how fresh the item index can be."""
    trainer_commit_interval_ms: int = 1_000
    """The same for the trainer; how fresh the model can be."""
    max_batch_events: int = 512
    """Records in one micro-batch, at most."""
    target_batch_ms: int = 20
    """Batches are cut so that one is about so much work, as it holds the event loop."""
    buffer_records: int = 4_000
    """Fetched records of an input's partition that are held in memory before fetching pauses."""
    buffer_bytes: int = 8 << 20
    """The same in bytes. What is handed over at once, up to 4 MiB and 16 records, may come on top."""
    commit_bytes: int = 16 << 20
    """A commit is begun, whatever its interval, once so much was folded and written; until it can be, nothing is."""
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "none"
    """How workers compress what they write to Kafka: less for brokers, disks and network, more work for themselves."""
    fetch_max_wait_ms: int = 25
    """How long a broker may hold a fetch open while nothing arrives."""
    merge_wait_ms: int = 200
    """How long a task waits for a topic that has lag but nothing buffered, to keep the order of timestamps."""
    idle_tick_ms: int = 1_000
    """Timers fire by the stream's time. Once every input is read to its end and nothing new came for so long, they fire
    by the worker's clock. 0: never."""
    standby_replicas: int = 0
    """Warm copies of each task's tables, kept on other workers, which take over at once: 0 or 1."""
    session_timeout_s: int = 10
    """A worker silent for this long loses its tasks to others."""
    progress_timeout_s: int = 30
    """A partition that has lag but makes no progress for this long is unhealthy, and the worker exits."""
    transaction_timeout_ms: int = 10_000
    """The broker aborts a transaction open for this long. An open one holds back every ``read_committed`` reader."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        for name, low, high in (
            ("commit_interval_ms", 5, 60_000),
            ("item_commit_interval_ms", 5, 60_000),
            ("trainer_commit_interval_ms", 5, 60_000),
            ("max_batch_events", 1, 100_000),
            ("target_batch_ms", 1, 10_000),
            ("buffer_records", 1, 10_000_000),
            ("buffer_bytes", 1 << 16, 1 << 32),
            ("commit_bytes", 1 << 16, 1 << 32),
            ("fetch_max_wait_ms", 1, 10_000),
            ("merge_wait_ms", 0, 10_000),
            ("idle_tick_ms", 0, 3_600_000),
            ("standby_replicas", 0, 1),
            ("session_timeout_s", 6, 300),
            ("progress_timeout_s", 1, 3_600),
            ("transaction_timeout_ms", 1_000, 10_000),
        ):
            problems += _outside(name, getattr(self, name), low, high)
        timeout_ms = self.transaction_timeout_ms
        for name in ("commit_interval_ms", "item_commit_interval_ms", "trainer_commit_interval_ms"):
            if getattr(self, name) * 2 > timeout_ms:
                problems.append(
                    f"{name} = {getattr(self, name)} leaves a transaction no time to commit within "
                    f"transaction_timeout_ms = {timeout_ms}: choose at most {timeout_ms // 2}"
                )
        if self.target_batch_ms > self.commit_interval_ms:
            problems.append(
                f"target_batch_ms = {self.target_batch_ms} is longer than commit_interval_ms = "
                f"{self.commit_interval_ms}: a batch would hold up the commit; shorten the one or lengthen the other"
            )
        if self.buffer_records < self.max_batch_events:
            problems.append(
                f"buffer_records = {self.buffer_records} cannot fill a batch of max_batch_events = "
                f"{self.max_batch_events}: raise the one or lower the other"
            )
        if self.progress_timeout_s <= self.session_timeout_s:
            problems.append(
                f"progress_timeout_s = {self.progress_timeout_s} is not longer than session_timeout_s = "
                f"{self.session_timeout_s}: a worker would give up in an ordinary rebalance; choose at least its double"
            )
        _raise(problems)


@dataclass(frozen=True, slots=True)
class WebSettings:
    """The HTTP port of ``/metrics``, ``/healthz`` and ``/readyz``."""

    host: str = "127.0.0.1"
    """The address to listen on. Another than the loopback shows the metrics to the network; there is no login."""
    port: int = 9464
    """The port to listen on; 0 takes any free one."""

    def __post_init__(self) -> None:
        problems = _outside("port", self.port, 0, 65_535)
        if not self.host:
            problems.append("host is empty: write 127.0.0.1, or 0.0.0.0 for every interface")
        _raise(problems)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged, and in which form."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least severity that is written."""
    format: Literal["auto", "json", "human"] = "auto"
    """One JSON object a line, or lines for people; ``auto``: for people on a terminal, otherwise JSON."""
