"""Our learners against River's own and Vowpal Wabbit: the same features, the same stream of real examples, one run.

The events of FILE go through evaluation's engine, and the examples that its trainer is given are kept. Each learner
then takes them in order, prequentially: all rows of a list are predicted, then all are learned from, each with the
weight of the rows it stands for. Told are rows a second of CPU time of the learner alone (what turns an example into
what it takes, a dict or a line of text, is left out), the weighted log loss and the AUC.

Ours begin as in the trainer, at the features' priors; those marked "from nothing" begin at 0 without any weight of
evidence, as the others do.
River's factorization machine looks at each pair of features in Python, so it is given the first ``--short`` examples
only; the loss over these is told of every learner. Vowpal Wabbit takes part where its package is installed
(``pip install vowpalwabbit``; it is no dependency), and is said to be left out where not.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from load_tests.harness import arguments, fixed_loop_s, machine, write
from streamer.core.models.metrics import BinaryMetrics
from streamer.core.models.registry import FEATURE_NAMES, MODELS, learner
from streamer.core.models.trainer import Trainer
from streamer.evaluation.engine import Engine
from streamer.evaluation.stages import Stages
from streamer.readers.registry import open_events
from streamer.settings import flags, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from streamer.core.events import Event
    from streamer.core.learning_settings import LearningSettings
    from streamer.core.models.example import Example
    from streamer.core.settings import CoreSettings

    Floats = NDArray[np.float64]

#: A rate for learning in steps of a list, besides the one set.
FASTER = 0.3


class Keeping(Trainer):
    """A trainer that keeps what it is given."""

    kept: list[Example]

    def learn(self, examples: Sequence[Example]) -> None:
        """As ``Trainer.learn``."""
        self.kept.extend(examples)
        super().learn(examples)


def examples(events: Iterable[Event], core: CoreSettings, every: int, count: int) -> list[Example]:
    """At most ``count`` examples, of each so-manieth group by a shopper who was seen before."""
    engine, stages = Engine(core), Stages()
    engine.trainer = keeping = Keeping(core.learning)
    keeping.kept = []
    turn = 0
    for (now_ms, user), group in groupby(events, key=lambda event: (event.time, event.user)):
        together = list(group)
        if engine.knows(user) and any(event.lines for event in together):
            turn += 1
            if turn % every == 0:
                engine.settle()
                engine.learn(engine.rank(user, now_ms, stages), together)
                if len(keeping.kept) >= count:
                    break
        engine.fold(user, together)
    return keeping.kept


class Ours:
    """A kind of ours: a list at a time."""

    def __init__(self, kind: str, settings: LearningSettings, *, from_nothing: bool = False) -> None:
        if from_nothing:
            nothing = [0.0] * len(FEATURE_NAMES)
            self._model = MODELS[kind].learner(FEATURE_NAMES, nothing, 0.0, replace(settings, prior_strength=0.0))
        else:
            self._model = learner(kind, settings)

    def prepare(self, x: Floats, y: Floats, w: Floats) -> Any:
        """What the two steps take."""
        return x, y, w

    def predict(self, given: Any) -> Floats:
        """Probabilities of the list's rows."""
        return self._model.predict_proba_many(given[0])

    def learn(self, given: Any, p: Floats) -> None:
        """Learn from the list."""
        x, y, w = given
        self._model.learn_many(x, y, w, p)


class Rivers:
    """A classifier of River's: a row at a time, since it is made for that."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._model = make()

    def prepare(self, x: Floats, y: Floats, w: Floats) -> Any:
        """Rows as dicts."""
        rows = [dict(zip(FEATURE_NAMES, row, strict=True)) for row in x.T.tolist()]
        return rows, (y > 0).tolist(), w.tolist()

    def predict(self, given: Any) -> Floats:
        """Probabilities of the list's rows."""
        predict = self._model.predict_proba_one
        return np.array([predict(row).get(True, 0.5) for row in given[0]])

    def learn(self, given: Any, _p: Floats) -> None:
        """Learn from the rows."""
        for row, y, w in zip(*given, strict=True):
            self._model.learn_one(row, y, w=w)


class VowpalWabbit:
    """Vowpal Wabbit's Python package: examples parsed beforehand, then its own C++."""

    def __init__(self, options: str) -> None:
        workspace = import_module("vowpalwabbit").Workspace
        self._model = workspace(f"--quiet --loss_function logistic --link logistic --bit_precision 18 {options}")

    def prepare(self, x: Floats, y: Floats, w: Floats) -> Any:
        """Parsed examples, one set to be predicted and one to be learned from."""
        lines = [
            "|f " + " ".join(f"{name}:{value:.6g}" for name, value in zip(FEATURE_NAMES, row, strict=True) if value)
            for row in x.T.tolist()
        ]
        marks = [f"{1 if label else -1} {weight:.6g} " for label, weight in zip(y.tolist(), w.tolist(), strict=True)]
        parse = self._model.parse
        return [parse(line) for line in lines], [parse(mark + line) for mark, line in zip(marks, lines, strict=True)]

    def predict(self, given: Any) -> Floats:
        """Probabilities of the list's rows."""
        model = self._model
        found = []
        for example in given[0]:
            found.append(model.predict(example))
            model.finish_example(example)
        return np.array(found)

    def learn(self, given: Any, _p: Floats) -> None:
        """Learn from the rows."""
        model = self._model
        for example in given[1]:
            model.learn(example)
            model.finish_example(example)


