"""A small neural net that ranks, learned online from whole lists: listwise softmax, in numpy.

Scores are a linear part over the features plus a net F-32-16-1 of rectifiers, whose last layer begins at 0; so an
untaught net ranks by the features' priors. The loss of a list is the cross entropy of the softmax over it against what
was taken up (ListNet's top-one, Cao et al., ICML 2007). A sampled row stands for ``w`` rows, so it enters the softmax
with ``w`` times its exponential: the logit correction of sampled softmax (Jean et al., ACL 2015). Steps are Adam's
(Kingma, Ba, ICLR 2015) at a rate that falls with 1/sqrt(1 + 0.001 t). One list says little, least of all a basket, so
what scores is not where the last step led but a fading mean of the steps (Polyak, Juditsky, SIAM J. Control Optim. 30,
1992).

Repeats outshine what is new, and a list to discover leaves them out. So the rows of items that the shopper had not had
are a list of their own as well: its cross entropy is added, for half.

A softmax does not say how likely a row is as such: it leaves open what all scores of a list have in common. The
probability is ``sigmoid(bias + slope * score + level . x)``, where ``level`` weighs the features of the list as a
whole, such as how many candidates it has; so it moves no order. These are learned beside the net from the log loss of
the rows, by AdaGrad: Platt scaling, online, by context. (That loss in the net itself ranked baskets worse.)

Rows are scored in blocks of ``BLOCK`` filled up with zeros, so that one product of matrices has one shape always and a
row's score does not hang on where a batch was cut. Products are the BLAS's, whose last bits may differ between
kinds of processors; ``logistic`` has equal bits on all.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.exactmath import LOG2_E, exp2, sigmoid
from streamer.core.features import FEATURES
from streamer.core.models.model import (
    BLOCK_VERSION,
    ModelBlock,
    ModelRefused,
    encode_block,
    features_id,
    on_grid,
    read_block,
)
from streamer.core.models.net import NARROW, WIDE, beginning, parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.learning_settings import LearningSettings
    from streamer.core.models.model import Floats

KIND: Final = "listwise"
BLOCK: Final = 64
_ABSURD: Final = 1e6
_LEAST_SLOPE: Final = 0.05
"""The slope stays above 0, so that probabilities are in the order of the scores."""
_MOMENTUM, _MEMORY, _EPS = 0.9, 0.999, 1e-8
_DECAY: Final = 0.001
_CALIBRATION_RATE: Final = 0.2
_FADING: Final = 0.01
"""What the newest step counts for in the mean of them; more while there are few."""


HAD: Final = ("own_place", "bought_orders")
"""Features that are above 0 if the shopper had the item before."""
_OF_NEW: Final = 0.5
"""What the list of the new counts for beside the whole."""

CONTEXT: Final = frozenset(feature.name for feature in FEATURES if feature.group == "context")
"""Features that all rows of a list share."""


class Listwise:
    """A net that only scores. ``theta`` float64 [parameters(F)] holds all of it, ``bias`` apart."""

    def __init__(self, names: Sequence[str], theta: Floats, bias: float, version: int = 0) -> None:
        self.names = tuple(names)
        self.features = features_id(self.names)
        self.bias, self.version = float(bias), version
        if theta.shape != (parameters(len(self.names)),):
            raise ValueError(f"{len(self.names)} features but parameters of shape {theta.shape}")
        self.theta: Floats = np.array(theta, dtype=np.float64)
        self._context = [at for at, name in enumerate(self.names) if name in CONTEXT]

    def _parts(self, of: Floats) -> list[Floats]:
        """Views into parameters: linear [F], W1 [32, F], b1 [32], W2 [16, 32], b2 [16], w3 [16], slope [1], level [F].

        Slope and level are the calibration's.
        """
        f = len(self.names)
        shapes = ((f,), (WIDE, f), (WIDE,), (NARROW, WIDE), (NARROW,), (NARROW,), (1,), (f,))
        parts, at = [], 0
        for shape in shapes:
            size = int(np.prod(shape))
            parts.append(of[at : at + size].reshape(shape))
            at += size
        return parts

    @property
    def weights(self) -> Floats:
        """The linear part [F]."""
        return self.theta[: len(self.names)]

    @property
    def slope(self) -> float:
        """What a unit of score adds to the log-odds."""
        return float(self.theta[-1 - len(self.names)])

    @property
    def level(self) -> Floats:
        """What a unit of each feature of the list as a whole adds to all log-odds [F]; 0 for other features."""
        return self.theta[-len(self.names) :]

    def _layers(self, x: Floats, theta: Floats) -> tuple[Floats, Floats, Floats]:
        """Hidden layers and scores of features [F, n], padded to whole blocks: [b, 64, 32], [b, 64, 16], [n]."""
        n = x.shape[1]
        blocks = max(1, -(-n // BLOCK))
        padded = np.zeros((blocks * BLOCK, len(self.names)))
        padded[:n] = x.T
        rows = padded.reshape(blocks, BLOCK, -1)
        linear, w1, b1, w2, b2, w3, _, _ = self._parts(theta)
        # Contiguous operands and one shape: the BLAS takes one path for every block. The linear part goes along.
        both = np.matmul(rows, np.ascontiguousarray(np.concatenate((w1, linear[None])).T))
        first = np.maximum(both[..., :WIDE] + b1, 0.0)
        second = np.maximum(np.matmul(first, np.ascontiguousarray(w2.T)) + b2, 0.0)
        # Products and sums along a short axis in index order.
        score = both[..., WIDE] + np.add.accumulate(second * w3, axis=2)[..., -1]
        return first, second, score.reshape(-1)[:n]

    def scores(self, x: Floats) -> Floats:
        """Scores [n] of features [F, n]; differences within a list are what counts."""
        return self._layers(x, self.theta)[2]

    def predict_proba_many(self, x: Floats) -> Floats:
        """Probabilities [n] of features [F, n]."""
        return sigmoid(self._odds(x, self.scores(x)))

    def _odds(self, x: Floats, scores: Floats) -> Floats:
        odds = self.bias + self.slope * scores
        for at in self._context:
            odds += self.level[at] * x[at]
        return odds

    def predict_many(self, x: Floats) -> Floats:
        """As ``Model.predict_many``."""
        return on_grid(self.predict_proba_many(x))

    def contributions(self, row: Floats) -> Floats:
        """As ``Model.contributions``: features times the slopes of the linear piece of the net that the row lies in.

        With what that piece has at 0 they add up to the log-odds.
        """
        return self.contributions_many(row[:, None])[:, 0]

    def contributions_many(self, x: Floats) -> Floats:
        """As ``Learner.contributions_many``."""
        linear, w1, b1, w2, b2, w3, _, level = self._parts(self.theta)
        one = w1 @ x + b1[:, None]
        two = w2 @ np.maximum(one, 0.0) + b2[:, None]
        inner = (w2.T @ (w3[:, None] * (two > 0))) * (one > 0)
        parts: Floats = (self.slope * (linear[:, None] + w1.T @ inner) + level[:, None]) * x
        return parts

    def is_finite(self) -> bool:
        """Whether every parameter is a finite number of a sane size, and the slope above 0."""
        return abs(self.bias) < _ABSURD and bool((np.abs(self.theta) < _ABSURD).all()) and self.slope > 0

    def block(self) -> bytes:
        """The model as published."""
        weights = self.theta.astype("<f8").tobytes()
        return encode_block(ModelBlock(BLOCK_VERSION, KIND, self.version, self.features, self.bias, weights))


def from_block(value: bytes, names: Sequence[str]) -> Listwise:
    """The model of a block; ``ModelRefused`` if it is of another feature list, not finite or not of this kind."""
    block = read_block(value, KIND, names, parameters(len(names)))
    model = Listwise(names, np.frombuffer(block.weights, dtype="<f8"), block.bias, block.version)
    if not model.is_finite():
        raise ModelRefused(f"model version {block.version} has parameters that are not finite")
    return model


def learner(names: Sequence[str], priors: Sequence[float], bias: float, settings: LearningSettings) -> OnlineListwise:
    """An untaught net that learns as the settings say."""
    return OnlineListwise(
        names,
        priors,
        bias,
        rate=settings.net_rate,
        l2=settings.l2,
        clip=settings.clip,
    )


def _off(scores: Floats, y: Floats, w: Floats) -> Floats:
    """By how much more of what was taken up the softmax expects of each row [n] than there was."""
    shares = exp2((scores - scores.max()) * LOG2_E) * w
    taken = y * w
    off: Floats = shares * (taken.sum() / shares.sum()) - taken
    return off


class OnlineListwise(Listwise):
    """A net that learns. The trainer owns it.

    ``theta`` is the mean of the steps, ``walked`` where they led. ``rate`` is Adam's, ``l2`` pulls parameters back to
    where they began, ``clip`` bounds the norm of a list's gradient.
    """

    def __init__(
        self,
        names: Sequence[str],
        priors: Sequence[float],
        bias: float = 0.0,
        *,
        rate: float = 3e-3,
        l2: float = 0.0,
        clip: float = 8.0,
    ) -> None:
        super().__init__(names, beginning(priors), bias)
        self.start: Floats = self.theta.copy()
        self.walked: Floats = self.theta.copy()
        self.rate, self.l2, self.clip = rate, l2, clip
        self._had = [at for at, name in enumerate(self.names) if name in HAD]
        self._mean, self._square, self._steps = np.zeros_like(self.theta), np.zeros_like(self.theta), 0
        self._calibration = np.zeros(len(self.names) + 2)
        self._taken = 0.0

    def memory(self) -> Floats:
        """What learning goes on from, beside the parameters.

        Where the steps led, Adam's two averages, AdaGrad's sums of squares, how much is taken up of a list, the count
        of steps.
        """
        rest = [self._taken, float(self._steps)]
        return np.concatenate((self.walked, self._mean, self._square, self._calibration, rest))

    def remember(self, model: Listwise, memory: Floats) -> bool:
        """Go on from a model and its ``memory()``. ``False``, and nothing changed, if the memory is not one."""
        size, rest = len(self.theta), len(self._calibration)
        sound = memory.shape == (3 * size + rest + 2,) and np.isfinite(memory).all() and (memory[2 * size :] >= 0).all()
        if not sound:
            return False
        self.theta, self.bias, self.version = model.theta.copy(), model.bias, model.version
        self.walked, self._mean, self._square = (part.copy() for part in memory[: 3 * size].reshape(3, size))
        self._calibration = memory[3 * size : -2].copy()
        self._taken, self._steps = float(memory[-2]), int(memory[-1])
        return True

    def gradient(self, x: Floats, y: Floats, w: Floats) -> Floats:
        """Of the list's cross entropy at ``walked`` and that of the new in it, in the layout of ``walked``.

        It is 0 for the calibration. x [F, n], y [n], w [n].
        """
        n = len(y)
        first, second, scores = self._layers(x, self.walked)
        first, second = first.reshape(-1, WIDE)[:n], second.reshape(-1, NARROW)[:n]
        count = (y * w).sum()
        residual = _off(scores, y, w) / count
        new = np.flatnonzero((x[self._had] == 0.0).all(axis=0))
        if y[new].any():
            residual[new] += _OF_NEW / count * _off(scores[new], y[new], w[new])
        gradient = np.zeros_like(self.walked)
        linear, w1, b1, w2, b2, w3, _, _ = self._parts(gradient)
        _, _, _, deep, _, last, _, _ = self._parts(self.walked)
        linear[:] = x @ residual
        w3[:] = residual @ second
        back = np.outer(residual, last) * (second > 0)
        w2[:], b2[:] = back.T @ first, back.sum(axis=0)
        back = (back @ deep) * (first > 0)
        w1[:], b1[:] = back.T @ x.T, back.sum(axis=0)
        return gradient

    def learn_many(self, x: Floats, y: Floats, w: Floats, p: Floats | None = None) -> bool:  # noqa: ARG002
        """One step on a list of rows: x [F, n], y [n] 0 or 1, w [n] how many rows each stands for.

        ``p``, the prediction, is of no use: the scores behind it are needed. ``False``, and nothing changed, if the
        step would not be finite or nothing was taken up.
        """
        if not (np.isfinite(x).all() and np.isfinite(w).all() and (y * w).sum() > 0):
            return False
        steps = self._steps + 1
        fading = max(_FADING, 1.0 / (steps + 1.0))
        # A basket says as much as so many single purchases: a list counts by what is taken up of it.
        count = float((y * w).sum())
        taken = self._taken + max(_FADING, 1.0 / steps) * (count - self._taken)
        gradient = self.gradient(x, y, w) * (count / taken)
        gradient += self.l2 * (self.walked - self.start)
        norm = float(np.sqrt((gradient * gradient).sum()))
        if not isfinite(norm):
            return False
        gradient *= min(1.0, self.clip / max(norm, _EPS))
        mean = _MOMENTUM * self._mean + (1.0 - _MOMENTUM) * gradient
        square = _MEMORY * self._square + (1.0 - _MEMORY) * gradient * gradient
        rate = self.rate / np.sqrt(1.0 + _DECAY * steps)
        unbiased = np.sqrt(square / (1.0 - _MEMORY**steps)) + _EPS
        walked = self.walked - rate * (mean / (1.0 - _MOMENTUM**steps)) / unbiased
        theta = self.theta + fading * (walked - self.theta)
        sums, bias, theta[-1 - len(self.names) :] = self._calibrated(x, y, w)
        # So written, NaN is refused too.
        if not (np.abs(np.concatenate((walked, theta, [bias]))) < _ABSURD).all() or not np.isfinite(sums).all():
            return False
        self.walked, self.theta, self.bias = walked, theta, bias
        self._mean, self._square, self._calibration = mean, square, sums
        self._taken, self._steps = taken, steps
        return True

    def _calibrated(self, x: Floats, y: Floats, w: Floats) -> tuple[Floats, float, Floats]:
        """After a step of the log loss of the rows: sums of squares, bias, and slope with levels."""
        scores = self.scores(x)
        off = (sigmoid(self._odds(x, scores)) - y) * w
        gradient = np.zeros(len(self.names) + 2)
        gradient[0], gradient[1] = off.sum(), (off * scores).sum()
        gradient[[2 + at for at in self._context]] = x[self._context] @ off
        sums: Floats = self._calibration + gradient * gradient
        step = _CALIBRATION_RATE * gradient / np.sqrt(sums + _EPS)
        rest = self.theta[-1 - len(self.names) :] - step[1:]
        rest[0] = max(_LEAST_SLOPE, rest[0])
        return sums, self.bias - float(step[0]), rest
