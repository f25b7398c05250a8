"""Vectors of items, learned online: what is taken up after what lies close together.

Matrix factorization with the shopper folded in: a shopper is the mean of the vectors of the newest items, weighted by
place, so nothing is learned of anybody in particular and a newcomer is as good as known after one view. The loss is the
sampled softmax of the item taken up against the others of the same batch and against some drawn from what was taken up
lately, that is by popularity (Hidasi et al., "Session-based recommendations with recurrent neural networks", ICLR 2016;
Covington et al., RecSys 2016). As nothing corrects for it, what is popular anyway is not learned as such. One table
of vectors serves both sides. Steps are AdaGrad's with one accumulator a vector.

What is learned depends on the steps and their order alone: batches are counted, negatives drawn by the count. Products
are the BLAS's, whose last bits may differ between kinds of processors.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import numpy as np

from streamer.core.vectors.block import block_of, encode_block

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from streamer.core.vector_settings import VectorSettings
    from streamer.core.vectors.step import Step

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]
    Keys = NDArray[np.uint64]

STATE: Final = "trainer/vectors"
"""Of the trainer's own table only: counters, what waits to be learned, and what negatives are drawn from."""
OWN: Final = "trainer/vector/"
"""Of the trainer's own table only, and an item's key in hex: its vector as it is learned."""
BY_PLACE: Final = tuple(0.75**n for n in range(32))
"""How much less an item counts than the one after it."""
_FIRST: Final = 1024
_SQUARES: Final = 0.1
"""What the accumulators begin with."""
FARTHEST: Final = 8.0
"""No number of a vector is greater."""
_FORGOTTEN_AT_ONCE: Final = 16
_GOLDEN: Final = np.uint64(0x9E37_79B9_7F4A_7C15)
_MEMORY: Final = 0.999

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class StateRow(msgspec.Struct, array_like=True):
    """``taken``: what negatives are drawn from, uint64. ``waiting``: keys before and key taken of steps not yet made.

    ``loss``: the mean of the newest steps' cross entropies, each from before its step was made.
    """

    size: int
    steps: _Count
    batches: _Count
    loss: float
    taken: bytes
    waiting: list[tuple[list[int], int]]