def run(one: Any, stream: Sequence[Example], short: int) -> dict[str, float]:
    """Take the stream, prequentially."""
    metrics, spent, rows = BinaryMetrics(), 0.0, 0
    told = {}
    for number, example in enumerate(stream, 1):
        x, y, w = example.features(), example.outcomes(), example.sampling_weights()
        given = one.prepare(x, y, w)
        began = time.process_time()
        p = one.predict(given)
        one.learn(given, p)
        spent += time.process_time() - began
        rows += len(y)
        metrics.update(y, p, w)
        if number == min(short, len(stream)):
            told["logloss_short"] = round(metrics.logloss(), 5)
    return {
        "rows_per_s": round(rows / spent),
        "logloss": round(metrics.logloss(), 5),
        **told,
        "auc": round(metrics.auc(), 4),
        "examples": len(stream),
        "rows": rows,
    }


def contestants(settings: LearningSettings) -> dict[str, tuple[Callable[[], Any], bool]]:
    """By name: what makes one, and whether it is given the short stream only."""
    from river import facto, linear_model, optim

    found: dict[str, tuple[Callable[[], Any], bool]] = {}
    faster = replace(settings, learning_rate=FASTER)
    for kind in MODELS:
        found[kind] = (partial(Ours, kind, settings), False)
        if kind != "listwise":
            found[f"{kind}, rate {FASTER}"] = (partial(Ours, kind, faster), False)
        found[f"{kind}, rate {FASTER}, from nothing"] = (partial(Ours, kind, faster, from_nothing=True), False)
    # River's own defaults, and the rates that ours have: whichever is best for it.
    rates: dict[str, dict[str, float]] = {"its defaults": {}}
    rates |= {f"rate {rate}, no L2": {"alpha": rate, "l2": 0.0} for rate in (settings.learning_rate, FASTER)}

    def ftrl(how: dict[str, float]) -> Rivers:
        return Rivers(lambda: linear_model.LogisticRegression(optim.FTRLProximal(**how)))

    for name, how in rates.items():
        found[f"river LogisticRegression(FTRLProximal), {name}"] = (partial(ftrl, how), False)
    found["river LogisticRegression(AdaGrad), rate 0.1"] = (
        lambda: Rivers(lambda: linear_model.LogisticRegression(optim.AdaGrad(0.1))),
        False,
    )
    factors = {"n_factors": settings.factors, "seed": 1}
    found["river FMClassifier, its defaults"] = (lambda: Rivers(lambda: facto.FMClassifier(**factors)), True)
    found["river FMClassifier, AdaGrad"] = (
        lambda: Rivers(
            lambda: facto.FMClassifier(
                weight_optimizer=optim.AdaGrad(0.1), latent_optimizer=optim.AdaGrad(0.05), **factors
            )
        ),
        True,
    )
    if find_spec("vowpalwabbit"):
        found["vowpal wabbit, its defaults"] = (lambda: VowpalWabbit(""), False)
        found["vowpal wabbit --ftrl"] = (lambda: VowpalWabbit("--ftrl"), False)
        found["vowpal wabbit --interactions ff"] = (lambda: VowpalWabbit("--interactions ff"), False)
    return found


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("file", type=Path, help="events, in any format that `streamer evaluate` reads")
    parser.add_argument("--every", type=int, default=1, help="an example of each so-manieth group")
    parser.add_argument("--examples", type=int, default=20_000, help="at most so many")
    parser.add_argument("--short", type=int, default=500, help="so many for the factorization machine of River's")
    parser.add_argument("--events", type=int, help="of the file, at most so many")
    given = parser.parse_args()
    core = load(None, {}, flags(given.set), check_files=False).core
    stream = examples(islice(open_events(given.file), given.events), core, given.every, given.examples)
    figures: dict[str, Any] = {}
    for name, (make, short) in contestants(core.learning).items():
        figures[name] = run(make(), stream[: given.short] if short else stream, given.short)
        print(f"{name:55} {figures[name]}", flush=True)
    if not find_spec("vowpalwabbit"):
        print("vowpal wabbit is not installed, and is left out")
        figures["vowpal wabbit"] = "left out: not installed"
    write(
        {"learners": figures, "settings": {"overrides": given.set, "fixed_loop_s": fixed_loop_s(), **machine()}},
        given.json,
    )


if __name__ == "__main__":
    main()
