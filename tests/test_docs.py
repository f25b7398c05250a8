"""What the documents name exists: commands, make targets, settings, metrics, event types, files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agents.metrics import METRICS
from agents.topics import BY_NAME
from streamer.cli.main import cli
from streamer.core.events import EVENT_TYPES, REJECTIONS
from streamer.settings import leaves

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "deploy" / "runbook.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
TEXTS = [pytest.param(page.read_text(encoding="utf-8"), id=str(page.relative_to(ROOT))) for page in PAGES]


@pytest.mark.parametrize("text", TEXTS)
def test_every_command_named_exists(text: str) -> None:
    """``streamer x y`` in code is a command, and ``y`` one of its commands where it is a group."""
    for code in re.findall(r"`([^`]+)`|^(?:\.venv/bin/)?(streamer .*)$", text, flags=re.MULTILINE):
        words = re.sub(r"^\.venv/bin/", "", code[0] or code[1]).split()
        if words[:1] != ["streamer"] or len(words) < 2 or words[1].startswith("-"):
            continue
        command = cli.commands.get(words[1])
        assert command is not None, code
        for option in (word.split("=")[0] for word in words[2:] if word.startswith("--")):
            known = {
                name
                for each in [command, *getattr(command, "commands", {}).values()]
                for p in each.params
                for name in p.opts
            }
            assert option in known | {"--help"}, code


@pytest.mark.parametrize("text", TEXTS)
def test_every_make_target_named_exists(text: str) -> None:
    """``make x`` in code is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for code in re.findall(r"`(make [^`]+)`|^(make .*)$", text, flags=re.MULTILINE):
        words = (code[0] or code[1]).split("#")[0].split()[1:]
        named = {word for word in words if re.fullmatch("[a-z-]+", word)}
        assert named <= targets, code


@pytest.mark.parametrize("text", TEXTS)
def test_every_setting_metric_and_variable_named_exists(text: str) -> None:
    """Names that look like a setting, a metric or an environment variable of ours are one."""
    known = {leaf.name for leaf in leaves()}
    sections = {name.split(".")[0] for name in known}
    for name in re.findall(r"`([a-z_]+(?:\.[a-z_0-9]+)+)(?:=[^`]*)?`", text):
        if name.split(".")[0] in sections and not name.endswith((".py", ".md")):
            assert any(one == name or one.startswith(f"{name}.") for one in known), name
    for name in re.findall(r"\bSTREAMER_[A-Z_]+__[A-Z_]+\b", text):
        assert name in {leaf.env for leaf in leaves()}, name
    metrics = {metric.name for metric in METRICS}
    for name in re.findall(r"\bstreamer_[a-z_]+\b", text):
        assert any(name == one or name in (f"{one}_bucket", f"{one}_sum", f"{one}_count") for one in metrics), name


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    """As a reader of the page follows them: from where the page lies, and to an anchor as a heading gives it."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in _anchors(linked), target


def _anchors(page: Path) -> set[str]:
    """What headings can be linked by: in small letters, without punctuation, with hyphens between words."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_contracts_name_every_event_type_topic_and_reason() -> None:
    """Nothing a producer may send, and nothing a record may be refused for, is left unsaid."""
    page = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")
    for name in [*EVENT_TYPES, *REJECTIONS]:
        assert f"`{name}`" in page, name
    for spec in BY_NAME.values():
        if spec.name in (
            "browse",
            "search",
            "purchase",
            "feedback",
            "preferences",
            "push-candidates",
            "decisions",
            "dead-letters",
        ):
            assert spec.name in page, spec.name
