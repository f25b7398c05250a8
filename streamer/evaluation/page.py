"""The report as one HTML page: plots and tables, no script, nothing to fetch."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from streamer.evaluation.report import predicted, ranked
from streamer.evaluation.series import OURS
from streamer.evaluation.svg import Bar, Line, bars, lines, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Found = Mapping[str, Any]

_HEAVIEST: Final = 24
_STYLE: Final = (
    """
:root{color-scheme:light dark;--bg:#fff;--ink:#1c2024;--dim:#60646c;--rule:#e3e5e8;
--c0:#0b62d6;--c1:#c2410c;--c2:#0f7b55;--c3:#8a3ffc;--c4:#b0126c;--c5:#7a5c00;--c6:#0e7490;--c7:#6b7280}
@media(prefers-color-scheme:dark){:root{--bg:#15171a;--ink:#e8eaed;--dim:#9aa0a8;--rule:#2d3137;
--c0:#6aa9ff;--c1:#fb923c;--c2:#4ade9b;--c3:#b794ff;--c4:#f472b6;--c5:#e3c341;--c6:#4fc3dc;--c7:#a3a9b3}}
*{box-sizing:border-box}body{margin:0 auto;max-width:860px;padding:24px;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}h1{font-size:24px;margin:0}h2{font-size:18px;margin:36px 0 4px}
p{margin:4px 0 12px;color:var(--dim)}.wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px;width:100%;
font-variant-numeric:tabular-nums}td,thead th{text-align:right;padding:3px 8px}th{font-weight:600;text-align:left}
tbody tr{border-top:1px solid var(--rule)}tbody tr:first-child{font-weight:600}svg{width:100%;height:auto;display:block}
text{font:12px system-ui,sans-serif;fill:var(--ink)}.tick,.says{fill:var(--dim)}.grid{stroke:var(--rule)}
.value{font-variant-numeric:tabular-nums}.line{fill:none;stroke-width:2}.whisker{stroke-width:3;stroke-linecap:round}
.name{font-weight:600}code{font-size:12px}
"""
    + "".join(
        f".line.s{n},.whisker.s{n}{{stroke:var(--c{n})}}.bar.s{n},.dot.s{n},.name.s{n}{{fill:var(--c{n})}}"
        for n in range(8)
    )
    + ".line.faint{stroke:var(--dim);stroke-dasharray:4 4}.name.faint{fill:var(--dim)}"
)


def page(found: Found, name: str) -> str:
    """The page of a report as its JSON has it; ``name`` is what was evaluated."""
    parts = [
        f"<h1>How well it recommends: {escape(name)}</h1>",
        (
            f"<p>{found['events']:,} groups of events, {found['groups']:,} lists, {found['targets']:,} targets; model "
            f"{escape(found['model'])}; digest <code>{found['digest']}</code></p>"
        ),
        *_accuracy("The next item", "Twenty items, judged by all that came next.", found),
        *_accuracy(
            "Something new", "Twenty items new to the shopper, judged by what came next and was new.", found["discover"]
        ),
        *_missing(found),
        "<h2>While it learned</h2><p>hr@20 over stretches of the run; each list precedes what is learned of it.</p>",
        _curve(found),
        *_families(found),
        *_calibration(found),
        *_predictions(found),
        *_importance(found),
        *_beyond(found),
        *_cost(found),
    ]
    return document(f"{name}: recommendations", parts)


def document(title: str, parts: Iterable[str]) -> str:
    """A whole page of parts in HTML, with the style that plots and tables ask for."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>{escape(title)}</title><style>{_STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _colour(names: list[str]) -> dict[str, str]:
    return {OURS: "s0"} | {name: f"s{n % 7 + 1}" for n, name in enumerate(n for n in names if n != OURS)}


def _accuracy(title: str, says: str, part: Found) -> list[str]:
    values = {OURS: part["metrics"], **part["baselines"]}
    rows = {name: [f"{value:.4f}" for value in metrics.values()] for name, metrics in values.items()}
    dots = []
    for name, metrics in values.items():
        interval = part["intervals"].get(name, {}).get("hr@20")
        dots.append(Bar(name, metrics["hr@20"], f"{metrics['hr@20']:.4f}", "s0" if name == OURS else "s7", interval))
    return [
        (
            f"<h2>{title}</h2><p>{says} {part['groups']:,} lists, {part['targets']:,} targets. Below: hr@20 with 95 % "
            "intervals, users drawn anew.</p>"
        ),
        table(list(part["metrics"]), rows),
        bars(dots, says="hr@20"),
    ]


def _missing(found: Found) -> list[str]:
    return [f"<p>Not measured: {escape(name)}, {escape(why)}.</p>" for name, why in found["missing"].items()]


def _curve(found: Found) -> str:
    curve = found["curve"]
    if not curve:
        return "<p>Nothing to show.</p>"
    until = curve["lists"]["until"]
    best = sorted(found["baselines"], key=lambda name: -found["baselines"][name]["hr@20"])[:4]
    colour = _colour([OURS, *best])
    return lines(
        [Line(name, list(zip(until, curve[name]["hr@20"], strict=True)), colour[name]) for name in (OURS, *best)],
        x_says="lists so far",
        y_says="hr@20",
        low=0.0,
    )


def _families(found: Found) -> list[str]:
    retrieval = found["retrieval"]
    families = retrieval["families"]
    rows = {
        name: [
            f"{one['candidates']:.1f}",
            *(f"{100 * one[key]:.1f} %" for key in ("listed", "recall", "hits", "hits_alone")),
        ]
        for name, one in families.items()
    }
    out = [
        (
            f"<h2>What each family gives</h2><p>{retrieval['pool']:.0f} candidates, {100 * retrieval['recall']:.1f} % "
            "of the targets among them. Below: the share of the targets that each family proposed.</p>"
        ),
        bars(
            [Bar(name, one["recall"], f"{100 * one['recall']:.1f} %") for name, one in families.items()], says="recall"
        ),
        table(["candidates a list", "of places", "of targets", "of hits", "of hits, alone"], rows),
    ]
    if "ablation" in found:
        for kind, title in (("next", "the next item"), ("discover", "something new")):
            lost = {name: one[kind]["hr@20"] for name, one in found["ablation"].items()}
            out += [
                (
                    f"<p>Lost in hr@20 on {title} when the family and its features are left out, "
                    "with 95 % intervals.</p>"
                ),
                bars(
                    [Bar(n, by, f"{by:+.4f}", "s0", (one, two)) for n, (by, one, two) in lost.items()],
                    says="lost hr@20",
                ),
            ]
    return out


def _calibration(found: Found) -> list[str]:
    ranker = found["ranker"]
    points = [(predicted, observed) for _, predicted, observed in ranker["calibration"]]
    seen = [p for p, o in points if p > 0 and o > 0]
    ideal = [(min(seen), min(seen)), (max(seen), max(seen))] if seen else []
    return [
        (
            f"<h2>Are its probabilities true?</h2><p>Prequential, whole pools: {ranked(ranker)}. A dot is a "
            "fortieth of all; on the dashed line as many were taken up as was said.</p>"
        ),
        lines(
            [Line("as said", ideal, "faint"), Line("observed", points, "s0", dots=True)],
            x_says="predicted probability",
            y_says="share taken up",
            log=True,
        ),
    ]


def _predictions(found: Found) -> list[str]:
    """What was predicted of shoppers."""
    says = [f"<p>{escape(name)}: {escape(predicted(told))}.</p>" for name, told in found["predictions"].items()]
    return ["<h2>What it predicts of shoppers</h2>", *says]


def _importance(found: Found) -> list[str]:
    """What each model looks at."""
    out = [
        (
            "<h2>What the models look at</h2><p>How far a feature moves a score from the mean of its list, or of all "
            "before where a list is one row: mean absolute log-odds, of each model as it was when it met the list.</p>"
        )
    ]
    for model, weighs in found["importance"].items():
        heaviest = list(weighs.items())[:_HEAVIEST]
        out += [f"<p>{escape(model)}</p>", bars([Bar(n, v, f"{v:.3f}") for n, v in heaviest], says="log-odds")]
    return out


def _beyond(found: Found) -> list[str]:
    beyond = found["beyond"]
    rows = {name: [f"{value:.3f}" for value in one.values()] for name, one in beyond.items()}
    return [
        (
            "<h2>Beyond accuracy</h2><p>Novelty: bits of surprise an item; coverage: the share of all items ever "
            "listed; gini: 0 if all items are listed alike, 1 if one is always; diversity: 1 - cosine of the users "
            "of two items of a list. Below: coverage.</p>"
        ),
        bars(
            [
                Bar(n, one["coverage"], f"{100 * one['coverage']:.1f} %", "s0" if n == OURS else "s7")
                for n, one in beyond.items()
            ],
            says="coverage",
        ),
        table(list(beyond[OURS]), rows),
    ]


def _cost(found: Found) -> list[str]:
    stages = found["stages"]
    rows = {name: [f"{one['p50']:.3f}", f"{one['p99']:.3f}", f"{one['total_s']:.1f}"] for name, one in stages.items()}
    return [
        (
            f"<h2>What it costs</h2><p>{found['events_per_second']:,.0f} groups/s in one process; a list in "
            f"{found['list_ms']['p50']:.2f} ms at the median, {found['list_ms']['p99']:.2f} ms at the 99th percentile; "
            f"{found['rss_mb']:.0f} MB. Below: the median of each stage, in ms a list (folding: a group).</p>"
        ),
        bars([Bar(name, one["p50"], f"{one['p50']:.3f} ms") for name, one in stages.items()], says="ms"),
        table(["p50 ms", "p99 ms", "in all, s"], rows),
    ]
