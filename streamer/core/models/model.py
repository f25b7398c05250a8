"""What ranks need of a model, and the replica that serves the trainer's newest one.

A model gives each row of features the probability that its item is what the shopper takes up next. Models are
read-only to everybody but the trainer: scoring never changes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

import msgspec
import numpy as np

from streamer.core.events import key64

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GRID: Final = float(1 << 20)
"""Probabilities are rounded to multiples of 1/GRID before anything is ranked by them."""

CHAMPION: Final = "champion/"
"""Blocks of the served model are keyed by this and the model's kind."""

CHALLENGER: Final = "challenger/"
"""Blocks of a challenger that ranks in an arm of an experiment are keyed by this and its kind."""

BLOCK_VERSION: Final = 1


class ModelRefused(Exception):  # noqa: N818 - it is not the caller's error
    """A block that must not be served: unreadable, not finite, or made for another list of features."""


class Model(Protocol):
    """A model as ranking sees it."""

    @property
    def version(self) -> int:
        """0 for the priors, and one more with each block the trainer publishes."""
        ...

    def predict_many(self, x: Floats) -> Floats:
        """Probabilities [n] on the grid of 1/GRID, for features [F, n]; no row's depends on the other rows."""
        ...

    def contributions(self, row: Floats) -> Floats:
        """What each feature [F] of one row adds to its log-odds, beyond what it adds at 0."""
        ...


class Learner(Model, Protocol):
    """A model that learns, as the trainer sees it."""

    names: tuple[str, ...]
    features: int
    version: int

    def predict_proba_many(self, x: Floats) -> Floats:
        """Probabilities [n] of features [F, n], not rounded."""
        ...

    def learn_many(self, x: Floats, y: Floats, w: Floats, p: Floats | None = None) -> bool:
        """One step on a list: x [F, n], y [n] 0 or 1, w [n] how many rows each stands for.

        ``p``: what ``predict_proba_many`` of this ``x`` just gave. ``False``, and nothing changed, if no step is taken.
        """
        ...

    def contributions_many(self, x: Floats) -> Floats:
        """``contributions`` of each column of features [F, n]."""
        ...

    def is_finite(self) -> bool:
        """Whether every parameter is a finite number of a sane size."""
        ...

    def block(self) -> bytes:
        """The model as published."""
        ...

    def memory(self) -> Floats:
        """What learning goes on from, beside the block: float64, of any one length."""
        ...

    def remember(self, model: Any, memory: Floats) -> bool:
        """Go on from the model of a block and its ``memory()``. ``False``, and nothing changed, if they do not fit."""
        ...


class ModelBlock(msgspec.Struct, array_like=True, frozen=True):
    """A published model: ``weights`` are little-endian float64 [F], ``features`` names the list they belong to."""

    format: int
    kind: str
    version: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    features: int
    bias: float
    weights: bytes


_block_decoder: Final = msgspec.msgpack.Decoder(ModelBlock)
_block_encoder: Final = msgspec.msgpack.Encoder()


def on_grid(p: Floats) -> Floats:
    """Probabilities, each rounded to the nearest multiple of 1/GRID."""
    rounded: Floats = np.rint(p * GRID) / GRID
    return rounded


def features_id(names: Sequence[str]) -> int:
    """The identity of a feature list: 64 bits of its names, in order."""
    return key64("\n".join(names))


def encode_block(block: ModelBlock) -> bytes:
    """The bytes of a block, the same for equal blocks."""
    return _block_encoder.encode(block)


def decode_block(value: bytes) -> ModelBlock:
    """The block, or ``ModelRefused``."""
    try:
        block = _block_decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelRefused(f"unreadable model block: {error}") from error
    if block.format != BLOCK_VERSION:
        raise ModelRefused(f"model block of format {block.format}; this program reads {BLOCK_VERSION}")
    return block


def read_block(value: bytes, kind: str, names: Sequence[str], count: int) -> ModelBlock:
    """A block that is of ``kind``, of these features and of ``count`` weights, or ``ModelRefused``."""
    block = decode_block(value)
    if block.kind != kind:
        raise ModelRefused(f"a block of kind {block.kind!r} under a {kind!r} key")
    if block.features != features_id(names):
        raise ModelRefused(f"model version {block.version} was learned on another list of features than this program's")
    if len(block.weights) != 8 * count:
        raise ModelRefused(f"model version {block.version} has {len(block.weights)} bytes of weights")
    return block


class ServedModel:
    """The model that is served: the priors until a block arrives, then the newest good one.

    ``problem`` says why the newest block is not the one served, and is empty when it is. ``challengers``: by kind,
    those that are published to rank in arms of experiments; never of the kind that is served.
    """

    def __init__(self, prior: Model | None = None, decode: Callable[[str, bytes], Model] | None = None) -> None:
        """``decode(key, value)`` makes a model or raises ``ModelRefused``; both default to the registry's."""
        if prior is None or decode is None:
            from streamer.core.models import registry  # the registry's models import this module

            prior, decode = prior or registry.prior_model(), decode or registry.decode
        self._prior, self._decode = prior, decode
        self._current: Any = prior
        self._key = ""
        self.problem = ""
        self.challengers: dict[str, Model] = {}

    @property
    def version(self) -> int:
        """The version served; 0 for the priors."""
        version: int = self._current.version
        return version

    def apply(self, key: str, value: bytes | None) -> bool:
        """Serve the block from now on; a tombstone of what is served brings the priors back.

        A block that is refused brings them back too, so that all workers agree whenever they started: ``False``
        then, and ``problem`` says why. What else travels on the topic, such as metrics, is passed over; and so is a
        block of another kind that is of an older version than the one served: a compacted topic keeps the last block
        of each kind that was ever the champion, and may be read in any order of keys.
        """
        if key.startswith(CHALLENGER):
            return self._challenged(key, value)
        if not key.startswith(CHAMPION) or (value is None and key != self._key):
            return True
        if value is not None and key != self._key and self._is_older(value):
            return True
        self.problem, self._key = "", key
        self._current = self._prior
        if value is not None:
            try:
                self._current = self._decode(key, value)
            except ModelRefused as refusal:
                self.problem = str(refusal)
        self.challengers.pop(key.removeprefix(CHAMPION), None)
        return not self.problem

    def _challenged(self, key: str, value: bytes | None) -> bool:
        """Have a challenger rank in its arms from now on. One that became the champion since is passed over; where a
        block is refused, the champion ranks in its arms, too.
        """
        kind = key.removeprefix(CHALLENGER)
        if self._key == CHAMPION + kind and (value is None or not self._is_newer(value)):
            return True
        self.challengers.pop(kind, None)
        if value is None:
            return True
        try:
            self.challengers[kind] = self._decode(CHAMPION + kind, value)
        except ModelRefused as refusal:
            self.problem = str(refusal)
            return False
        return True

    def _is_newer(self, value: bytes) -> bool:
        try:
            return decode_block(value).version > self.version
        except ModelRefused:
            return False

    def _is_older(self, value: bytes) -> bool:
        try:
            return decode_block(value).version < self.version
        except ModelRefused:
            return False

    def predict_many(self, x: Floats) -> Floats:
        """As ``Model.predict_many``."""
        p: Floats = self._current.predict_many(x)
        return p

    def contributions(self, row: Floats) -> Floats:
        """As ``Model.contributions``."""
        parts: Floats = self._current.contributions(row)
        return parts
