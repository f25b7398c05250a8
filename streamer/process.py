"""Child processes that do not outlive their parent."""

from __future__ import annotations

import ctypes
import signal
import sys


def die_with_parent() -> None:
    """Run in a child before exec: let the kernel kill it when the parent dies, even by SIGKILL.

    Linux only (``prctl``); elsewhere a killed parent leaves its children to be stopped by hand.
    """
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
