"""Names of categories and brands under small ids: one process's own, as those of items are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.events import group_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ids = NDArray[np.int64]

NONE: Final = -1
"""The id of the name that there is not; and so the dense id of the item, in ``index``."""


class Names:
    """Names under small ids, found by name or by the name's key."""

    __slots__ = ("_keys", "by_key", "by_name", "names")

    def __init__(self) -> None:
        self.names: list[str] = []
        self._keys = np.zeros(64, np.uint32)
        self.by_name: dict[str, int] = {"": NONE}
        self.by_key: dict[int, int] = {0: NONE}

    def __len__(self) -> int:
        """How many names there are; their ids are ``range(len(names))``."""
        return len(self.names)

    def id(self, name: str) -> int:
        """The id of a name, a new one if it is new; ``NONE`` of the empty name."""
        found = self.by_name.get(name)
        if found is None:
            key = group_key(name)
            found = self.by_name[name] = len(self.names)
            self.names.append(name)
            other = self.by_key.setdefault(key, found)
            if name < self.names[other]:
                # Of two names with one key the smaller stands for both, whichever was met first.
                self.by_key[key] = found
            if found >= len(self._keys):
                self._keys = np.concatenate((self._keys, np.zeros_like(self._keys)))
            self._keys[found] = key
        return found

    def ids(self, keys: Sequence[int]) -> Ids:
        """The ids of names by key, ``NONE`` for those no item bears."""
        get = self.by_key.get
        return np.array([get(key, NONE) for key in keys], np.int64)

    def keys_of(self, ids: Ids) -> NDArray[np.uint32]:
        """The keys of names."""
        return self._keys[ids]

    def name(self, key: int) -> str:
        """The name of a key, empty if no item bears it."""
        found = self.by_key.get(key, NONE)
        return "" if found == NONE else self.names[found]
