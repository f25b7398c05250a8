"""What cheaper ways to score cost and save: pruned and rounded nets, a linear model taught by the net.

The listwise net learns from each list of a log, as the champion does; the others score the same lists beside it. One
that is made of the net is made anew every ``--publish`` lists, as a worker gets blocks. Lists come from one replay
(``kept.py``), vectors are learned beside them as the settings say. Told of each: what its lists are worth, paired with
the net's; CPU microseconds a list, scoring alone, the least of three rounds over the last lists; bytes of parameters.

Pruned: all but the greatest weights of the two hidden layers are 0 (Han et al., NIPS 2015), or all but the hidden
units whose weights are greatest, which leaves smaller products. Distilled: a linear model learns the net's softmax over
the rows of each example instead of what was taken up (Hinton, Vinyals, Dean, 2015); ``linear`` learns the latter.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from load_tests.harness import fixed_loop_s, machine, write
from load_tests.kept import Places
from load_tests.vectors import Learned, lists_of, of_lists
from streamer.core.exactmath import LOG2_E, exp2
from streamer.core.features import FEATURES
from streamer.core.models.listwise import Listwise, OnlineListwise
from streamer.core.models.logistic import Logistic
from streamer.core.models.net import NARROW, WIDE
from streamer.core.models.registry import FEATURE_NAMES, learner
from streamer.core.models.trainer import Trainer
from streamer.core.settings import CoreSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

F = len(FEATURES)


class Net:
    """The net itself, or its parameters put through ``change`` whenever they are published."""

    def __init__(self, change: Any = None) -> None:
        self._change = change

    def publish(self, net: OnlineListwise) -> None:
        """Take over the net as it is."""
        theta = net.theta.copy()
        if self._change is not None:
            self._change(net, theta)
        self.model = Listwise(FEATURE_NAMES, theta, net.bias)

    def score(self, x: Floats) -> Floats:
        """Scores, in the order of the probabilities."""
        return self.model.scores(x)

    def size(self) -> int:
        """Bytes of parameters that are not 0, in float64."""
        return 8 * int(np.count_nonzero(self.model.theta))


def rounded(_net: OnlineListwise, theta: Floats) -> None:
    """To float16 and back."""
    theta[:] = theta.astype(np.float16)


def pruned(share: float) -> Any:
    """Only this share of the weights of each hidden layer stays."""

    def change(net: OnlineListwise, theta: Floats) -> None:
        _, one, _, two, *_ = net._parts(theta)  # noqa: SLF001 - its layers
        for layer in (one, two):
            least = np.quantile(np.abs(layer), 1.0 - share)
            layer[np.abs(layer) < least] = 0.0

    return change


class Narrow:
    """The net with only its greatest hidden units of the first layer, in products that are as much smaller.

    The products are of the list as it is and not of blocks of one shape, so that its bits hang on what is scored along.
    """

    def __init__(self, units: int) -> None:
        self._units = units

    def publish(self, net: OnlineListwise) -> None:
        """Take over the net as it is."""
        linear, one, b1, two, b2, last, *_ = net._parts(net.theta.copy())  # noqa: SLF001 - its layers
        weight = np.sqrt((one * one).sum(axis=1)) * np.sqrt((two * two).sum(axis=0))
        kept = np.sort(np.argsort(-weight, kind="stable")[: self._units])
        self._first = np.ascontiguousarray(np.concatenate((one[kept], linear[None])).T)
        self._b1, self._two, self._b2 = b1[kept], np.ascontiguousarray(two[:, kept].T), b2
        self._last = last
        self._size = 8 * (F * (len(kept) + 2) + len(kept) * (NARROW + 1) + 2 * NARROW + 2)

    def score(self, x: Floats) -> Floats:
        """Scores, in the order of the probabilities."""
        both = x.T @ self._first
        first = np.maximum(both[:, :-1] + self._b1, 0.0)
        second = np.maximum(first @ self._two + self._b2, 0.0)
        found: Floats = both[:, -1] + second @ self._last
        return found

    def size(self) -> int:
        """Bytes of parameters."""
        return self._size


class Linear:
    """A linear scorer that learns with softmax and Adam, as the net does: from a teacher, or from what was taken up."""

    def __init__(self, *, taught: bool) -> None:
        self._taught = taught
        self._w = np.array([feature.prior for feature in FEATURES])
        self._mean, self._square, self._steps = np.zeros(F), np.zeros(F), 0
        self._average = self._w.copy()
        self.model = Logistic(FEATURE_NAMES, self._w, 0.0)

    def learn(self, x: Floats, y: Floats, w: Floats, teacher: Floats) -> None:
        """From an example's rows; ``teacher`` are the net's scores of them."""
        target = exp2((teacher - teacher.max()) * LOG2_E) * w if self._taught else y * w
        target /= target.sum()
        score = self._w @ x
        share = exp2((score - score.max()) * LOG2_E) * w
        gradient = x @ (share / share.sum() - target)
        self._steps += 1
        self._mean = 0.9 * self._mean + 0.1 * gradient
        self._square = 0.999 * self._square + 0.001 * gradient * gradient
        rate = 0.003 / np.sqrt(1.0 + 0.001 * self._steps)
        step = self._mean / (1.0 - 0.9**self._steps) / (np.sqrt(self._square / (1.0 - 0.999**self._steps)) + 1e-8)
        self._w = self._w - rate * step
        self._average += max(0.01, 1.0 / (self._steps + 1.0)) * (self._w - self._average)

    def publish(self, _net: OnlineListwise) -> None:
        """Score with what was learned so far."""
        self.model = Logistic(FEATURE_NAMES, self._average, 0.0)

    def score(self, x: Floats) -> Floats:
        """Log-odds."""
        return self.model.scores(x)

    def size(self) -> int:
        """Bytes of parameters."""
        return 8 * F


def contestants() -> dict[str, Any]:
    """By name; the net is the first."""
    return {
        "net": Net(),
        "net, rounded to float16": Net(rounded),
        "net, half of the weights": Net(pruned(0.5)),
        "net, a quarter of the weights": Net(pruned(0.25)),
        "net, a tenth of the weights": Net(pruned(0.1)),
        "net, products of the whole list": Narrow(WIDE),
        f"net, {WIDE // 2} of {WIDE} units": Narrow(WIDE // 2),
        f"net, {WIDE // 4} of {WIDE} units": Narrow(WIDE // 4),
        "linear, taught by the net": Linear(taught=True),
        "linear, from what was taken up": Linear(taught=False),
    }


def main() -> None:
    """Measure and report."""
    parser = of_lists(__doc__ or "")
    parser.add_argument("--publish", type=int, default=20, help="lists between two blocks")
    given = parser.parse_args()
    lists, core = lists_of(given), CoreSettings()
    learned, trainer = Learned(lists, core.vectors, "float16"), Trainer(core.learning)
    logistic: Any = learner("logistic", core.learning)
    ways = contestants()
    places = {name: Places(lists) for name in (*ways, "logistic")}
    net: Any = trainer.champion
    last: list[Floats] = []
    for n in range(len(lists)):
        x = lists.features(n)
        learned.until(int(lists.steps[n]))
        learned.fill(n, x)
        for name, one in ways.items():
            if n % given.publish == 0:
                one.publish(net)
            places[name].add(n, one.score(x))
        places["logistic"].add(n, logistic.predict_many(x))
        example = lists.example(n, x, net.predict_many(x))
        if example is not None:
            rows, y, w = example.features(), example.outcomes(), example.sampling_weights()
            teacher = net.scores(rows)
            for one in ways.values():
                if isinstance(one, Linear):
                    one.learn(rows, y, w, teacher)
            logistic.learn_many(rows, y, w, logistic.predict_proba_many(rows))
            trainer.learn_one(example)
        if n >= len(lists) - 500:
            last.append(x)
    ways["logistic"] = logistic
    found: dict[str, Any] = {}
    for name, one in ways.items():
        score = one.scores if one is logistic else one.score
        found[name] = places[name].figures() | {
            "us_a_list": round(min(timed(score, last) for _ in range(3)), 1),
            "bytes": 8 * (F + 1) if one is logistic else one.size(),
        }
        if name != "net":
            found[name]["above_the_net"] = places[name].above(places["net"])
        print(name, found[name], flush=True)
    rows = round(sum(x.shape[1] for x in last) / len(last), 1)
    write(
        {"lists": len(lists), "rows_a_list": rows, "scorers": found, "fixed_loop_s": fixed_loop_s(), **machine()},
        given.json,
    )


def timed(score: Any, last: list[Floats]) -> float:
    """CPU microseconds a list."""
    began = time.process_time()
    for x in last:
        score(x)
    return 1e6 * (time.process_time() - began) / len(last)


if __name__ == "__main__":
    main()