class OnlineVectors:
    """The vectors. ``steps``: how many items were learned from so far; ``loss``: see ``StateRow``."""

    def __init__(self, settings: VectorSettings) -> None:
        self._settings = settings
        self.steps = self._batches = 0
        self.loss = 0.0
        self._place: dict[int, int] = {}
        self._free: list[int] = []
        self._keys = np.zeros(_FIRST, np.uint64)
        self._vectors = np.zeros((_FIRST, settings.size), np.float32)
        self._squares = np.full(_FIRST, _SQUARES, np.float32)
        self._learned_at = np.zeros(_FIRST, np.int64)
        self._taken = np.zeros(settings.remembered, np.uint64)
        self._waiting: list[tuple[list[int], int]] = []
        self._unsaved: dict[int, None] = {}
        self._unpublished: dict[str, None] = {}
        self._in_block: dict[str, dict[int, None]] = {}

    def __len__(self) -> int:
        """How many items have a vector."""
        return len(self._place)

    def learn(self, step: Step) -> None:
        """Take the step, or keep it until there are enough of them to be taken together."""
        before, taken = step.keys()
        before = before[: self._settings.recents]
        self._waiting += [(before, key) for key in taken]
        together = self._settings.together
        while len(self._waiting) >= together:
            self._learn(self._waiting[:together])
            del self._waiting[:together]

    def vector(self, key: int) -> Floats | None:
        """An item's vector [size], if it has one."""
        place = self._place.get(key)
        return None if place is None else self._vectors[place].copy()

    # -- learning

    def _learn(self, steps: Sequence[tuple[list[int], int]]) -> None:
        self._make_room()
        drawn = self._drawn()
        recents = self._settings.recents
        before = np.zeros((len(steps), recents), np.int64)
        weight = np.zeros((len(steps), recents), np.float32)
        for row, (keys, _) in enumerate(steps):
            before[row, : len(keys)] = [self._mention(key) for key in keys]
            weight[row, : len(keys)] = BY_PLACE[: len(keys)]
        weight /= weight.sum(axis=1, keepdims=True)
        taken = np.array([self._mention(key) for _, key in steps], np.int64)
        against = np.concatenate((taken, np.array([self._mention(key) for key in drawn.tolist()], np.int64)))

        vectors = self._vectors
        shopper = np.einsum("skd,sk->sd", vectors.take(before, axis=0), weight)
        others = vectors.take(against, axis=0)
        score = shopper @ others.T
        own = np.arange(len(steps))
        # An item is no negative of itself.
        same = against[None, :] == taken[:, None]
        same[own, own] = False
        score[same] = -np.inf
        score -= score.max(axis=1, keepdims=True)
        p = np.exp(score)
        p /= p.sum(axis=1, keepdims=True)
        self._tell(p[own, own])
        p[own, own] -= 1.0
        of_shopper = p @ others
        touched = weight > 0.0
        self._step(
            np.concatenate((against, before[touched])),
            np.concatenate((p.T @ shopper, (of_shopper[:, None, :] * weight[:, :, None])[touched])),
        )
        self._remember([key for _, key in steps])

    def _tell(self, p: Floats) -> None:
        for loss in (-np.log(np.maximum(p, 1e-12))).tolist():
            known = min(1.0 - 1.0 / (self.steps + 1.0), _MEMORY)
            self.loss = known * self.loss + (1.0 - known) * loss
            self.steps += 1

    def _step(self, places: Ints, gradients: Floats) -> None:
        """Descend by the sum of each place's gradients [n, size]."""
        order = places.argsort(kind="stable")
        ordered = places.take(order)
        starts = np.flatnonzero(np.concatenate((np.ones(1, np.bool_), ordered[1:] != ordered[:-1])))
        at = ordered.take(starts)
        total = np.add.reduceat(gradients.take(order, axis=0), starts, axis=0)
        self._squares[at] += (total * total).mean(axis=1)
        moved = self._vectors.take(at, axis=0) - self._settings.rate * total / np.sqrt(self._squares.take(at))[:, None]
        self._vectors[at] = np.minimum(np.maximum(moved, -FARTHEST), FARTHEST)
        self._batches += 1
        self._learned_at[at] = self._batches
        changed = self._keys.take(at).tolist()
        self._unsaved |= dict.fromkeys(changed)
        self._unpublished |= dict.fromkeys([block_of(key) for key in changed])

    def _drawn(self) -> Keys:
        """Negatives of the next batch, of what was taken up lately (SplitMix64 of a count)."""
        known = min(self.steps, len(self._taken))
        if not known:
            return self._taken[:0]
        negatives = self._settings.negatives
        drawn = _mixed(np.arange(negatives, dtype=np.uint64) + np.uint64(self._batches * negatives))
        return self._taken.take((drawn % np.uint64(known)).astype(np.int64))

    def _remember(self, keys: list[int]) -> None:
        # Steps are counted already: those of this batch end at ``steps``.
        at = (np.arange(len(keys)) + (self.steps - len(keys))) % len(self._taken)
        self._taken[at] = np.array(keys, np.uint64)

    # -- who has a vector

    def _mention(self, key: int) -> int:
        place = self._place.get(key)
        if place is not None:
            return place
        place = self._place[key] = self._free.pop() if self._free else len(self._place)
        if place >= len(self._keys):
            for name in ("_keys", "_vectors", "_squares", "_learned_at"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate((old, np.zeros_like(old))))
        self._in_block.setdefault(block_of(key), {})[key] = None
        self._keys[place], self._squares[place] = key, _SQUARES
        self._vectors[place] = _beginning(key, self._settings.size)
        return place

    def _make_room(self) -> None:
        """Forget the items that were not learned from for longest, ties by key, if a batch might not find room."""
        settings = self._settings
        if len(self._place) + settings.together * (settings.recents + 1) + settings.negatives <= settings.kept:
            return
        places = np.array(list(self._place.values()), np.int64)
        order = np.lexsort((self._keys.take(places), self._learned_at.take(places)))
        least = len(places) - settings.kept + settings.together * (settings.recents + 1) + settings.negatives
        for place in places.take(order[: max(least, len(places) // _FORGOTTEN_AT_ONCE)]).tolist():
            key = int(self._keys[place])
            del self._place[key], self._in_block[block_of(key)][key]
            self._free.append(place)
            self._unsaved[key] = self._unpublished[block_of(key)] = None

    # -- what others get, and what is kept

    def published(self, most: int | None = None) -> dict[str, bytes]:
        """Blocks that topic ``model`` has not had yet, those that wait for longest first, at most so many."""
        names = list(self._unpublished)[: self._settings.published if most is None else most]
        found = {}
        for name in names:
            del self._unpublished[name]
            keys = sorted(self._in_block.get(name, ()))
            places = np.array([self._place[key] for key in keys], np.int64)
            found[name] = encode_block(self._keys.take(places), self._vectors.take(places, axis=0))
        return found

    def changed(self) -> tuple[Keys, Floats]:
        """For who keeps no table: what changed since this was last asked, keys [n] and vectors [n, size]."""
        places = np.array([self._place[key] for key in self._unsaved if key in self._place], np.int64)
        self._unsaved.clear()
        return self._keys.take(places), self._vectors.take(places, axis=0)

    def rows(self) -> dict[str, bytes | None]:
        """What the trainer's table has not had yet: ``restore`` makes the same learner of all of them."""
        taken = self._taken.astype("<u8").tobytes()
        row = StateRow(self._settings.size, self.steps, self._batches, self.loss, taken, self._waiting)
        found: dict[str, bytes | None] = {STATE: msgspec.msgpack.encode(row)}
        for key in self._unsaved:
            place = self._place.get(key)
            found[f"{OWN}{key:016x}"] = None if place is None else self._row(place)
        self._unsaved.clear()
        return found

    def _row(self, place: int) -> bytes:
        learned_at = int(self._learned_at[place]).to_bytes(8, "little")
        return learned_at + np.append(self._vectors[place], self._squares[place]).astype("<f4").tobytes()

    def restore(self, rows: Mapping[str, bytes]) -> str:
        """Go on from rows of the table. Says why if it could not; all vectors are then learned anew.

        Everything is published again, as nobody knows what was before.
        """
        kept = rows.get(STATE)
        if kept is None:
            return ""
        try:
            state = msgspec.msgpack.decode(kept, type=StateRow)
        except (msgspec.DecodeError, RecursionError) as error:
            return str(error)
        vectors = {int(key.removeprefix(OWN), 16): row for key, row in rows.items() if key.startswith(OWN)}
        size = self._settings.size
        remembered = len(state.taken) == 8 * len(self._taken)
        if state.size != size or not remembered or any(len(row) != 12 + 4 * size for row in vectors.values()):
            # Whoever follows must forget what was learned under other settings.
            self._unsaved |= dict.fromkeys(vectors)
            self._unpublished |= dict.fromkeys([block_of(key) for key in vectors])
            return "the vectors kept are of other settings (core.vectors.size or remembered)"
        self.steps, self._batches, self.loss = state.steps, state.batches, state.loss
        self._taken[:] = np.frombuffer(state.taken, "<u8")
        self._waiting = [(list(before), key) for before, key in state.waiting]
        for key in sorted(vectors):
            place = self._mention(key)
            numbers = np.frombuffer(vectors[key], "<f4", offset=8)
            self._vectors[place], self._squares[place] = numbers[:-1], numbers[-1]
            self._learned_at[place] = int.from_bytes(vectors[key][:8], "little")
        self._unpublished |= dict.fromkeys([block_of(key) for key in vectors])
        return ""

    def digest(self) -> str:
        """BLAKE2b-128 of all that is kept: equal for equal steps in equal order, on one kind of processor."""
        digest = blake2b(f"{self.steps}:{self._batches}:{self.loss!r}:{self._waiting}".encode(), digest_size=16)
        digest.update(self._taken.tobytes())
        for key in sorted(self._place):
            digest.update(key.to_bytes(8, "little") + self._row(self._place[key]))
        return digest.hexdigest()


def _mixed(z: Keys) -> Keys:
    z = (z + np.uint64(1)) * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    mixed: Keys = z ^ (z >> np.uint64(31))
    return mixed


def _beginning(key: int, size: int) -> Floats:
    """Where an item's vector begins: small numbers that follow from its key."""
    drawn = _mixed(np.arange(size, dtype=np.uint64) + np.uint64(key & (2**63 - 1)))
    unit = (drawn >> np.uint64(40)).astype(np.float64) * 2.0**-24 - 0.5
    beginning: Floats = (unit / np.sqrt(size)).astype(np.float32)
    return beginning
