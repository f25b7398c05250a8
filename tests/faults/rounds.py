"""Rounds: a seed chooses a load and faults, a system goes through them, and the checker judges what it did."""

from __future__ import annotations

import dataclasses
import signal
import time
import traceback
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any, Final

from tests.faults.checker import check
from tests.faults.fault import ALL, first
from tests.faults.kinds import FAULTS
from tests.faults.rig import NotWithinError, Rig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.faults.evidence import Evidence
    from tests.faults.fault import Fault
    from tests.faults.site import Site
    from tests.faults.walk import Breach

RATE: Final = 250.0
#: Seconds of load before the first fault and between two.
CALM_S: Final = 0.5
#: How often a worker is killed while the system still recovers from a fault.
AGAIN: Final = 0.4
#: What a fault takes, at most and about: the pace of event time depends on it. Were it too short, event time would
#: overtake the clock within the round, every event would be refused as of the future, and nothing would be tested.
FAULT_S: Final = 30.0


@dataclass
class Report:
    """What became of a round. ``recovery_s``: from the end of each fault until all tasks it hit had committed again.

    ``took_s``: seconds from the round's beginning to the end of each of its phases; the checker's ends at ``seconds``.
    """

    seed: int
    faults: list[str] = field(default_factory=list)
    injected: int = 0
    skipped: list[str] = field(default_factory=list)
    events: int = 0
    unsent: int = 0
    aborted: int = 0
    replayed: bool = False
    candidates: int = 0
    lost: int = 0
    doubled: int = 0
    broken: list[str] = field(default_factory=list)
    recovery_s: list[float] = field(default_factory=list)
    drain_s: float = 0.0
    took_s: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def sound(self) -> bool:
        """Whether nothing was broken."""
        return not self.broken

    def row(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self) | {"sound": self.sound}


def chosen(seed: int, count: int) -> list[Fault]:
    """The faults of a seed, in order. Those after which a table could not be rebuilt any more come last."""
    drawn = Random(seed).choices(FAULTS, [fault.weight for fault in FAULTS], k=count)
    return sorted(drawn, key=lambda fault: fault.last)


def play(
    site: Site,
    seed: int,
    faults: Sequence[Fault],
    *,
    tell: Callable[[str], None] = print,
    keep: Callable[[Evidence], None] | None = None,
) -> Report:
    """One round. Whatever breaks is in the report; ``keep`` gets the evidence.

    Unless a fault deleted what a replay needs, the round is replayed; in one seed of four ``--canonical`` as well.
    """
    report, started = Report(seed), time.monotonic()
    site.broker.start()  # should the round before have ended while it was away
    try:
        with Rig(site, f"f{seed}-{time.time_ns() % 10**9}.", seed, rate=RATE, seconds=len(faults) * FAULT_S) as rig:
            report.took_s["start"] = round(time.monotonic() - started, 1)
            rig.run(CALM_S)
            for place, fault in enumerate(faults):
                # Of its own: how often one fault draws depends on what it finds, and must not change the next.
                _inject(rig, fault, Random(f"{seed} {place} {fault.name}"), report, tell)
            report.took_s["faults"] = round(time.monotonic() - started, 1)
            report.drain_s = round(rig.drain(), 1)
            report.took_s["drain"] = round(time.monotonic() - started, 1)
            evidence = rig.finish(canonical=seed % 4 == 3)
            report.events, report.unsent = rig.publisher.sent, rig.publisher.failed
            if rig.unreplayable:
                report.skipped.append(f"replay: {rig.unreplayable}")
        report.replayed = evidence.shadow is not None
        report.aborted = evidence.aborted
        report.candidates = len(evidence.all("push-candidates"))
        report.took_s["evidence"] = round(time.monotonic() - started, 1)
        _judge(report, check(evidence))
        if keep is not None:
            keep(evidence)
    except AssertionError as failure:
        # NotWithinError is one: progress is the twelfth invariant.
        number = "invariant 12" if isinstance(failure, NotWithinError) else "unexpected"
        report.broken.append(f"{number}: {failure}")
    except Exception as failure:  # noqa: BLE001 - the next round has its own chance; this one is not sound
        report.broken.append(f"the harness failed: {failure!r}")
        tell(traceback.format_exc())
    report.seconds = round(time.monotonic() - started, 1)
    return report


def _inject(rig: Rig, fault: Fault, random: Random, report: Report, tell: Callable[[str], None]) -> None:
    report.faults.append(fault.name)
    began = time.monotonic()
    try:
        injected = fault.inject(rig, random)
    except NotWithinError:
        raise
    except AssertionError as failure:
        report.broken.append(f"unexpected in {fault.name}: {failure}")
        return
    if injected.skipped:
        report.skipped.append(f"{fault.name}: {injected.skipped}")
        tell(f"  {fault.name} skipped: {injected.skipped}")
        return
    report.injected += injected.count
    roles = injected.roles
    if random.random() < AGAIN:
        # Real life: the next one comes while the last one is being got over.
        rig.run(2 * random.random())
        worker = first(rig, random.choice(ALL))
        if worker.running:
            worker.signal(signal.SIGKILL)
            report.injected += 1
            injected = replace(injected, what=f"{injected.what}; then SIGKILL of {worker.name}", over=time.monotonic())
            roles = (*roles, worker.role)
    took = rig.recovered(roles, injected.over)
    report.recovery_s.append(round(took, 2))
    tell(f"  {fault.name}: {injected.what}; {injected.over - began:.1f} s, recovered in {took:.1f} s")
    rig.run(CALM_S)


def _judge(report: Report, breaches: list[Breach]) -> None:
    words = [breach.what for breach in breaches]
    report.lost = sum("ended nowhere" in what or "never folded" in what for what in words)
    report.doubled = sum("once more" in what or what.endswith(" again") for what in words)
    report.broken += [str(breach) for breach in breaches[:20]]
    if len(breaches) > 20:
        report.broken.append(f"and {len(breaches) - 20} more")
