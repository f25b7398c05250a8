"""``python -m load_tests.shop fashion``: the simulated shop against an engine that runs already, on its topics alone.

The engine must not tick by the clock (``runtime.idle_tick_ms=0``), as the run lies in the past, and the broker must
keep old records (``wire.BROKER``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from load_tests.shop.file import Shop, read
from load_tests.shop.play import play
from load_tests.shop.truth import COUNTED, Truth
from load_tests.shop.wire import Wire
from load_tests.shop.world import World


def main() -> None:
    """Run and write the truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shop", help="a TOML file, or fashion, grocery or electronics")
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--prefix", default="", help="of the topics")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=Path("bench/shop.json"), help="where the truth goes")
    given = parser.parse_args()
    truth = asyncio.run(_run(read(given.shop), given.seed, given.bootstrap, given.prefix))
    truth.write(given.json)
    print(json.dumps({name: round(truth.total(name), 2) for name in COUNTED}, indent=2))


async def _run(shop: Shop, seed: int, bootstrap: str, prefix: str) -> Truth:
    async with Wire({"bootstrap_servers": bootstrap}, prefix) as wire:
        return await play(World(shop, seed), wire)


if __name__ == "__main__":
    main()
