"""Where rounds are played: a broker that may be stopped, a network that may be cut, disks that may be full."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streamer.broker import EmbeddedBroker, different_free_ports
from tests.faults.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

DISK_BYTES: Final = 256 << 20


@dataclass
class Site:
    """A broker whose second listener is advertised at the proxy's port, ``proxied``; and a folder."""

    broker: EmbeddedBroker
    proxy: Proxy
    folder: Path
    proxied: str

    @property
    def client(self) -> dict[str, str]:
        """Aiokafka's arguments for the direct listener."""
        return {"bootstrap_servers": self.broker.bootstrap}


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """One for many rounds."""
    folder = Path(tempfile.mkdtemp(prefix="streamer-faults-"))
    port, behind, front, controller = different_free_ports(4)
    config = {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{behind},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{front}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
    }
    broker = EmbeddedBroker(data_dir=folder / "kafka", port=port, config=config)
    try:
        with broker, Proxy(front, behind) as proxy:
            yield Site(broker, proxy, folder, f"127.0.0.1:{front}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Disk:
    """A small file system at ``path``, where mounting one is allowed; else a plain folder, and ``real`` is False."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.real = self._run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "streamer-faults", str(path))

    def read_only(self) -> bool:
        """From now on nothing can be written; whether that could be had. Nothing may be open for writing."""
        return self.real and self._run("mount", "-o", "remount,ro", str(self.path))

    def writable(self) -> None:
        """As it was."""
        if self.real:
            self._run("mount", "-o", "remount,rw", str(self.path))

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Not a byte is left on it."""
        ballast = self.path / "ballast"
        try:
            with ballast.open("wb", buffering=0) as out, contextlib.suppress(OSError):
                while out.write(bytes(1 << 16)):
                    pass
            yield
        finally:
            ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Gone, with all that is on it."""
        if self.real:
            self._run("umount", "-l", str(self.path))

    @staticmethod
    def _run(*command: str) -> bool:
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            return False
