"""Events of shoppers of whom something is predicted, at every event."""

from __future__ import annotations

from streamer.core.events import Event, Line, item_key
from streamer.core.prediction_settings import PredictionSettings
from streamer.core.settings import CoreSettings

ALL = CoreSettings(predictions=PredictionSettings(learn_rate=1.0, slots=8))


def event(user: str, kind: str, time: int, item: str = "", category: str = "") -> Event:
    lines = (Line(item, item_key(item), category=category),) if item else ()
    return Event(user, f"{user}{time}{kind}", "t", kind, time, item_key(f"{user}{time}{kind}"), lines, query="shoes")
