"""The runbook as data: its sections, its fenced blocks, and what it says that a command answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PATH = ROOT / "deploy" / "runbook.md"
TEXT = PATH.read_text(encoding="utf-8")

STATES = ("setup", "running", "stopped", "disagreeing", "byhand", "recovered", "compose")
"""The word behind ``sh`` of a fence: how the system stands when it is typed. ``compose`` cannot be run in a test."""

PARTS = ("What it means.", "Who notices.", "Look first.", "Type.", "Over when.")
"""What every section on an alert or a situation answers, in this order."""


@dataclass(frozen=True)
class Section:
    """A heading of the third level, which chapter it is in, and its text."""

    chapter: str
    title: str
    text: str


@dataclass(frozen=True)
class Fence:
    """A block of commands: how the system stands, how the last of them exits, what it answers (``…`` is anything)."""

    section: str
    state: str
    exits: int
    command: str
    answer: tuple[str, ...]

    def missing_from(self, output: str) -> list[str]:
        """The lines of the answer that ``output`` does not have, space at their ends aside."""
        lines = [line.strip() for line in output.splitlines()]
        return [
            line
            for line in self.answer
            if not any(re.fullmatch(".*".join(map(re.escape, line.split("…"))), got) for got in lines)
        ]


def sections() -> list[Section]:
    """All of them, in order."""
    found = []
    for chapter in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]:
        name, _, body = chapter.partition("\n")
        for section in re.split(r"^### ", body, flags=re.MULTILINE)[1:]:
            title, _, text = section.partition("\n")
            found.append(Section(name.strip(), title.strip(), text))
    return found


def fences() -> list[Fence]:
    """All blocks of commands, in order."""
    found = []
    for section in sections():
        pattern = r"^```sh(?: (\w+))?(?: exit=(\d+))?\n(.*?)^```\n(?:\n?```text\n(.*?)^```$)?"
        for state, exits, command, answer in re.findall(pattern, section.text, flags=re.MULTILINE | re.DOTALL):
            lines = tuple(line.strip() for line in answer.splitlines() if line.strip())
            found.append(Fence(section.title, state, int(exits or 0), command, lines))
    return found


def anchor(title: str) -> str:
    """The name under which a heading can be linked to."""
    return re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-")
