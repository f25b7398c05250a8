"""Elementary functions whose bits are the same on every CPU.

``np.exp`` and ``np.log`` take different SIMD paths on different processors and differ in the last bits; a digest of
scores would differ with them. Here are only + - * / (exactly rounded by IEEE 754), exact powers of two and tables, so
that an array, a scalar, and any machine give equal bits. The method is the usual table plus short polynomial
(P. T. P. Tang, "Table-driven implementation of the exponential function", ACM TOMS 15(2), 1989). The tables come from
``decimal``, whose ``exp`` and ``ln`` are correctly rounded.

Error bounds, held by tests: ``exp2`` and ``sigmoid`` relative 1e-13, ``log2`` and ``log2_1p`` absolute 1e-13.
"""

from __future__ import annotations

from decimal import Context, Decimal
from math import frexp
from typing import TYPE_CHECKING, Final, overload

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_CONTEXT: Final = Context(prec=30)
_LN2: Final = _CONTEXT.ln(Decimal(2))
LOG2_E: Final = float(_CONTEXT.divide(Decimal(1), _LN2))

# exp2: x = k + i/256 + r. Coefficients are ln2^n / n!.
_EXP_TABLE: Final = [float(_CONTEXT.exp(_LN2 * i / 256)) for i in range(256)]
_E1, _E2, _E3, _E4 = (float(c) for c in (_LN2, _LN2**2 / 2, _LN2**3 / 6, _LN2**4 / 24))
_LIMIT: Final = 1000.0
_POWERS: Final = [2.0**k for k in range(-1001, 1002)]
_EXP_ARRAY: Final = np.array(_EXP_TABLE)
_POWER_ARRAY: Final = np.array(_POWERS)

# log2: x = m * 2^e with m in [0.5, 1]; the centre nearest to m is i/256 + 1/2, and its *rounded* reciprocal is what is
# divided out, so the logarithm stored is that of the rounded reciprocal.
_INVERSES: Final = [256.0 / (128 + i) for i in range(129)]
_LOG_TABLE: Final = [float(-(_CONTEXT.ln(Decimal(v)) / _LN2)) for v in _INVERSES]
_INVERSE_ARRAY: Final = np.array(_INVERSES)
_LOG_ARRAY: Final = np.array(_LOG_TABLE)
_L1, _L2, _L3, _L4, _L5 = (float(sign / (n * _LN2)) for n, sign in enumerate((1, -1, 1, -1, 1), 1))


@overload
def exp2(x: float) -> float: ...
@overload
def exp2(x: Floats) -> Floats: ...
def exp2(x: float | Floats) -> float | Floats:
    """2 to the power of ``x``; ``x`` is first clipped to [-1000, 1000]. Not for NaN."""
    if isinstance(x, np.ndarray):
        clipped = np.minimum(np.maximum(x, -_LIMIT), _LIMIT)
        steps = np.floor(clipped * 256.0)
        r = clipped - steps * 0.00390625
        at = steps.astype(np.int64)
        poly = (((_E4 * r + _E3) * r + _E2) * r + _E1) * r
        table = _EXP_ARRAY.take(at & 255)
        result: Floats = (table + table * poly) * _POWER_ARRAY.take((at >> 8) + 1001)
        return result
    value = float(x)
    value = min(max(value, -_LIMIT), _LIMIT)
    step = int(value * 256.0 // 1.0)
    rest = value - step * 0.00390625
    tail = (((_E4 * rest + _E3) * rest + _E2) * rest + _E1) * rest
    entry = _EXP_TABLE[step & 255]
    return (entry + entry * tail) * _POWERS[(step >> 8) + 1001]


@overload
def log2(x: float) -> float: ...
@overload
def log2(x: Floats) -> Floats: ...
def log2(x: float | Floats) -> float | Floats:
    """The base-2 logarithm of ``x`` > 0 (finite; not checked)."""
    if isinstance(x, np.ndarray):
        mantissa, exponent = np.frexp(x)
        at = (mantissa * 256.0 + 0.5).astype(np.int64) - 128
        r = mantissa * _INVERSE_ARRAY.take(at) - 1.0
        poly = ((((_L5 * r + _L4) * r + _L3) * r + _L2) * r + _L1) * r
        result: Floats = (exponent + _LOG_ARRAY.take(at)) + poly
        return result
    m, e = frexp(x)
    i = int(m * 256.0 + 0.5) - 128
    rest = m * _INVERSES[i] - 1.0
    tail = ((((_L5 * rest + _L4) * rest + _L3) * rest + _L2) * rest + _L1) * rest
    return (e + _LOG_TABLE[i]) + tail


@overload
def log2_1p(x: float) -> float: ...
@overload
def log2_1p(x: Floats) -> Floats: ...
def log2_1p(x: float | Floats) -> float | Floats:
    """log2(1 + x) for ``x`` ≥ 0: exactly 0 at 0. A count's usual scale; doubling it adds one."""
    return log2(1.0 + x)


@overload
def sigmoid(x: float) -> float: ...
@overload
def sigmoid(x: Floats) -> Floats: ...
def sigmoid(x: float | Floats) -> float | Floats:
    """1 / (1 + e^-x), with ``x`` clipped to [-40, 40], so that the result is never 0."""
    if isinstance(x, np.ndarray):
        clipped = np.minimum(np.maximum(x, -40.0), 40.0)
        return 1.0 / (1.0 + exp2(clipped * -LOG2_E))
    return 1.0 / (1.0 + exp2(min(max(float(x), -40.0), 40.0) * -LOG2_E))
