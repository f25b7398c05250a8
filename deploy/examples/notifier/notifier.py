"""An example of a notification service: candidates in, vendors' payloads out, feedback back.

It is what ``docs/contracts.md`` asks of whoever reads ``push-candidates``, and small enough to be read whole: it reads
committed records only, drops what has expired, was sent before or is for a shopper who said no meanwhile, renders the
message, and writes ``feedback``.
"Sending" appends the request that a vendor would be sent, a JSON object a line, to a file or to the standard output;
put the HTTP client of your vendor into ``Outbox.send``. ``push_delivered`` is said of what was handed over,
``push_failed`` of what its vendor refused; a vendor that cannot take it now is asked again until it expires.

At least once, and once as far as it knows: a push is sent, then remembered on disk by its ``dedupe_key``, then told of,
and only then its offset is committed. Killed in between, the service reads the record again after its restart: what was
remembered is not sent again but reported again (feedback has ids made of the candidate's, so that the engine takes it
once), and the one push that was sent and not yet remembered is sent again, under the same collapse key, which replaces
it on the device. Should that record have expired by then, it is reported as ``push_failed``, though it was sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sqlite3
import sys
import time
import tomllib
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import chain, product, repeat
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any, TextIO

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streamer.core.parse import Limits, parse
from streamer.core.record import Record, Rejection
from streamer.payloads.apns import apns
from streamer.payloads.fcm import fcm
from streamer.payloads.message import (
    Expired,
    Message,
    Refused,
    Request,
    candidate_of,
    decided_ms,
    expires_ms,
    render,
)
from streamer.payloads.web_push import web_push

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from streamer.core.effects import Candidate
    from streamer.core.events import Preferences

SOURCE = "example-notifier"
CHANNEL = "push"
DEFAULT, FALLBACK = "default", "en"
"""The template and the locale that every file of templates has."""

DAY_MS = 86_400_000
KEPT_MS = 30 * DAY_MS
"""So long is a dedupe key remembered: longer than candidates are kept, so that none comes back after it."""

HEARD_MS = 7 * DAY_MS
"""Opt-outs are heard from so long ago on: candidates are kept no longer."""

CLOCKS_APART_MS = 300_000
"""So far may the clocks be apart of who says when a push was decided and of who says when a shopper said no."""

# A real service looks up the shopper's devices, and sends to each through its own vendor.
VENDORS: dict[str, Callable[[Candidate, Message, int], Request]] = {
    "fcm": lambda candidate, message, now: fcm(candidate, message, f"token-of-{candidate.user_id}", now),
    "apns": lambda candidate, message, now: apns(candidate, message, "shop.example.app", now),
    "web-push": web_push,
}


class Templates:
    """Messages by template id and locale. ``default`` has ``en``: they stand in for what there is not."""

    def __init__(self, by_id: dict[str, dict[str, Message]]) -> None:
        self._by_id = by_id

    def of(self, candidate: Candidate) -> Message:
        """The words for a candidate, not yet rendered: its template's if there are any, best in its locale."""
        asked = candidate.template
        places = product((asked.id, DEFAULT), (asked.locale, FALLBACK))
        return next(found for name, locale in places if (found := self._by_id.get(name, {}).get(locale)))


def templates_of(file: str) -> Templates:
    """The templates of a TOML file, so checked that ``render`` fails at none of them.

    Raises ``ArgumentTypeError`` with all that is wrong with the file: at the start, since a template that fails at a
    push fails at it again after every restart, and nothing behind it on its partition is ever sent.
    """
    try:
        tree = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{file} cannot be read: {error}") from None
    problems: list[str] = []
    by_id: dict[str, dict[str, Message]] = {}
    for name, locales in tree.items():
        for locale, words in (locales if isinstance(locales, dict) else {FALLBACK: None}).items():
            by_id.setdefault(name, {})[locale] = _message(words, f"{name}, {locale}", problems)
    if FALLBACK not in by_id.get(DEFAULT, {}):
        problems.append(f"{DEFAULT}, {FALLBACK}: there is none: write [{DEFAULT}.{FALLBACK}] with title and body")
    if problems:
        raise argparse.ArgumentTypeError("\n  ".join([f"{file} cannot be used:", *problems]))
    return Templates(by_id)


