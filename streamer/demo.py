"""``streamer demo``: the whole system on one machine, fed with real events, for a few minutes.

Embedded Kafka, one worker process a role, the bundled file published open-loop, and a ``read_committed`` consumer of
``push-candidates`` that measures from the intended time of sending to its own receipt.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from agents.topic_admin import create_topics
from streamer.broker import EmbeddedBroker
from streamer.observer import Observer, quantiles
from streamer.publish import publish, publish_catalog
from streamer.readers.bundled import bundled
from streamer.readers.registry import open_events
from streamer.simulate import with_searches
from streamer.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence

    from streamer.core.events import Event
    from streamer.settings import Settings

ROLES = ("user", "item", "trainer")
READY_TIMEOUT_S = 60.0
DRAIN_TIMEOUT_S = 60.0
#: The evaluation that follows the stream scores about this many lists, so that the demo ends in time.
EVALUATED_LISTS = 3000


@dataclasses.dataclass(frozen=True)
class Input:
    """What the demo plays: events in time order, and the catalog file if there is one.

    ``note`` is what a reader of the figures must know.
    """

    path: Path
    events: list[Event]
    catalog: Path | None
    note: str


def read_input(data: str | None, limit: int | None, seed: int) -> Input:
    """The bundled sample with simulated searches, or the file named.

    Raises ``ReaderError`` for one that cannot be read.
    """
    if data is None:
        path, catalog = bundled("rees46")
        events = list(with_searches(open_events(path), seed=seed))
        note = (
            "Real events: REES46 Marketing Platform (Open CDP), 2019-10-01. The sample has no searches: those marked "
            "source=simulated-search come from a seeded simulator."
        )
    else:
        path, catalog, note = Path(data), None, f"Events of {Path(data).name}."
        events = list(open_events(path))
    return Input(path, events[:limit] if limit else events, catalog, note)


def run(
    settings: Settings, *, data: str | None, limit: int | None, rate: float, report: Path, bootstrap: str | None = None
) -> dict[str, Any]:
    """Run the demo and write ``report``. Returns what it wrote.

    ``bootstrap`` uses a running Kafka instead of an own one.
    """
    console = Console()
    played = read_input(data, limit, settings.core.seed)
    console.print(f"[bold]streamer demo[/]: {len(played.events):,} events at {rate:,.0f}/s. {played.note}")
    with contextlib.ExitStack() as stack:
        if bootstrap is None:
            with console.status("starting Apache Kafka (the first start downloads it, 43 MB)"):
                bootstrap = stack.enter_context(EmbeddedBroker()).bootstrap
        scratch = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="streamer-demo-", ignore_cleanup_errors=True))
        )
        settings = dataclasses.replace(
            settings,
            kafka=dataclasses.replace(settings.kafka, bootstrap=bootstrap),
            runtime=dataclasses.replace(settings.runtime, data_dir=scratch / "state"),
            web=dataclasses.replace(settings.web, port=free_ports(len(ROLES))),
            # The workers' logs would tear the live figures; what goes wrong is still shown.
            log=dataclasses.replace(settings.log, level="ERROR"),
        )
        asyncio.run(create_topics(settings.kafka.client_kwargs(), settings.topics))
        supervisor = Supervisor(ROLES, 1, settings, remove=scratch)
        stack.callback(supervisor.stop)
        supervisor.start()
        figures = asyncio.run(_play(settings, played, rate, supervisor, console))
    console.print("[bold]evaluating the same file offline[/] (one ranked list before each of a shopper's returns)")
    figures["recommendation"] = recommend(played.events, settings)
    _summary(console, figures, played.note)
    report.write_text(json.dumps(figures, indent=2) + "\n")
    console.print(f"written: {report}")
    return figures


def free_ports(count: int) -> int:
    """The first of ``count`` adjacent TCP ports of 127.0.0.1 that were free a moment ago.

    Where the search begins depends on the process, so that two that start together do not find the same.
    """
    low, places = 20_000, 10_000 // count
    for n in range(places):
        base = low + (os.getpid() * 7 + n) % places * count
        with contextlib.ExitStack() as stack:
            try:
                for port in range(base, base + count):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return base
    raise RuntimeError(f"no {count} adjacent free ports between {low} and {low + 10_000}")


def is_ready(port: int) -> bool:
    """Whether the worker on ``port`` says that it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


async def _play(
    settings: Settings, played: Input, rate: float, supervisor: Supervisor, console: Console
) -> dict[str, Any]:
    client, topic = settings.kafka.client_kwargs(), settings.topics.physical
    with console.status("starting workers: roles user, item and trainer"):
        await _until(
            lambda: all(is_ready(settings.web.port + n) for n in range(len(ROLES))),
            READY_TIMEOUT_S,
            supervisor,
            "be ready",
        )
    async with contextlib.AsyncExitStack() as stack:
        seen = await stack.enter_async_context(Observer(client, topic))
        if played.catalog is not None:
            await publish_catalog(played.catalog, client, prefix=settings.topics.prefix)
        sent = {"published": 0}
        started = time.monotonic()

        def progress(published: int, _total: int, _elapsed: float) -> None:
            sent["published"] = published

        playing = await stack.enter_async_context(
            _playing(publish(played.events, client, prefix=settings.topics.prefix, rate=rate, progress=progress))
        )
        drained_by = float("inf")
        with Live(_progress(seen, 0, len(played.events), 0), console=console, refresh_per_second=4) as live:
            while seen.accounted < len(played.events) and time.monotonic() < drained_by:
                supervisor.tend()
                if playing.done():
                    playing.result()
                    drained_by = min(drained_by, time.monotonic() + DRAIN_TIMEOUT_S)
                await asyncio.sleep(0.1)
                live.update(_progress(seen, sent["published"], len(played.events), time.monotonic() - started))
        result = await playing
        elapsed = time.monotonic() - started
        # What the trainer learned last is published at its next commits.
        await asyncio.sleep(2 * settings.runtime.trainer_commit_interval_ms / 1000)
        return _figures(seen, result["published"], elapsed)


