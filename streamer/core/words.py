"""Texts into words, such as titles and queries are compared by; of unspaced scripts into pairs of characters.

Chinese, Japanese, Korean, Thai and their kin are written without spaces, or with words that change at their ends.
Overlapping pairs of characters find them without a dictionary, and about as well as one does (Nie, Gao, Zhang, Zhou,
"On the use of words and n-grams for Chinese information retrieval", IRAL 2000).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_UNSPACED: Final = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana, Han
    "\uac00-\ud7af"  # Hangul
    "\U00020000-\U0003ffff"  # Han beyond the basic plane
)
_RUNS: Final = re.compile(f"[{_UNSPACED}]+|[^\\W_{_UNSPACED}]+")
_FIRST_UNSPACED: Final = "\u0e00"


def words_of(text: str, most: int = 64) -> list[str]:
    """The distinct words of a text, in order, at most so many.

    In compatible forms (NFKC) and caseless. A run of an unspaced script is its overlapping pairs of characters, or the
    one character that it is.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    found: dict[str, None] = {}
    for run in _RUNS.findall(text.casefold()):
        if run[0] < _FIRST_UNSPACED or len(run) <= 2 or not _is_unspaced(run[0]):
            found[run] = None
        else:
            found.update(dict.fromkeys([run[n : n + 2] for n in range(len(run) - 1)]))
        if len(found) >= most:
            break
    return list(found)[:most]


def _is_unspaced(character: str) -> bool:
    return _ONE_UNSPACED.match(character) is not None


_ONE_UNSPACED: Final = re.compile(f"[{_UNSPACED}]")