def _message(words: Any, where: str, problems: list[str]) -> Message:
    if not isinstance(words, dict):
        problems.append(f"{where}: is no table: write [ID.{FALLBACK}] with title and body below it")
        return Message("", "")
    for key in ("title", "body"):
        if not isinstance(text := words.get(key), str):
            problems.append(f"{where}, {key}: there is no text")
        elif problem := unfillable(text):
            problems.append(f"{where}, {key}: {text!r}: {problem}")
    return Message(words.get("title", ""), words.get("body", ""))


def unfillable(text: str) -> str | None:
    """Why ``render`` could fail at ``text``; ``None`` if it cannot, whatever variables there are."""
    try:
        for _, name, spec, _ in Formatter().parse(text):
            # What these give hangs on the word that is filled in: an empty one has no first letter.
            if name is not None and ("." in name or "[" in name or "{" in (spec or "")):
                return f"{{{name}}}: a variable is filled in whole: write its name alone"
        text.format_map(defaultdict(str))
    except ValueError as error:
        return f"{error}; a brace that is to be shown is written twice"
    return None


class Memory:
    """The dedupe keys of what was sent, on disk. Of several instances each needs the same: put it in your database."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._rows = sqlite3.connect(path, isolation_level=None)
        self._rows.execute("PRAGMA journal_mode=WAL")
        self._rows.execute("PRAGMA synchronous=FULL")
        self._rows.execute("CREATE TABLE IF NOT EXISTS sent (dedupe_key TEXT PRIMARY KEY, at_ms INTEGER) WITHOUT ROWID")

    def __contains__(self, key: str) -> bool:
        return self._rows.execute("SELECT 1 FROM sent WHERE dedupe_key = ?", (key,)).fetchone() is not None

    def add(self, key: str, now_ms: int) -> None:
        """Remember ``key``; it is on disk when this returns."""
        self._rows.execute("INSERT OR IGNORE INTO sent VALUES (?, ?)", (key, now_ms))

    def forget(self, now_ms: int) -> None:
        """Drop what is older than any record that may still come."""
        self._rows.execute("DELETE FROM sent WHERE at_ms < ?", (now_ms - KEPT_MS,))

    def close(self) -> None:
        """Once."""
        self._rows.close()


class OptOuts:
    """Who said no to pushes lately, and when: a candidate may lie for hours before a service that was down.

    The engine asked for consent when it decided, so only a no since then matters. A yes that followed is for candidates
    that are decided after it. So all that is kept is each shopper's newest no.
    """

    def __init__(self) -> None:
        self._said: dict[str, int] = {}

    def hear(self, record: Record) -> None:
        """A record of ``preferences`` or ``feedback``, understood as the engine understands it."""
        event = parse(record, Limits())
        if isinstance(event, Rejection):
            return
        said = event.preferences
        if event.type == "push_unsubscribed" or (said is not None and _is_no(said)):
            # Kafka's timestamp: a clock that is slow must not put a no before the decision.
            self._said[event.user] = max(self._said.get(event.user, 0), record.timestamp)

    def since(self, candidate: Candidate) -> bool:
        """Whether its shopper said no since it was decided, as far as clocks may be apart."""
        return self._said.get(candidate.user_id, 0) > decided_ms(candidate) - CLOCKS_APART_MS

    def forget(self, now_ms: int) -> None:
        """Drop what was said before any candidate was decided that may still come."""
        self._said = {user: at_ms for user, at_ms in self._said.items() if at_ms >= now_ms - HEARD_MS}


def _is_no(said: Preferences) -> bool:
    return said.consent is False or said.erase or (said.channels is not None and CHANNEL not in said.channels)


class Unavailable(Exception):  # noqa: N818 - says what became of it
    """The vendor cannot take a push now, and may later: after ``seconds``, if it said so."""

    def __init__(self, why: str, seconds: float = 0.0) -> None:
        super().__init__(why)
        self.seconds = seconds


class Outbox:
    """Where requests go instead of to a vendor: lines of a file, each on disk before ``send`` returns."""

    def __init__(self, to: TextIO, vendor: str) -> None:
        self._to, self._vendor = to, vendor

    def send(self, candidate: Candidate, request: Request, now_ms: int) -> None:
        """One request; that it returns means that the vendor took it.

        Raises ``Refused`` when the vendor will not take this push whenever it is asked: a token that is registered no
        more, a payload it finds fault with. ``push_failed`` is reported then. Raises ``Unavailable`` when it may take
        it later: 429, 5xx, no answer, also a credential that has run out. All pushes wait until it does, so a limit on
        one device alone is better ``Refused``. Anything else that is raised is a fault of yours and ends the service;
        after a restart it comes to the same push again, until that expires. Have it give up an answer after a few
        seconds: while it waits, nobody tells Kafka that the service is alive.
        """
        line = {
            "sent_at": rfc3339(now_ms),
            "vendor": self._vendor,
            "user_id": candidate.user_id,
            "candidate_id": candidate.candidate_id,
            "headers": request.headers,
            "body": json.loads(request.body),
        }
        self._to.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._to.flush()
        if self._to.seekable():
            os.fsync(self._to.fileno())


@dataclass(frozen=True, slots=True)
class Pretence:
    """Rates at which shoppers are *pretended* to open and click, for trials without shoppers. 0 pretends nothing."""

    opens: float = 0.0
    clicks: float = 0.0

    def of(self, candidate: Candidate) -> list[str]:
        """What this candidate's shopper is pretended to do: the same whenever it is asked."""
        drawn = int.from_bytes(blake2b(candidate.candidate_id.encode(), digest_size=8).digest()) / 2**64
        if drawn < self.clicks:
            return ["push_opened", "push_clicked"]
        return ["push_opened"] if drawn < self.opens else []