@contextlib.asynccontextmanager
async def _playing(publishing: Coroutine[Any, Any, dict[str, Any]]) -> AsyncIterator[asyncio.Task[dict[str, Any]]]:
    """Publishing in the background; at the end it is stopped in order, while the producer's own tasks still run."""
    task = asyncio.create_task(publishing)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _until(done: Any, timeout_s: float, supervisor: Supervisor, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not await asyncio.to_thread(done):
        supervisor.tend()
        if time.monotonic() > deadline:
            raise TimeoutError(f"the workers did not {what} within {timeout_s:.0f} s; their logs are above")
        await asyncio.sleep(0.2)


def _figures(seen: Observer, published: int, elapsed: float) -> dict[str, Any]:
    outcomes = {name: seen.outcomes[name] for name in ("applied", "duplicate", "late", "dead_letter")}
    champion = seen.model.get("champion", {})
    return {
        "events": {"published": published, **outcomes},
        "candidates": sum(seen.ids.values()),
        "candidates_sent_twice": sum(count - 1 for count in seen.ids.values()),
        "decisions": dict(sorted(seen.reasons.items())),
        "latency_ms": quantiles(seen.latency_ms),
        "events_per_second": round(published / elapsed, 1),
        "model": {name: champion.get(name) for name in ("logloss", "auc", "examples")},
        "challenger": {name: seen.model.get("challenger", {}).get(name) for name in ("logloss", "auc", "examples")},
        "samples": list(seen.latest)[-3:],
    }


def recommend(events: Sequence[Event], settings: Settings) -> dict[str, Any]:
    """HR@20 of the engine and of popularity, by ``streamer evaluate``'s protocol on the same events."""
    from streamer.evaluate import EvaluateSettings, evaluate  # imported when needed: it is slow to load

    every = max(1, len(events) // EVALUATED_LISTS)
    result = evaluate(events, EvaluateSettings(every=every, baselines="cheap", core=settings.core))
    return {
        "hr@20": result.metrics["hr@20"],
        "popularity_hr@20": result.baselines["popularity"]["hr@20"],
        "every": every,
    }


def _progress(seen: Observer, published: int, total: int, elapsed: float) -> Table:
    table = Table.grid(padding=(0, 2))
    latency = quantiles(seen.latency_ms[-2000:])
    for name, value in _rows(seen, published, total, elapsed, latency):
        table.add_row(f"[dim]{name}[/]", value)
    return table


def _rows(
    seen: Observer, published: int, total: int, elapsed: float, latency: dict[str, float | None]
) -> Iterator[tuple[str, str]]:
    yield "events in", f"{published:,} of {total:,}  ({published / max(elapsed, 1e-9):,.0f}/s)"
    yield "lag", f"{max(0, published - seen.accounted):,} events"
    yield "candidates", f"{sum(seen.ids.values()):,}"
    yield "latency", "-" if latency["p50"] is None else f"p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms"


def _summary(console: Console, figures: dict[str, Any], note: str) -> None:
    for candidate in figures["samples"]:
        item = candidate["items"][0]
        title = candidate["template"]["vars"].get("title") or item["id"]
        console.print(
            f"\n[bold]push[/] to user {candidate['user_id']}: {title} "
            f"(score {candidate['score']:.3f}, from {item['generator']})"
        )
        for reason in candidate["reasons"]:
            console.print(f"  because {reason}")
    table = Table(title="streamer demo", title_justify="left", show_header=False)
    events, latency, model = figures["events"], figures["latency_ms"], figures["model"]
    table.add_row("published", f"{events['published']:,}")
    for name in ("applied", "duplicate", "late", "dead_letter"):
        table.add_row(f"  {name}", f"{events[name]:,}")
    table.add_row("candidates", f"{figures['candidates']:,} ({figures['candidates_sent_twice']} sent twice)")
    for reason, count in figures["decisions"].items():
        table.add_row(f"  {reason}", f"{count:,}")
    if latency["p50"] is not None:
        table.add_row("latency", f"p50 {latency['p50']} ms, p99 {latency['p99']} ms, max {latency['max']} ms")
    table.add_row("events per second", f"{figures['events_per_second']:,}")
    if model["examples"]:
        quality = f"log loss {model['logloss']:.4f}, ROC AUC {model['auc'] or 0.5:.4f}"
        table.add_row("model", f"{quality}, {model['examples']:,.0f} examples")
    if not figures["decisions"]:
        table.add_row("", "no event of this log triggers a push (purchases do not): nothing was decided")
    hit = figures["recommendation"]
    table.add_row("HR@20 (offline)", f"{hit['hr@20']:.3f}, most popular items {hit['popularity_hr@20']:.3f}")
    console.print(table)
    console.print(f"[dim]{note}[/]")
