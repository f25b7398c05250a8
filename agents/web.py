"""The HTTP port of a worker: ``/metrics`` for Prometheus, ``/healthz`` and ``/readyz`` for a supervisor.

It runs on the worker's event loop, so a loop that hangs answers nothing: that, too, is the truth.
"""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.metrics import Metrics
    from agents.settings import WebSettings

log = logging.getLogger(__name__)

Verdict = tuple[bool, dict[str, Any]]


class Health(Protocol):
    """Who can tell how the worker is. Both are asked at every request, answer at once, and change nothing."""

    def healthy(self) -> Verdict:
        """False when only a restart can help: a partition with lag has made no progress for too long."""

    def ready(self) -> Verdict:
        """False while this worker cannot decide yet: no task, tables in recovery, replicas not read to their ends."""


class WebError(RuntimeError):
    """The port cannot be opened; the message says what to do."""


class WebServer:
    """Serves metrics and health from ``start`` until ``stop``."""

    def __init__(self, settings: WebSettings, metrics: Metrics, health: Health) -> None:
        self._settings, self._metrics, self._health = settings, metrics, health
        self._runner: web.AppRunner | None = None
        self.port = settings.port

    async def start(self) -> None:
        """Listen. ``port`` then holds the port taken, also where the settings say 0. Raises ``WebError``."""
        app = web.Application()
        app.router.add_get("/", self._index)
        app.router.add_get("/metrics", self._scrape)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        host, port = self._settings.host, self._settings.port
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as exc:
            await runner.cleanup()
            raise WebError(_why(exc, host, port)) from exc
        self._runner = runner
        self.port = runner.addresses[0][1]
        log.info("metrics and health on http://%s:%d", host, self.port)

    async def stop(self) -> None:
        """Close the port. A server that never started is left alone."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _index(self, _: web.Request) -> web.Response:
        return web.Response(text="streamer: /metrics /healthz /readyz\n")

    async def _scrape(self, _: web.Request) -> web.Response:
        healthy, _detail = _ask(self._health.healthy)
        ready, _detail = _ask(self._health.ready)
        self._metrics.health(healthy=healthy, ready=ready)
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        return _answer("healthy", _ask(self._health.healthy))

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer("ready", _ask(self._health.ready))


def _ask(question: Callable[[], Verdict]) -> Verdict:
    """The answer, or no: whoever cannot tell how it is, is not well."""
    try:
        return question()
    except Exception as exc:
        log.exception("the health check itself failed")
        return False, {"error": f"{type(exc).__name__}: {exc}"}


def _answer(word: str, verdict: Verdict) -> web.Response:
    good, detail = verdict
    body = msgspec.json.encode({"status": word if good else f"not {word}", **detail}, enc_hook=str)
    headers = {"Cache-Control": "no-store"}
    return web.Response(body=body, status=200 if good else 503, content_type="application/json", headers=headers)


def _why(exc: OSError, host: str, port: int) -> str:
    if exc.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop what listens there, or set web.port to another (0: any free one)"
    if exc.errno in (errno.EACCES, errno.EPERM):
        return f"port {port} on {host} needs privileges: set web.port to one above 1023"
    return f"cannot listen on {host}:{port}: {exc.strerror or exc}; set web.host to an address of this machine"
