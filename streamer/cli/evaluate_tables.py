"""What ``streamer evaluate`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamer.evaluation.report import predicted, ranked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    Found = Mapping[str, Any]


def show(console: Console, found: Found) -> None:
    """The report, for people."""
    console.print(_rankings("", found))
    for name, reason in found["missing"].items():
        console.print(f"[yellow]{name}: not measured, {reason}[/yellow]")
    fresh = found["discover"]
    console.print(f"\ndiscover: {fresh['groups']:,} lists of what is new to the user, {fresh['targets']:,} targets")
    console.print(_rankings("", fresh))
    if found["intervals"]:
        console.print("\n95 % intervals, users drawn anew; what streamer is above each, paired")
        console.print(_intervals(found))
    if "against" in found:
        console.print("\nagainst the other report, paired")
        console.print(_differences(found["against"]))
    if "ablation" in found:
        console.print("\nlost without a family, paired")
        rows = {name: {kind: one[kind] for kind in ("next", "discover")} for name, one in found["ablation"].items()}
        console.print(
            _differences({f"{name} {kind}": each for name, two in rows.items() for kind, each in two.items()})
        )
    ranker, retrieval = found["ranker"], found["retrieval"]
    console.print(
        f"\n{found['model']}: {ranked(ranker)}; {retrieval['pool']:.0f} candidates a list, "
        f"{retrieval['recall']:.3f} of the targets among them",
        soft_wrap=True,
    )
    for name, told in found["predictions"].items():
        console.print(f"predicts {name}: {predicted(told)}", soft_wrap=True)
    for model, weighs in found["importance"].items():
        heaviest = ", ".join(f"{name} {value:.3f}" for name, value in list(weighs.items())[:8])
        console.print(f"{model} looks at: {heaviest}", soft_wrap=True)
    stages = ", ".join(f"{name} {stage['p50']:.2f}" for name, stage in found["stages"].items())
    console.print(
        f"{found['events']:,} events, {found['groups']:,} lists, {found['targets']:,} targets; "
        f"{found['events_per_second']:,.0f} events/s, a list in {found['list_ms']['p50']:.2f} ms "
        f"(p99 {found['list_ms']['p99']:.2f}), {found['rss_mb']:.0f} MB; median ms by stage: {stages}",
        soft_wrap=True,
    )
    console.print(f"digest {found['digest']}")


def _table(*columns: str) -> Any:
    from rich.table import Table

    return Table(*columns, box=None, pad_edge=False, header_style="bold")


def _rankings(title: str, found: Found) -> Any:
    names = list(found["metrics"])
    beyond = list(found["beyond"]["streamer"])
    table = _table(title, *names, *beyond)
    for name, metrics in {"streamer": found["metrics"], **found["baselines"]}.items():
        others = found["beyond"][name]
        table.add_row(name, *(f"{value:.4f}" for value in metrics.values()), *(f"{others[n]:.3f}" for n in beyond))
    return table


def _intervals(found: Found) -> Any:
    table = _table("", "list", "hr@20", "mrr@20", "hr@20 above by", "mrr@20 above by")
    for kind, part in (("next", found), ("discover", found["discover"])):
        for name, intervals in part["intervals"].items():
            values = part["metrics"] if name == "streamer" else part["baselines"][name]
            lead = part["lead"].get(name)
            cells = [f"{values[m]:.4f} [{intervals[m][0]:.3f}, {intervals[m][1]:.3f}]" for m in ("hr@20", "mrr@20")]
            above = [_signed(lead[m]) for m in ("hr@20", "mrr@20")] if lead else ["", ""]
            table.add_row(name, kind, *(cell.replace("[", r"\[") for cell in (*cells, *above)))
    return table


def _differences(rows: Mapping[str, Found]) -> Any:
    names = list(next(iter(rows.values())))
    table = _table("", *names)
    for name, each in rows.items():
        table.add_row(name, *(_signed(each[metric]).replace("[", r"\[") for metric in names))
    return table


def _signed(difference: Any) -> str:
    by, low, high = difference
    return f"{by:+.4f} [{low:+.4f}, {high:+.4f}]"