class Notifier:
    """What is done with each record; no Kafka in it."""

    def __init__(
        self, templates: Templates, memory: Memory, outbox: Outbox, vendor: str, pretence: Pretence
    ) -> None:  # fmt: skip
        self._templates, self._memory, self._outbox = templates, memory, outbox
        self._make, self._pretence = VENDORS[vendor], pretence
        self._tidied_ms = 0
        self.opt_outs = OptOuts()
        self.counts: Counter[str] = Counter()

    def take(self, value: bytes, now_ms: int) -> list[tuple[bytes, bytes]]:
        """Send one candidate if it is to be sent; what to write to ``feedback``, key and value each.

        Raises ``Unavailable`` when the vendor cannot take it now: to be called again later, as ``settle`` does.
        """
        if now_ms >= self._tidied_ms + DAY_MS:
            self._tidied_ms = now_ms
            self._memory.forget(now_ms)
            self.opt_outs.forget(now_ms)
        try:
            candidate = candidate_of(value)
        except Refused as refused:
            # What its ids mean is not known for certain, so nothing is reported of it.
            self.counts["unreadable"] += 1
            print(f"a record is passed by: {refused}", file=sys.stderr)
            return []
        if candidate.channel != CHANNEL:
            # Whoever serves that channel reads it too, and reports it. A push_failed from here would deny theirs.
            self.counts["other channel"] += 1
            return []
        if candidate.dedupe_key in self._memory:
            self.counts["already sent"] += 1
            return self._feedback(candidate, now_ms)
        if self.opt_outs.since(candidate):
            self.counts["opted out"] += 1
            return [feedback(candidate, "push_failed", min(now_ms, expires_ms(candidate)))]
        try:
            request = self._make(candidate, render(self._templates.of(candidate), candidate), now_ms)
            self._outbox.send(candidate, request, now_ms)
        except Unavailable as busy:
            self.counts["put off"] += 1
            print(f"candidate {candidate.candidate_id} has to wait: {busy}", file=sys.stderr)
            # A vendor may ask for more time than the push has; when that is over, it is to be told of.
            raise Unavailable(str(busy), min(busy.seconds, (expires_ms(candidate) - now_ms) / 1000)) from busy
        except Expired:
            self.counts["expired"] += 1
            return [feedback(candidate, "push_failed", expires_ms(candidate))]
        except Refused as refused:
            self.counts["refused"] += 1
            print(f"candidate {candidate.candidate_id}: {refused}", file=sys.stderr)
            return [feedback(candidate, "push_failed", min(now_ms, expires_ms(candidate)))]
        self._memory.add(candidate.dedupe_key, now_ms)
        self.counts["sent"] += 1
        return self._feedback(candidate, now_ms)

    def _feedback(self, candidate: Candidate, now_ms: int) -> list[tuple[bytes, bytes]]:
        # Reported again after a restart, so its time must be one that a repetition cannot move past the window.
        at_ms = min(now_ms, expires_ms(candidate))
        return [
            feedback(candidate, kind, at_ms) for kind in ("push_delivered", *self._pretence.of(candidate))
        ]  # fmt: skip


