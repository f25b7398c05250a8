"""What is predicted of a shopper. A new predictor is a file in this folder and its line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamer.core.predictions import churn, next_category, purchase

if TYPE_CHECKING:
    from streamer.core.predictions.predictor import Predictor

PREDICTORS: Final[tuple[Predictor, ...]] = (purchase.PREDICTOR, churn.PREDICTOR, next_category.PREDICTOR)

BY_NAME: Final[dict[str, Predictor]] = {predictor.name: predictor for predictor in PREDICTORS}
