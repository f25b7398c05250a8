"""What can go wrong with a task's local state, and what the caller does about it."""

# ruff: noqa: N818 - they name a state that the caller acts on, rather than a mistake

from __future__ import annotations


class StateError(Exception):
    """The store was asked for something its rules forbid, or its disk failed. The task cannot go on."""


class StateLocked(StateError):
    """Another process, or another store of this one, holds the directory. Retry for a while."""


class StateForeign(StateError):
    """The directory belongs to another task, or to another number of partitions. Set it aside and rebuild."""


class StateCorrupt(StateError):
    """The directory or a row in it cannot be read. Set it aside and rebuild from the changelogs."""


class StateVersionError(StateError):
    """A row or a store has a version this release cannot read. A rebuild does not help: the changelog has it too."""
