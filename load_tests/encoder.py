"""Would a sequence encoder earn its cost? Attention and a recurrent net beside the mean of the newest items' vectors.

All three make a shopper of the same newest items, learn the same steps in the order of the log by the same loss and
negatives, each with vectors of its own, and give the ranker the same two features (``vectors.py`` does the rest):

    mean       weights by place, as they are set; what the engine does
    attention  weights are a softmax of a learned bias by place and of a learned likeness to the newest item, and the
               newest item has a matrix of its own (after Liu et al., "STAMP", KDD 2018); begins as the mean
    gru        one recurrent layer, oldest first (Cho et al., EMNLP 2014), its last state added to the mean through a
               matrix; begins as the mean

``beside`` gives the ranker both, the encoder's two in rows that are always 0 on a log without prices and orders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from load_tests.harness import fixed_loop_s, machine, write
from load_tests.kept import ROW, Lists, Places
from load_tests.vectors import Learned, compared, lists_of, of_lists, ranked, way
from streamer.core.vectors.index import VectorIndex
from streamer.core.vectors.learner import BY_PLACE, OnlineVectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.queries import Recents
    from streamer.core.vector_settings import VectorSettings

    F4 = NDArray[np.float32]
    Ints = NDArray[np.int64]

BORROWED = ("dearer", "bought_rhythm")
"""Features without a prior that are 0 where nothing has a price and nothing is bought."""
RATE = 0.05
"""AdaGrad's, of an encoder's parameters."""


class Mean:
    """The engine's: nothing is learned but the vectors."""

    def __init__(self, size: int, recents: int) -> None:
        self.p: dict[str, F4] = {}
        self.g: dict[str, F4] = {}
        self._size, self._recents = size, recents
        self._place = np.array(BY_PLACE[:recents], np.float32)

    def forward(self, v: F4, mask: F4) -> F4:
        """Shoppers [s, d] of vectors [s, k, d], newest first, of which ``mask`` [s, k] tells those there are."""
        weight = mask * self._place
        self._weight = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
        found: F4 = np.einsum("skd,sk->sd", v, self._weight)
        return found

    def backward(self, of_shopper: F4) -> F4:
        """Gradients of the vectors [s, k, d]; those of parameters are left in ``g``."""
        found: F4 = of_shopper[:, None, :] * self._weight[:, :, None]
        return found


class Attention(Mean):
    """Weights by place and by likeness to the newest."""

    def __init__(self, size: int, recents: int) -> None:
        super().__init__(size, recents)
        nothing = np.zeros((size, size), np.float32)
        self.p = {"place": np.log(self._place), "like": nothing.copy(), "newest": nothing.copy()}

    def forward(self, v: F4, mask: F4) -> F4:
        """As ``Mean.forward``."""
        self._v, first = v, v[:, 0]
        self._asked = first @ self.p["like"]
        logit = self.p["place"] + np.einsum("skd,sd->sk", v, self._asked)
        logit = np.where(mask > 0, logit, -np.inf)
        share = np.exp(logit - logit.max(axis=1, keepdims=True))
        self._share = share / share.sum(axis=1, keepdims=True)
        found: F4 = np.einsum("skd,sk->sd", v, self._share) + first @ self.p["newest"]
        return found

    def backward(self, of_shopper: F4) -> F4:
        """As ``Mean.backward``."""
        v, share, first = self._v, self._share, self._v[:, 0]
        of_share = np.einsum("skd,sd->sk", v, of_shopper)
        of_logit = share * (of_share - (share * of_share).sum(axis=1, keepdims=True))
        of_asked = np.einsum("sk,skd->sd", of_logit, v)
        self.g = {"place": of_logit.sum(axis=0), "like": first.T @ of_asked, "newest": first.T @ of_shopper}
        found: F4 = of_shopper[:, None, :] * share[:, :, None] + of_logit[:, :, None] * self._asked[:, None, :]
        found[:, 0] += of_asked @ self.p["like"].T + of_shopper @ self.p["newest"].T
        return found


