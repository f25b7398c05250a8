"""The foreign shapes that are understood, in the order they are tried. To add one: a module and a line."""

from __future__ import annotations

from typing import Any, Final, Protocol

from streamer.core.adapters import ga4, retailrocket, segment


class Adapter(Protocol):
    """A module that knows one producer's JSON."""

    @property
    def SOURCE(self) -> str:  # noqa: N802 -- a module's constant
        """The event's ``source``, where the producer has no better word."""
        ...

    @property
    def TYPES(self) -> dict[str, str]:  # noqa: N802 -- a module's constant
        """The producer's names of events, and the registered types they stand for."""
        ...

    def recognises(self, body: dict[str, Any]) -> bool:
        """Tell from the shape alone, so that an event of an unknown type is still refused as just that."""
        ...

    def translate(self, body: dict[str, Any], timestamp: int) -> dict[str, Any]:
        """The envelope of ``inbound.Inbound`` as plain objects.

        Wrong types may stay: they are judged when the result is decoded. ``timestamp`` is the record's
        (milliseconds), for producers that may leave the time out.
        """
        ...


ADAPTERS: Final[tuple[Adapter, ...]] = (segment, ga4, retailrocket)
