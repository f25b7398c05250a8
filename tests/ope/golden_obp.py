"""What the Open Bandit Pipeline says of the Open Bandit Dataset, to compare with: ``python -m tests.ope.golden_obp``.

It writes ``golden.json`` and the Bernoulli Thompson policy's probabilities (``bts_*.jsonl``) beside the data. It needs
``pip install obp==0.4.1``, in an environment of its own: that release wants PyTorch, and the last one, 0.5.7, does not
install on Python 3.11. Its estimators run as they are with today's numpy; its data set classes are not used.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.ope.bandit import CAMPAIGNS, DATA, Rounds, expected, rounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SIMULATED = 100_000
SEED = 12345


def bts(campaign: str, items: int) -> Floats:
    """[items, 3]: how probable the policy, as ZOZOTOWN ran it, shows each item at each position; 5 decimals."""
    from obp.policy import BernoulliTS

    policy = BernoulliTS(
        n_actions=items, len_list=3, is_zozotown_prior=True, campaign=campaign, random_state=SEED
    )  # fmt: skip
    table: Floats = np.round(policy.compute_batch_action_dist(n_rounds=1, n_sim=SIMULATED)[0], 5)
    return table


def estimates(log: Rounds, table: Floats) -> dict[str, float]:
    """Estimates by obp of the policy ``table`` [items, positions]; the reward model is ``bandit.expected``."""
    from obp import ope

    n = len(log.item)
    arguments: dict[str, Any] = {
        "reward": log.click,
        "action": log.item,
        "position": log.position,
        "action_dist": np.tile(table, (n, 1, 1)),
    }
    model = {"estimated_rewards_by_reg_model": np.tile(expected(len(table)), (n, 1, 1))}
    pscore = {"pscore": log.propensity}
    return {
        "ips": float(ope.InverseProbabilityWeighting().estimate_policy_value(**arguments, **pscore)),
        "snips": float(ope.SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(**arguments, **pscore)),
        "dm": float(ope.DirectMethod().estimate_policy_value(**arguments, **model)),
        "dr": float(ope.DoublyRobust().estimate_policy_value(**arguments, **pscore, **model)),
    }


def main() -> None:
    """Write the files."""
    golden = {}
    for campaign, items in CAMPAIGNS.items():
        table = bts(campaign, items)
        lines = [
            json.dumps({"position": at + 1, "probabilities": dict(zip(map(str, range(items)), p, strict=True))})
            for at, p in enumerate(table.T.tolist())
        ]
        (DATA / f"bts_{campaign}.jsonl").write_text("\n".join(lines) + "\n")
        golden[campaign] = {
            "random judges bts": estimates(rounds(campaign, "random"), table),
            "bts judges random": estimates(rounds(campaign, "bts"), np.full(table.shape, 1 / items)),
        }
    (DATA / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