class Gru(Mean):
    """A recurrent layer whose last state is added to the mean."""

    def __init__(self, size: int, recents: int) -> None:
        super().__init__(size, recents)
        draw = np.random.Generator(np.random.PCG64(1))

        def matrix() -> F4:
            found: F4 = (draw.uniform(-1.0, 1.0, (size, 3 * size)) / np.sqrt(size)).astype(np.float32)
            return found

        self.p = {
            "input": matrix(),
            "state": matrix(),
            "bias": np.zeros(3 * size, np.float32),
            "out": np.zeros((size, size), np.float32),
        }

    def forward(self, v: F4, mask: F4) -> F4:
        """As ``Mean.forward``."""
        d, mean = self._size, super().forward(v, mask)
        h = np.zeros_like(mean)
        self._kept: list[tuple[Any, ...]] = []
        for k in range(v.shape[1] - 1, -1, -1):
            there = mask[:, k, None] > 0
            given = v[:, k] @ self.p["input"] + self.p["bias"]
            own = h @ self.p["state"]
            gates = 1.0 / (1.0 + np.exp(-np.clip(given[:, : 2 * d] + own[:, : 2 * d], -30.0, 30.0)))
            keep, reset = gates[:, :d], gates[:, d:]
            new = np.tanh(given[:, 2 * d :] + reset * own[:, 2 * d :])
            after = np.where(there, keep * h + (1.0 - keep) * new, h).astype(np.float32)
            self._kept.append((v[:, k], h, own[:, 2 * d :], keep, reset, new, there))
            h = after
        self._last = h
        found: F4 = mean + h @ self.p["out"]
        return found

    def backward(self, of_shopper: F4) -> F4:
        """As ``Mean.backward``."""
        found = super().backward(of_shopper)
        self.g = {name: np.zeros_like(values) for name, values in self.p.items()}
        self.g["out"] = self._last.T @ of_shopper
        of_h = of_shopper @ self.p["out"].T
        count = len(self._kept)
        for n in range(count - 1, -1, -1):
            v, h, own, keep, reset, new, there = self._kept[n]
            of_after = np.where(there, of_h, 0.0).astype(np.float32)
            of_new = of_after * (1.0 - keep) * (1.0 - new * new)
            of_keep = of_after * (h - new) * keep * (1.0 - keep)
            of_reset = of_new * own * reset * (1.0 - reset)
            of_given = np.concatenate((of_keep, of_reset, of_new), axis=1)
            of_own = np.concatenate((of_keep, of_reset, of_new * reset), axis=1)
            self.g["input"] += v.T @ of_given
            self.g["bias"] += of_given.sum(axis=0)
            self.g["state"] += h.T @ of_own
            found[:, count - 1 - n] += of_given @ self.p["input"].T
            of_h = np.where(there, of_after * keep + of_own @ self.p["state"].T, of_h).astype(np.float32)
        return found


KINDS = {"mean": Mean, "attention": Attention, "gru": Gru}


