"""Why a replay does not begin, or does not go on."""

from __future__ import annotations


class ReplayRefused(RuntimeError):  # noqa: N818 - it names what is done, as StateLocked does
    """What is kept does not give the run of then again; the message names the place, and the setting that keeps it."""
