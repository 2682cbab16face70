"""Every message of the library has an entry in the troubleshooting page, and every entry is of a message."""

import re

import pytest

from docs._ext.found_messages import FILLED, messages
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/how-to/troubleshooting.md").read_text(encoding="utf-8")
# The contracts of pgrad.testing are tests of somebody else's optimizer: they fail in words of their own.
MESSAGES = [one for one in messages(ROOT / "pgrad") if not one.file.startswith("testing/")]
ENTRIES = re.findall(r"^\| (`[^|]+`) \|", PAGE.split("## It will not begin")[1], re.MULTILINE)
QUOTES = [quote for entry in ENTRIES for quote in re.findall(r"`([^`]+)`", entry)]
ARGUMENT = re.compile(
    r"\b(must|needs|lacks)\b.*\bgot\b|must (be|hold|have) .*: (give|use|pass|look)|must be (finite|symmetric)",
    re.DOTALL,
)


def _pattern(quote):
    return re.compile(".*?".join(re.escape(part.strip()) for part in quote.split(FILLED)), re.DOTALL)


def _has_words(text):
    return len(text.replace(FILLED, " ").split()) >= 3


def test_there_is_something_to_look_for():
    assert len(MESSAGES) > 250
    assert len(QUOTES) > 120
    texts = [one.text for one in MESSAGES]
    assert any(text.startswith("domains are uneven") for text in texts)  # from a constant of another file
    assert any("left the finite numbers" in text for text in texts)  # from a name inside a function


@pytest.mark.parametrize("text", sorted({one.text for one in MESSAGES if _has_words(one.text)}))
def test_every_message_has_an_entry(text):
    assert any(_pattern(quote).search(text) for quote in QUOTES) or ARGUMENT.search(text), (
        f"docs/how-to/troubleshooting.md has no entry for {text!r}: add one under its symptom"
    )


def test_few_messages_have_the_general_words_alone():
    texts = {one.text for one in MESSAGES if _has_words(one.text)}
    without = {text for text in texts if not any(_pattern(quote).search(text) for quote in QUOTES)}
    assert len(without) <= 15, sorted(without)


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_is_of_a_message(entry):
    quotes = re.findall(r"`([^`]+)`", entry)
    assert any(_pattern(quote).search(one.text) for quote in quotes for one in MESSAGES), entry