class Encoded(OnlineVectors):
    """Vectors that are learned under an encoder."""

    def __init__(self, settings: VectorSettings, kind: str) -> None:
        super().__init__(settings)
        self.encoder = KINDS[kind](settings.size, settings.recents)
        self._sums = {name: np.full_like(values, 0.1) for name, values in self.encoder.p.items()}

    def _learn(self, steps: Sequence[tuple[list[int], int]]) -> None:
        """As ``OnlineVectors._learn``, but for what makes a shopper of vectors."""
        self._make_room()
        drawn, recents = self._drawn(), self._settings.recents
        before = np.zeros((len(steps), recents), np.int64)
        mask = np.zeros((len(steps), recents), np.float32)
        for row, (keys, _) in enumerate(steps):
            before[row, : len(keys)] = [self._mention(key) for key in keys]
            mask[row, : len(keys)] = 1.0
        taken = np.array([self._mention(key) for _, key in steps], np.int64)
        against = np.concatenate((taken, np.array([self._mention(key) for key in drawn.tolist()], np.int64)))
        vectors = self._vectors.take(before, axis=0) * mask[:, :, None]
        shopper, others = self.encoder.forward(vectors, mask), self._vectors.take(against, axis=0)
        score = shopper @ others.T
        own = np.arange(len(steps))
        same = against[None, :] == taken[:, None]
        same[own, own] = False
        score[same] = -np.inf
        p = np.exp(score - score.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        self._tell(p[own, own])
        p[own, own] -= 1.0
        of_vectors = self.encoder.backward(p @ others)
        touched = mask > 0.0
        self._step(np.concatenate((against, before[touched])), np.concatenate((p.T @ shopper, of_vectors[touched])))
        for name, gradient in self.encoder.g.items():
            self._sums[name] += gradient * gradient
            self.encoder.p[name] -= (RATE * gradient / np.sqrt(self._sums[name])).astype(np.float32)
        self._remember([key for _, key in steps])


class EncodedIndex(VectorIndex):
    """Likeness to what the encoder makes of the newest items, of one query."""

    def __init__(self, mention: Any, encoder: Mean, recents: int) -> None:
        super().__init__(mention)
        self._encoder, self._recents_taken = encoder, recents

    def shopper(self, item: Ints) -> F4 | None:
        """Of the newest items, newest first; None if none has a vector."""
        length, vectors = self._many(item)
        known = vectors[length > 0.0][: self._recents_taken].astype(np.float32)
        if not len(known):
            return None
        v = np.zeros((1, self._recents_taken, vectors.shape[1]), np.float32)
        mask = np.zeros((1, self._recents_taken), np.float32)
        v[0, : len(known)], mask[0, : len(known)] = known, 1.0
        found: F4 = self._encoder.forward(v, mask)[0]
        return found

    def shoppers(self, count: int, recents: Recents) -> Any:  # noqa: ARG002
        """As ``VectorIndex.shoppers``, of one query."""
        size = self.vectors.shape[1]
        shopper = self.shopper(recents.item) if size else None
        return np.zeros((1, size)) if shopper is None else shopper.astype(np.float64)[None]


class LearnedEncoder(Learned):
    """As ``Learned``; ``beside``: the mean's features stay, and the encoder's go where nothing is."""

    def __init__(self, lists: Lists, settings: VectorSettings, kind: str, *, beside: bool) -> None:
        super().__init__(lists, settings, "float16")
        self.learner = learner = Encoded(settings, kind)
        self.index = self.encoded = EncodedIndex(self.items.mention, learner.encoder, settings.recents)
        self._means = Learned(lists, settings, "float16") if beside else None

    def until(self, steps: int) -> None:
        """As ``Learned.until``."""
        super().until(steps)
        if self._means is not None:
            self._means.until(steps)

    def shopper(self, n: int) -> F4 | None:
        """As ``Learned.shopper``."""
        return self.encoded.shopper(self.recents(n).item) if self.index.vectors.shape[1] else None

    def fill(self, n: int, x: Any) -> None:
        """As ``Learned.fill``."""
        super().fill(n, x)
        if self._means is not None:
            x[[ROW[name] for name in BORROWED]] = np.clip(x[[ROW["vectors"], ROW["vectors_cosine"]]], -1.0, 1.0)
            self._means.fill(n, x)


def main() -> None:
    """Measure and report."""
    parser = of_lists(__doc__ or "")
    parser.add_argument("--try", dest="ways", action="append", default=[], help="mean, attention, gru; +beside")
    parser.add_argument("--with", dest="with_", default="default", help="settings of vectors, NAME=VALUE,…")
    given = parser.parse_args()
    lists = lists_of(given)
    settings, _ = way(given.with_)
    assert settings is not None

    def tried(name: str) -> tuple[Places, dict[str, Any]]:
        kind, _, beside = name.partition("+")
        learned = LearnedEncoder(lists, settings, kind, beside=bool(beside))
        places, told = ranked(lists, learned, 10)
        return places, told | {"loss": round(learned.learner.loss, 4)}

    found = compared(given.ways or ["mean", "attention", "attention+beside", "gru", "gru+beside"], tried)
    write({"lists": len(lists), "ways": found, "fixed_loop_s": fixed_loop_s(), **machine()}, given.json)


if __name__ == "__main__":
    main()
