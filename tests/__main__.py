"""``make test``: the whole suite in two parts, with one closing line for both. ``make fast``: most of the first.

    python -m tests [--fast] [arguments of pytest, for each part]

What needs no broker shares nothing and is spread over the processors. What needs one shares it, and has bounds on what
whole systems take, so it runs in one process afterwards, with the machine to itself. ``--fast`` leaves out what is
marked ``slow``, and tries properties on fewer examples (``tests/examples.py``).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.examples import FAST

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A worker takes over what is left of another's tests, so that none is idle while one has a long file.
_SPREAD: Final = ("--numprocesses=logical", "--maxprocesses=8", "--dist=worksteal")
_APART: Final = ("-m", "not kafka and not e2e", *_SPREAD)
_FAST: Final = ("-m", "not kafka and not e2e and not slow", *_SPREAD)
_SHARED: Final = ("-m", "kafka or e2e")

_TOLD: Final = ("failed", "passed", "skipped", "xfailed", "xpassed", "error")
"""What may have become of a test, in the order in which pytest tells it."""

_INTERRUPTED: Final = 2
_NOTHING_RAN: Final = 5


def main(arguments: Sequence[str]) -> int:
    """Run the parts; pytest's exit code, that of the first part which has not passed."""
    if arguments[:1] == ["--fast"]:
        return _part([*_FAST, f"--hypothesis-profile={FAST}", *arguments[1:]])
    began, counts, codes = time.monotonic(), Counter[str](), []
    with tempfile.TemporaryDirectory() as folder:
        for number, part in enumerate((_APART, _SHARED)):
            tally = Path(folder) / str(number)
            codes.append(_part([*part, f"--tally={tally}", *arguments]))
            # A part that was killed, as for a test that hangs, has told nothing: that is an error of its own.
            counts.update(json.loads(tally.read_text()) if tally.exists() else {"error": 1})
            if codes[-1] == _INTERRUPTED:
                break
    sys.stdout.write(f"\nThe whole suite:\n{closing(counts, time.monotonic() - began)}\n")
    return exit_code(codes)


def _part(arguments: Sequence[str]) -> int:
    with subprocess.Popen([sys.executable, "-m", "pytest", "-q", *arguments]) as part:
        while True:
            try:
                return part.wait()
            except KeyboardInterrupt:
                continue  # Ctrl-C reaches pytest as well, which stops what it has started


def closing(counts: Counter[str], seconds: float) -> str:
    """The words in which pytest closes a run."""
    told = [f"{counts[what]} {what}" for what in _TOLD if counts[what]]
    return f"{', '.join(told) or 'no tests ran'} in {seconds:.2f}s"


def exit_code(codes: Sequence[int]) -> int:
    """Of all parts. One in which a ``-k`` of the caller left nothing is no failure, unless that is true of all."""
    ran = [code for code in codes if code != _NOTHING_RAN]
    return next(filter(None, ran), 0) if ran else _NOTHING_RAN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
