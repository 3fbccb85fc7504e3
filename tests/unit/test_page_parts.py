"""The parts that all pages share: navigation, fields, tables, and colours with enough contrast."""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import product

import pytest
from jinja2 import Environment

from gateway.pages.render import NAVIGATION, Pages

PAGES = files("gateway").joinpath("pages")
TEMPLATES = [each for each in PAGES.joinpath("templates").iterdir() if each.name.endswith(".html")]
SCRIPTS = [
    each
    for folder in (PAGES, PAGES.joinpath("shell"))
    for each in folder.iterdir()
    if each.name.endswith(".js")
]
# The policy refuses all of these: event attributes, style attributes, inline scripts and styles.
INLINE = r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=\")"
TEXT, LARGE = 4.5, 3.0  # WCAG 2.2, criteria 1.4.3 and 1.4.11
TEXTS = ("ink", "soft", "accent", "good", "bad", "busy")
GROUNDS = ("paper", "ground")
PROBES = (
    '<p style="color: red">',
    '<b onclick="run()">',
    '<a href="javascript:run()">',
    "<style>b { color: red }</style>",
    "<script>run()</script>",
)


def colours() -> dict[str, dict[str, str]]:
    """Return the colours of layout.css by scheme and name."""
    style = PAGES.joinpath("shell", "layout.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    found = [dict(re.findall(r"--([a-z]+): (#[0-9a-f]{3,6})", block)) for block in blocks]
    return dict(zip(("light", "dark"), found, strict=True))


def luminance(colour: str) -> float:
    """Return the relative luminance of ``#rgb`` or ``#rrggbb``, as defined by WCAG 2."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * each for each in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def environment() -> Environment:
    return Pages().environment


def macro(source: str) -> str:
    shell = '{% from "shell.html" import field, data_table %}'
    return environment().from_string(shell + source).render(evil='"><img src=x>')


def test_contrast_follows_the_definition() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_enough_contrast(scheme: str) -> None:
    colour = colours()[scheme]
    pairs = [(text, ground, TEXT) for text, ground in product(TEXTS, GROUNDS)]
    pairs += [("edge", ground, LARGE) for ground in GROUNDS]
    pairs += [("paper", kind, TEXT) for kind in ("accent", "bad")]  # the text of buttons
    low = [
        (one, other, round(contrast(colour[one], colour[other]), 2))
        for one, other, least in pairs
        if contrast(colour[one], colour[other]) < least
    ]
    assert low == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda each: each.name)
def test_templates_have_no_inline_script_or_style(template: object) -> None:
    source = template.read_text()  # type: ignore[attr-defined]
    assert re.findall(INLINE, source) == []


@pytest.mark.parametrize("probe", PROBES)
def test_inline_script_and_style_would_be_found(probe: str) -> None:
    assert re.search(INLINE, probe)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda each: each.name)
def test_scripts_never_parse_text_as_html(script: object) -> None:
    source = script.read_text()  # type: ignore[attr-defined]
    assert re.findall(r"innerHTML|outerHTML\s*=|insertAdjacentHTML|document\.write", source) == []


def test_the_navigation_marks_the_page_and_the_section() -> None:
    base = '{% extends "base.html" %}'
    marked = {
        here: re.findall(r'href="([^"]*)" aria-current="([a-z]+)"', each)
        for here in ("here", "within", "nothing")
        for each in [environment().from_string(f'{base}{{% set {here} = "/gallery" %}}').render()]
    }
    assert marked["here"] == [("/gallery", "page")]
    assert marked["within"] == [("/gallery", "true")]
    assert marked["nothing"] == []
    page = environment().from_string(base).render()
    assert all(f'<a href="{path}">{name}</a>' in page for path, name in NAVIGATION)


def test_a_field_names_its_hint_and_its_error() -> None:
    text = macro('{{ field("key", "Key", hint="Ten letters.", problem=evil, maxlength=10) }}')
    assert '<label for="key">Key</label>' in text
    assert 'aria-describedby="key-hint key-problem"' in text
    assert 'aria-invalid="true"' in text
    assert 'maxlength="10"' in text
    assert re.search(r'id="key-problem">[^<]', text)
    assert "<img" not in text


def test_a_field_without_an_error_is_valid() -> None:
    text = macro(
        '{{ field("of", "Of", control="select", value="b", options={"a": "A", "b": evil}) }}'
    )
    assert "aria-invalid" not in text
    assert re.search(r'<p class="problem" id="of-problem" hidden>', text)
    assert '<option value="a">A</option>' in text
    assert '<option value="b" selected>' in text
    assert "<img" not in text
    long = macro('{{ field("note", "Note", control="textarea", value=evil, rows=3) }}')
    assert 'rows="3"' in long
    assert "<img" not in long


def test_a_table_has_a_caption_and_headers() -> None:
    text = macro(
        '{% call data_table("keys", "Keys", [{"title": "Name", "sortable": true},'
        ' {"title": "Actions", "unseen": true}, {"title": evil}]) %}No keys.{% endcall %}'
    )
    assert '<caption class="unseen">Keys</caption>' in text
    assert text.count('scope="col"') == 3
    assert text.count('class="sort"') == 1
    assert "No keys." in text
    assert "<img" not in text
