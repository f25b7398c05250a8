"""River's k-means as what clusters shoppers: the core names the protocol, and may not import River itself.

Each shopper moves the nearest centre a share of the way towards itself (``halflife``, in River's words). Centres are
given, not drawn. Importing River takes a second or two, so that it is imported only when centres are placed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.segments.clusterer import Clusterer


def kmeans(centres: Sequence[Sequence[float]], step: float) -> Clusterer:
    """``river.cluster.KMeans`` that goes on from centres [k][F]."""
    from river import cluster

    model = cluster.KMeans(n_clusters=len(centres), halflife=step, p=2, seed=0)
    # In River's own form, which draws what a centre lacks; these lack nothing.
    for number, centre in enumerate(centres):
        model.centers[number].update(enumerate(centre))
    found: Clusterer = model
    return found
