"""``streamer ope``: what another policy would have earned, from yesterday's log, before it meets a shopper."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from streamer.cli.common import Moment, examples, with_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from streamer.cli.common import Options
    from streamer.ope.chances import Chances
    from streamer.ope.decisions import Joined, Told
    from streamer.ope.intervals import Kind
    from streamer.ope.judge import Weigh
    from streamer.ope.log import Log, Target

UNSUPPORTED: Final = 3
"""Exit code where the log cannot tell: no number would be right."""
_OF_A_LOG: Final = ("rounds", "users", "actions", "logged", "left_out", "notes")
"""What a report tells of the log; policies that are judged on logs of their own are told each its own."""
_OF_TOPICS: Final = frozenset({"choice", "reward", "window", "campaign", "from_ms", "to_ms", "version"})
_REWARDS: Final = ("clicked", "opened", "dismissed", "unsubscribed", "converted", "bought", "bought-item", "spent")


class Finite(click.FloatRange):
    """A number in a range, neither NaN, which is in every range, nor infinite."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises ``BadParameter``."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return found


@click.command(
    epilog=examples(
        "streamer ope --policy threshold:0.3 --policy threshold:worth:2   from the topics, by clicks",
        "streamer ope --from 7d --to 1d --policy threshold:worth:2       of the days between, by the settings of then",
        "streamer ope --reward spent --window 72 --policy always:hold    what no push at all would have earned",
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
    type=Finite(min=0, min_open=True),
    help="How long after a decision it may come, of the topics.",
)
@click.option("--campaign", default="", metavar="NAME", help="The decisions of this campaign alone.  [default: all]")
@click.option(
    "--from", "from_ms", type=Moment(), default=0, help="Decisions from then on, of the topics.  [default: all]"
)
@click.option("--to", "to_ms", type=Moment(), default=1 << 62, help="And before then, of the topics.  [default: all]")
@click.option(
    "--policy-version",
    "version",
    default="",
    metavar="V",
    help="Decisions of this version of the policy alone (`v` in topic decisions), where settings were changed since.",
)
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
    "--level", default=0.95, show_default=True, type=Finite(0, 1, min_open=True, max_open=True),
    help="How often intervals are to hold.",
)  # fmt: skip
@click.option(
    "--replicates", default=1000, show_default=True, metavar="N", type=click.IntRange(min=20),
    help="Draw the users anew so often.",
)  # fmt: skip
@click.option(
    "--weigh",
    type=click.Choice(("rounds", "users")),
    default="rounds",
    show_default=True,
    help="What counts the same: each round, or each user, whatever the number of their rounds.",
)
@click.option("--seed", default=1, show_default=True, help="Of draws and folds; the same seed gives the same report.")
@click.option(
    "--clip", default=0.0, metavar="W", type=Finite(min=0),
    help="Where the estimator 'clipped' cuts weights.  [default: the root of the number of rounds]",
)  # fmt: skip
@click.option(
    "--effective", default=100.0, show_default=True, metavar="N", type=Finite(min=1),
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
    from_ms: int,
    to_ms: int,
    version: str,
    where: tuple[str, ...],
    interval: Kind,
    level: float,
    replicates: int,
    weigh: Weigh,
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
    from streamer.ope.log import LogError

    how: dict[str, Any] = {
        "kind": interval, "level": level, "replicates": replicates, "seed": seed, "clip": clip, "needed": effective,
        "weigh": weigh,
    }  # fmt: skip
    named = list(policies) or ["logged"]
    try:
        if file is not None:
            _only_of_topics()
            logs = [(_of_file(file, where), named)]
        elif where:
            raise click.UsageError("--where is for a file; of the topics, choose by --campaign, --from and --to")
        else:
            found, chances = _of_topics(campaign, version, options)
            logs = joined_by_log(
                found,
                chances,
                named,
                choice=choice,
                reward=reward,
                window_ms=int(window * 3_600_000),
                between=(from_ms, to_ms),
            )
        reports = [report_of(joined, judged, how) for joined, judged in logs]
    except LogError as error:
        raise click.ClickException(str(error)) from None
    if json_path is not None:
        json_path.write_text(json.dumps(together(reports), indent=2) + "\n", encoding="utf-8")
    show(reports)
    return UNSUPPORTED if any(one["refused"] for report in reports for one in report["policies"]) else 0


def report_of(joined: Joined, named: Sequence[str], how: Mapping[str, Any]) -> dict[str, Any]:
    """What ``judge`` says of the policies ``named`` on a log, and what there is to know of it. Raises ``LogError``."""
    from streamer.ope.judge import judge

    targets = [_target(joined.log, policy, how["seed"]) for policy in named if policy != "logged"]
    return {**judge(joined.log, targets, **how), "left_out": joined.left_out, "notes": list(joined.notes)}


def together(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """As JSON: all policies in one list, each with what is told of its log. Of a single log the whole tells that too;
    several are in ``logs``.
    """
    logs = [{name: report[name] for name in _OF_A_LOG} for report in reports]
    policies = [{**one, **log} for report, log in zip(reports, logs, strict=True) for one in report["policies"]]
    common = {name: told for name, told in reports[0].items() if name not in _OF_A_LOG}
    return {**(logs[0] if len(logs) == 1 else {"logs": logs}), **common, "policies": policies}


def _of_file(file: Path, where: Sequence[str]) -> Joined:
    from streamer.ope.decisions import Joined
    from streamer.ope.files import read_log

    for pair in where:
        if "=" not in pair:
            raise click.UsageError(f"--where {pair}: write COLUMN=VALUE")
    return Joined(read_log(file, [pair.partition("=")[::2] for pair in where]), {})


def _only_of_topics() -> None:
    """Raises ``UsageError`` for an option that says nothing of a file."""
    context = click.get_current_context()
    for param in context.command.params:
        given = context.get_parameter_source(param.name or "")
        if param.name in _OF_TOPICS and given is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{param.opts[0]} is of the topics; of a file, choose by --where")


def _of_topics(campaign: str, version: str, options: Options) -> tuple[Told, Chances]:
    from agents import zones
    from streamer.ope import topics
    from streamer.ope.chances import Chances

    settings = options.settings()
    found = asyncio.run(topics.read(settings, campaign, version))
    return found, Chances.of(settings.core, zones.load().version)


def joined_by_log(
    found: Told,
    chances: Chances,
    named: Sequence[str],
    *,
    choice: str,
    reward: Any,
    window_ms: int,
    between: tuple[int, int],
) -> list[tuple[Joined, list[str]]]:
    """A log and the policies to be judged on it: one for each experiment that is asked for, and one for the rest."""
    from streamer.ope.decisions import join
    from streamer.ope.items import join_items

    by_experiment: dict[str, list[str]] = {}
    for name in named:
        experiment = name.partition(":")[2].partition("=")[0] if name.startswith("arm:") else ""
        by_experiment.setdefault(experiment, []).append(name)
    out = []
    for experiment, these in sorted(by_experiment.items()):
        if choice == "item" and not experiment:
            joined = join_items(found, reward, window_ms=window_ms, chances=chances, between=between)
        else:
            joined = join(found, reward, window_ms=window_ms, chances=chances, experiment=experiment, between=between)
        out.append((joined, these))
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


def show(reports: Sequence[dict[str, Any]]) -> None:
    """Print them: of each log what was logged, and then of each policy what it would have earned."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    for place, report in enumerate(reports):
        if place:
            console.print()
        _show_log(console, report)
        for one in report["policies"]:
            _show_policy(console, one, f"{report['level']:.0%}")


def _show_log(console: Console, found: dict[str, Any]) -> None:
    """What was logged, of the policies that follow."""
    logged, what = found["logged"], "round" if found["weigh"] == "rounds" else "round, the mean over users"
    console.print(
        f"{found['rounds']:,} rounds of {found['users']:,} users, {found['actions']} actions; intervals: "
        f"{found['level']:.0%}, {found['interval']} by user\n"
        f"logged: {_number(logged['value'])} a {what} {_range(logged)}".rstrip()
    )
    for reason, count in found["left_out"].items():
        console.print(f"{count:,} left out: {reason}")
    for sentence in found["notes"]:
        console.print(f"[yellow]{sentence}[/yellow]", soft_wrap=True)


def _show_policy(console: Console, one: dict[str, Any], level: str) -> None:
    """How far the log supports a policy, and either why there is no answer or the estimates."""
    from rich.table import Table

    told = one["support"]
    console.print(
        f"\n[bold]{one['policy']}[/bold]: support {told['share']:.1%}, {told['effective_rounds']:,.1f} effective "
        f"rounds of {told['effective_users']:,.1f} users with {told['effective_rewards']:,.1f} effective rewards, "
        f"largest weight {told['largest_weight']:,.1f} ({told['largest_share']:.1%} of all), "
        f"mean weight {told['mean_weight']:.3f} (due {told['mean_weight_due']:.3f})",
        soft_wrap=True,
    )
    for sentence in one["refused"]:
        console.print(f"  [red]{sentence}[/red]", soft_wrap=True)
    if one["refused"]:
        return
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