def feedback(candidate: Candidate, kind: str, at_ms: int) -> tuple[bytes, bytes]:
    """Key and value of a record on ``feedback``, as ``feedback.schema.json`` has it. Said again, it has the same id."""
    event = {
        "specversion": "1.0",
        "id": f"{candidate.candidate_id}-{kind}",
        "source": SOURCE,
        "type": kind,
        "subject": candidate.user_id,
        "time": rfc3339(at_ms),
        "data": {"candidate_id": candidate.candidate_id},
    }
    return candidate.user_id.encode(), json.dumps(event).encode()


def rfc3339(ms: int) -> str:
    """Milliseconds since the epoch, in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pauses() -> Iterator[float]:
    """Seconds from one try to the next: more each time, as vendors ask, up to a minute."""
    return chain((10.0, 20.0, 40.0), repeat(60.0))


async def settle(
    notifier: Notifier, value: bytes, clock: Callable[[], int], wait: Callable[[float], Awaitable[bool]]
) -> list[tuple[bytes, bytes]] | None:
    """What ``take`` reports of a candidate, which is asked again while the vendor cannot take it.

    ``clock`` tells the time in milliseconds, ``wait`` lets seconds pass and says whether to go on; if not, nothing is
    settled, and the answer is ``None``. It ends with the candidate's expiry, since ``take`` refuses it after that.
    """
    for pause in pauses():
        try:
            return notifier.take(value, clock())
        except Unavailable as busy:
            if not await wait(max(pause, busy.seconds)):
                return None
    raise AssertionError("pauses never end")


def now() -> int:
    """The wall clock, in milliseconds."""
    return int(time.time() * 1000)


async def catch_up(follower: AIOKafkaConsumer, opt_outs: OptOuts) -> None:
    """Hear what was said up to now."""
    ends = await follower.end_offsets(follower.assignment())
    while any([await follower.position(partition) < end for partition, end in ends.items()]):
        for records in (await follower.getmany(timeout_ms=200)).values():
            for r in records:
                opt_outs.hear(Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers))


async def seek(follower: AIOKafkaConsumer, since_ms: int) -> None:
    """Have it read what was written from ``since_ms`` on."""
    ends = await follower.end_offsets(follower.assignment())
    for partition, found in (await follower.offsets_for_times(dict.fromkeys(ends, since_ms))).items():
        follower.seek(partition, found.offset if found else ends[partition])


async def run(options: argparse.Namespace, notifier: Notifier, stop: asyncio.Event) -> None:
    """Read until ``stop``, or until nothing came for ``options.idle`` seconds."""
    consumer = AIOKafkaConsumer(
        options.prefix + "push-candidates",
        bootstrap_servers=options.bootstrap,
        group_id=options.prefix + options.group,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        # A push may wait for its vendor for as long as it holds, and the service is to keep its partitions meanwhile.
        max_poll_interval_ms=7 * DAY_MS,
    )
    # Of no group: each instance hears all that is said, of whichever shopper.
    follower = AIOKafkaConsumer(
        options.prefix + "preferences",
        options.prefix + "feedback",
        bootstrap_servers=options.bootstrap,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=options.bootstrap, acks="all", enable_idempotence=True)

    async def wait(seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)
        await catch_up(follower, notifier.opt_outs)
        return not stop.is_set()

    await consumer.start()
    try:
        await follower.start()
        await seek(follower, now() - HEARD_MS)
        await producer.start()
        last = time.monotonic()
        while not stop.is_set() and (not options.idle or time.monotonic() - last < options.idle):
            fetched = await consumer.getmany(timeout_ms=200, max_records=100)
            if not fetched:
                continue
            await catch_up(follower, notifier.opt_outs)
            reports: list[Any] = []
            for record in (record for records in fetched.values() for record in records):
                told = await settle(notifier, record.value or b"", now, wait)
                if told is None:
                    # Stopped while the vendor was away. What was settled of this fetch is reported again next time.
                    return
                for key, value in told:
                    headers = [("produced_at", str(now()).encode())]
                    reports.append(await producer.send(options.prefix + "feedback", value, key, headers=headers))
            # Only what was reported is done with.
            await asyncio.gather(*reports)
            await consumer.commit()
            last = time.monotonic()
    finally:
        await consumer.stop()
        await follower.stop()
        await producer.stop()


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; the broker and the prefix also from the environment, as the workers have them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    environment = os.environ
    parser.add_argument("--bootstrap", default=environment.get("STREAMER_KAFKA__BOOTSTRAP", "127.0.0.1:9092"))
    parser.add_argument("--prefix", default=environment.get("STREAMER_TOPICS__PREFIX", ""))
    parser.add_argument("--group", default="notifier", help="the consumer group, behind the prefix")
    parser.add_argument("--state", type=Path, default=Path("notifier-state"), help="a directory for what was sent")
    # A default that is text is read as if it had been given, so it is checked too.
    parser.add_argument("--templates", type=templates_of, default=str(Path(__file__).with_name("templates.toml")))
    parser.add_argument("--vendor", choices=sorted(VENDORS), default="fcm")
    parser.add_argument("--out", default="-", help="the file that requests are appended to; - is the standard output")
    parser.add_argument(
        "--pretend-opens", type=float, default=0.0, metavar="RATE", help="no shopper opens anything else"
    )
    parser.add_argument("--pretend-clicks", type=float, default=0.0, metavar="RATE", help="the same for clicks")
    parser.add_argument("--idle", type=float, default=0.0, metavar="SECONDS", help="end when nothing came for so long")
    return parser.parse_args(arguments)


async def main(arguments: Sequence[str]) -> None:
    """Run it until it is stopped or idle, then tell what became of the records."""
    options = options_of(arguments)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    memory = Memory(options.state / "sent.sqlite")
    to = sys.stdout if options.out == "-" else Path(options.out).open("a", encoding="utf-8")  # noqa: ASYNC230, SIM115
    pretence = Pretence(options.pretend_opens, options.pretend_clicks)
    notifier = Notifier(options.templates, memory, Outbox(to, options.vendor), options.vendor, pretence)
    try:
        await run(options, notifier, stop)
    finally:
        print(json.dumps(notifier.counts), file=sys.stderr)
        memory.close()
        if to is not sys.stdout:
            to.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
