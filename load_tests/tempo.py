"""Do the time constants matter? The same log, played faster or slower, ranked with the same settings.

Half-lives, gaps and windows are settings in milliseconds or seconds, and some features have hours and days in them. A
log played four times as fast is, to all of them at once, the same log under constants four times as long. So the lists
of a log at another tempo, paired with those at its own, tell what a wrong guess of its time scale costs. Order,
shoppers and targets are those of the log; so is all that is drawn, by the identity of events. What newcomers take is
counted by the hour of the day, which at another tempo is another.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from load_tests.harness import arguments, machine, write
from streamer.evaluation.outcomes import compare
from streamer.evaluation.run import evaluate
from streamer.evaluation.series import OURS
from streamer.evaluation.settings import EvaluateSettings
from streamer.readers.registry import open_events
from streamer.settings import flags, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streamer.core.events import Event
    from streamer.evaluation.bootstrap import Difference
    from streamer.evaluation.report import Report

METRICS: Final = ("hr@20", "mrr@20")


def at_tempo(events: Iterable[Event], tempo: float) -> Iterator[Event]:
    """The events ``tempo`` times as fast, from the time of the first one on."""
    first = None
    for event in events:
        first = event.time if first is None else first
        yield msgspec.structs.replace(event, time=first + round((event.time - first) / tempo))


def above(report: Report, own: Report, replicates: int) -> dict[str, dict[str, Difference]]:
    """By how much a report's lists are better than those at the log's own tempo, by kind of list and metric.

    Both are with their outcomes. Raises ValueError if at this tempo moments of a shopper fall together, so that there
    are other lists.
    """
    assert report.outcomes is not None
    assert own.outcomes is not None
    found = {}
    for kind, outcomes in report.outcomes.items():
        theirs = own.outcomes[kind]
        if (outcomes.users, outcomes.sizes, outcomes.new) != (theirs.users, theirs.sizes, theirs.new):
            raise ValueError("at this tempo moments of a shopper fall together: the lists are not the same")
        # What identifies lists has times in it, which differ on purpose.
        same = msgspec.structs.replace(outcomes, lists=theirs.lists)
        differences = compare(same, theirs, OURS, replicates)
        found[kind] = {metric: differences[metric] for metric in METRICS}
    return found


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("file", type=Path)
    parser.add_argument("--every", type=int, default=1, help="judge each so-manieth list")
    parser.add_argument("--limit", type=int, help="only so many events")
    parser.add_argument("--tempos", default="4,0.25", help="beside the log's own")
    parser.add_argument("--replicates", type=int, default=500)
    given = parser.parse_args()
    core = load(overrides=flags(given.set), check_files=False).core
    settings = EvaluateSettings(given.every, baselines="none", core=core)
    found = dict[str, Any]()
    own: Report | None = None
    for tempo in (1.0, *map(float, given.tempos.split(","))):
        events = at_tempo(islice(open_events(given.file), given.limit), tempo)
        report = evaluate(events, settings, outcomes=True)
        own = own or report
        found[str(tempo)] = {
            "lists": report.groups,
            "next": {metric: report.metrics[metric] for metric in METRICS},
            "discover": {metric: report.discover.metrics[metric] for metric in METRICS},
            "above": above(report, own, given.replicates),
        }
        print(tempo, found[str(tempo)], flush=True)
    write({"file": given.file.parent.name, "tempos": found, **machine()}, given.json)


if __name__ == "__main__":
    main()
