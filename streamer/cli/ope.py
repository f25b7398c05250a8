"""``streamer ope``: what another policy would have earned, from yesterday's log, before it meets a shopper."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from streamer.cli.common import examples, with_settings

if TYPE_CHECKING:
    from streamer.cli.common import Options
    from streamer.ope.intervals import Kind
    from streamer.ope.log import Log, Target

UNSUPPORTED: Final = 3
"""Exit code where the log cannot tell: no number would be right."""
_REWARDS: Final = ("clicked", "opened", "dismissed", "unsubscribed", "converted", "bought", "bought-item", "spent")


@click.command(
    epilog=examples(
        "streamer ope --policy threshold:0.3 --policy threshold:worth:2   from the topics, by clicks",
        "streamer ope --reward spent --window 168 --policy always:hold   what no push at all would have earned",
        "streamer ope --reward bought --policy arm:ranker=net            everybody in that arm",
        "streamer ope --choice item --policy explore:0 --policy random   which item to push, from a log that explored",
        "streamer ope log.jsonl --policy random --policy popular         logged bandit feedback from a file",
        "streamer ope men.csv --where policy=random --policy file:bts.jsonl --json report.json",
    )
)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--policy",
    "policies",
    metavar="POLICY",
    multiple=True,
    help="What to judge: logged, random, popular, always:ACTION, arm:EXPERIMENT=ARM, threshold:[SCORE:]X, "
    "explore:SHARE or file:PATH; may be repeated.  [default: logged]",
)
@click.option(
    "--choice",
    type=click.Choice(("push", "item")),
    default="push",
    show_default=True,
    help="What is chosen, of the topics: whether to push, or, where exploration drew it, which item first.",
)
@click.option(
    "--reward",
    type=click.Choice(_REWARDS),
    default="clicked",
    show_default=True,
    help="What counts, of the topics. A file has its own rewards.",
)
@click.option(
    "--window",
    default=24.0,
    show_default=True,
    metavar="HOURS",
    type=click.FloatRange(min=0, min_open=True),
    help="How long after a decision it may come, of the topics.",
)
@click.option("--campaign", default="", metavar="NAME", help="The decisions of this campaign alone.  [default: all]")
@click.option(
    "--where",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Only these rows of FILE; may be repeated, and all must hold.",
)
@click.option(
    "--interval",
    type=click.Choice(("bootstrap", "percentile", "normal")),
    default="bootstrap",
    show_default=True,
    help="Users drawn anew, by the draws' own standard errors or by their estimates alone, or the standard error "
    "clustered by user.",
)
@click.option(
    "--level", default=0.95, show_default=True, type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="How often intervals are to hold.",
)  # fmt: skip
@click.option(
    "--replicates", default=1000, show_default=True, metavar="N", type=click.IntRange(min=20),
    help="Draw the users anew so often.",
)  # fmt: skip
@click.option("--seed", default=1, show_default=True, help="Of draws and folds; the same seed gives the same report.")
@click.option(
    "--clip", default=0.0, metavar="W", type=click.FloatRange(min=0),
    help="Where the estimator 'clipped' cuts weights.  [default: the root of the number of rounds]",
)  # fmt: skip
@click.option(
    "--effective", default=100.0, show_default=True, metavar="N", type=click.FloatRange(min=1),
    help="How many effective rounds an answer needs.",
)  # fmt: skip
@click.option(
    "--json", "json_path", metavar="PATH", type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report here too.",
)  # fmt: skip
@with_settings
def ope(
    *,
    file: Path | None,
    policies: tuple[str, ...],
    choice: str,
    reward: str,
    window: float,
    campaign: str,
    where: tuple[str, ...],
    interval: Kind,
    level: float,
    replicates: int,
    seed: int,
    clip: float,
    effective: float,
    json_path: Path | None,
    options: Options,
) -> int:
    """Estimate from logged decisions what other policies would have earned a decision.

    Without FILE, from the topics: decisions that came as far as the question whether to push, and what the shoppers did
    then; give the settings the workers had, since these say what was left to chance. With --choice item, decisions
    under exploration, which log what else could have been pushed. FILE is logged bandit feedback, JSON lines or CSV,
    with action, reward and propensity.

    Told are inverse propensity (ips), self-normalised (snips), clipped, direct (dm) and doubly robust (dr) estimates,
    and how far the log supports them. Where it does not, what is lacking is told, and the exit code is 3.
    """
    from streamer.ope.judge import judge
    from streamer.ope.log import LogError

    try:
        logs = _logs(
            file=file, policies=policies, choice=choice, reward=reward, window=window, campaign=campaign,
            where=where, options=options,
        )  # fmt: skip
        found: dict[str, Any] = {}
        for log, named, left_out in logs:
            targets = [_target(log, policy, seed) for policy in named if policy != "logged"]
            report = judge(
                log, targets, kind=interval, level=level, replicates=replicates, seed=seed, clip=clip,
                needed=effective,
            )  # fmt: skip
            report["left_out"] = left_out
            found = {**report, "policies": [*found.get("policies", ()), *report["policies"]]}
    except LogError as error:
        raise click.ClickException(str(error)) from None
    if json_path is not None:
        json_path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    _show(found)
    return UNSUPPORTED if any(one["refused"] for one in found["policies"]) else 0


def _logs(
    *,
    file: Path | None,
    policies: tuple[str, ...],
    choice: str,
    reward: Any,
    window: float,
    campaign: str,
    where: tuple[str, ...],
    options: Options,
) -> list[tuple[Log, list[str], dict[str, int]]]:
    """A log and the policies to be judged on it: one for each experiment that is asked for, and one for the rest."""
    from streamer.ope import topics
    from streamer.ope.decisions import Chances, join
    from streamer.ope.files import read_log
    from streamer.ope.items import join_items

    named = list(policies) or ["logged"]
    if file is not None:
        pairs = [pair.partition("=")[::2] for pair in where]
        return [(read_log(file, pairs), named, {})]
    if where:
        raise click.UsageError("--where is for a file; of the topics, choose by --campaign")
    settings = options.settings()
    found = asyncio.run(topics.read(settings, campaign))
    chances = Chances.of(settings.core)
    out = []
    by_arm = {name.partition(":")[2].partition("=")[0] for name in named if name.startswith("arm:")}
    for experiment in ["", *sorted(by_arm)]:
        these = [
            name for name in named
            if (name.partition(":")[2].partition("=")[0] if name.startswith("arm:") else "") == experiment
        ]  # fmt: skip
        if these:
            window_ms = int(window * 3_600_000)
            if choice == "item" and not experiment:
                joined = join_items(found, reward, window_ms=window_ms, chances=chances)
            else:
                joined = join(found, reward, window_ms=window_ms, chances=chances, experiment=experiment)
            out.append((joined.log, these, joined.left_out))
    return out


def _target(log: Log, policy: str, seed: int) -> Target:
    from streamer.ope import policies
    from streamer.ope.files import read_target
    from streamer.ope.log import LogError

    kind, _, rest = policy.partition(":")
    match kind:
        case "random" if not rest:
            return policies.random(log)
        case "popular" if not rest:
            return policies.popular(log, seed)
        case "always" if rest:
            return policies.always(log, rest)
        case "arm" if "=" in rest:
            return policies.always(log, rest.partition("=")[2], policy)
        case "file" if rest:
            return read_target(Path(rest), log)
        case "explore" if rest:
            try:
                return policies.explore(log, float(rest))
            except ValueError as error:
                if isinstance(error, LogError):
                    raise
        case "threshold":
            score, _, least = rest.rpartition(":")
            try:
                return policies.threshold(log, float(least), score or policies.SCORE)
            except ValueError as error:
                if isinstance(error, LogError):
                    raise
    raise click.UsageError(
        f"--policy {policy}: write logged, random, popular, always:ACTION, arm:EXPERIMENT=ARM, "
        "threshold:[SCORE:]X, explore:SHARE or file:PATH"
    )


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    logged, level = found["logged"], f"{found['level']:.0%}"
    console.print(
        f"{found['rounds']:,} rounds of {found['users']:,} users, {found['actions']} actions; intervals: {level}, "
        f"{found['interval']} by user\nlogged: {_number(logged['value'])} a round {_range(logged)}"
    )
    for reason, count in found["left_out"].items():
        console.print(f"{count:,} left out: {reason}")
    for one in found["policies"]:
        told = one["support"]
        console.print(
            f"\n[bold]{one['policy']}[/bold]: support {told['share']:.1%}, {told['effective_rounds']:,.1f} effective "
            f"rounds with {told['effective_rewards']:,.1f} effective rewards, largest weight "
            f"{told['largest_weight']:,.1f} ({told['largest_share']:.1%} of all), "
            f"mean weight {told['mean_weight']:.3f} (due {told['mean_weight_due']:.3f})",
            soft_wrap=True,
        )
        for sentence in one["refused"]:
            console.print(f"  [red]{sentence}[/red]", soft_wrap=True)
        if one["refused"]:
            continue
        for sentence in one["doubts"]:
            console.print(f"  [yellow]{sentence}[/yellow]", soft_wrap=True)
        table = Table("", "value", level, "above logged", level, box=None, pad_edge=False, header_style="bold")
        for name, each in one["estimates"].items():
            above, low, high = each["above"]
            difference = f"[{low:+.6g}, {high:+.6g}]" if each["low"] is not None else ""
            table.add_row(name, _number(each["value"]), *(
                text.replace("[", r"\[") for text in (_range(each), f"{above:+.6g}", difference)
            ))  # fmt: skip
        console.print(table)


def _number(value: float) -> str:
    return f"{value:.6g}"


def _range(each: dict[str, Any]) -> str:
    return "" if each["low"] is None else f"[{_number(each['low'])}, {_number(each['high'])}]"
