"""The example notification service's templates: what is shown where one is lacking, what is refused at the start."""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streamer.core.effects import Template
from streamer.payloads.message import Message, render
from tests.payloads.candidates import PLAIN
from tests.payloads.example import SCRIPT, notifier

if TYPE_CHECKING:
    from pathlib import Path

    from streamer.core.effects import Candidate

GOOD = """
[default.en]
title = "{title}"
body = "default en"

[default.de]
title = "{title}"
body = "default de"

["next.v1".en]
title = "{title}"
body = "next en"

["only.v1".fr]
title = "{title}"
body = "only fr"
"""


def asking(identity: str, locale: str, **words: str) -> Candidate:
    return replace(PLAIN, template=Template(identity, locale, words), reasons=())


def problems(tmp_path: Path, text: str) -> list[str]:
    """What is told of a file, line by line, without the first, which names it."""
    file = tmp_path / "own.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ArgumentTypeError) as refused:
        notifier.templates_of(str(file))
    first, *told = str(refused.value).splitlines()
    assert str(file) in first
    return [line.strip() for line in told]


@pytest.mark.parametrize(
    ("identity", "locale", "shown"),
    [
        ("next.v1", "en", "next en"),
        ("next.v1", "de", "next en"),
        ("only.v1", "fr", "only fr"),
        ("only.v1", "de", "default de"),
        ("only.v1", "it", "default en"),
        ("unheard.v1", "de", "default de"),
        ("unheard.v1", "it", "default en"),
    ],
)
def test_an_id_or_a_locale_that_is_not_there_falls_back(tmp_path: Path, identity: str, locale: str, shown: str):
    """On the template's own ``en`` first, then on ``default``, which has ``en``."""
    file = tmp_path / "own.toml"
    file.write_text(GOOD)
    assert notifier.templates_of(str(file)).of(asking(identity, locale)).body == shown


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("[default.en]", "[defalt.en]", "default, en: there is none"),
        ("[default.en]", "[default.fr]", "default, en: there is none"),
        ('body = "next en"', "", "next.v1, en, body: there is no text"),
        ('body = "next en"', "body = 7", "next.v1, en, body: there is no text"),
        ('body = "default de"', 'boddy = "x"', "default, de, body: there is no text"),
        ('["only.v1".fr]', '["only.v1"]', "only.v1, title: is no table"),
        ("[default.en]", 'greeting = "hi"\n[default.en]', "greeting, en: is no table"),
        ("next en", "{off", "next.v1, en, body: '{off': expected '}'"),
        ("next en", "off}", "next.v1, en, body: 'off}': Single '}'"),
        ("next en", "{}", "next.v1, en, body: '{}': Format string contains positional fields"),
        ("next en", "{0}", "next.v1, en, body: '{0}': Format string contains positional fields"),
        ("next en", "{price:.2f}", "next.v1, en, body: '{price:.2f}': Unknown format code 'f'"),
        ("next en", "{price!x}", "next.v1, en, body: '{price!x}'"),
        ("next en", "{title[0]}", "{title[0]}: a variable is filled in whole"),
        ("next en", "{title[a]}", "{title[a]}: a variable is filled in whole"),
        ("next en", "{title.upper}", "{title.upper}: a variable is filled in whole"),
        ("next en", "{title:{brand}}", "{title}: a variable is filled in whole"),
    ],
)
def test_a_template_that_a_push_could_fail_at_is_refused_and_named(
    tmp_path: Path, before: str, after: str, told: str
):  # fmt: skip
    """By template, locale and key."""
    assert any(told in line for line in problems(tmp_path, GOOD.replace(before, after, 1)))


def test_all_that_is_wrong_with_a_file_is_told_at_once(tmp_path: Path):
    """Nobody wants to mend it one line a start."""
    told = problems(tmp_path, '[default.de]\ntitle = "{off"\n["next.v1".en]\nbody = "b"\n')
    assert [line.split(":")[0] for line in told] == [
        "default, de, title", "default, de, body", "next.v1, en, title", "default, en"
    ]  # fmt: skip


@given(text=st.text(alphabet="{}[].:!abr0 ", max_size=12), word=st.text(max_size=5))
def test_what_is_accepted_is_rendered_whatever_the_variables(text: str, word: str):
    """A variable that is not there, or is empty, raises no more than one that is."""
    if notifier.unfillable(text) is None:
        for words in ({}, {"a": ""}, {"a": word, "b": word, "ab": word}):
            assert isinstance(render(Message(text, text), asking("next.v1", "en", **words)).body, str)


def test_words_of_any_spelling_and_braces_written_twice_are_accepted():
    """Names are the campaign's own, and a format that holds for every word does no harm."""
    template = "{free-shipping} {{now}} {title:.4}"
    assert notifier.unfillable(template) is None
    shown = render(Message(template, ""), asking("next.v1", "en", **{"free-shipping": "free", "title": "Trail shoe"}))
    assert shown.title == "free {now} Trai"


@pytest.mark.parametrize("text", ["{off", None], ids=["unfillable", "no file"])
def test_the_service_does_not_start_with_them(tmp_path: Path, text: str | None):
    """It ends before it looks for a broker, as with any other option that cannot be."""
    file = tmp_path / "own.toml"
    if text is not None:
        file.write_text(GOOD.replace("next en", text))
    command = [sys.executable, str(SCRIPT), "--templates", str(file), "--state", str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert f"error: argument --templates: {file} cannot be " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "state").exists()


def test_the_templates_that_come_with_it_are_usable():
    """They are the default."""
    assert notifier.options_of([]).templates.of(asking("price-drop.v1", "de")).body == "{brand}, it was {price_was}"
