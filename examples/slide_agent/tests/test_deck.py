"""What becomes of an answer."""

from __future__ import annotations

import pytest

from slide_agent.deck import slides


def html(answer: str) -> list[str]:
    return [slide.html for slide in slides(answer)]


def test_slides_are_found_wherever_they_stand() -> None:
    """In a whole document, within Markdown fences, among words."""
    first, second = '<div class="slide">1</div>', '<div class="slide dark">2</div>'
    assert html(f"Here you are:\n```html\n<!doctype html><body><main>{first}</main>and{second}</body>\n```") == [
        first,
        second,
    ]


def test_a_slide_within_a_slide_is_a_part_of_it() -> None:
    """So nothing is shown twice."""
    nested = '<div class="slide"><div class="slide">inner</div></div>'
    assert html(nested) == [nested]


def test_what_is_no_slide_is_none() -> None:
    """The class is the whole word, the element a div."""
    assert html('<div class="slides">a</div><p class="slide">b</p>') == []


def test_a_slide_that_does_not_end_is_ended() -> None:
    """What a model forgets, a browser's parser knows."""
    assert html('<div class="slide"><b>1') == ['<div class="slide"><b>1</b></div>']


def test_layout_and_drawings_stay() -> None:
    """Of a deck without scripts everything is shown."""
    slide = (
        '<div class="slide" style="color:red"><table><tbody><tr><td colspan="2">1</td></tr></tbody></table>'
        '<svg viewBox="0 0 9 9"><rect width="1" height="9" fill="red"></rect></svg>'
        '<img src="data:image/png;base64,AAAA" alt="a"></div>'
    )
    assert html(slide) == [slide]


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>run()</script>",
        '<img src="x" onerror="run()">',
        '<svg onload="run()"><script>run()</script></svg>',
        '<a href="javascript:run()">a</a>',
        '<iframe srcdoc="<script>run()</script>"></iframe>',
        '<object data="javascript:run()"></object>',
        '<form action="javascript:run()"><button formaction="javascript:run()">a</button></form>',
        '<meta http-equiv="refresh" content="0;url=javascript:run()">',
        '<math><mtext><table><mglyph><style><!--</style><img title="--><img src=x onerror=run()>">',
        '<svg><style><img src="x" onerror="run()"></style></svg>',
    ],
)
def test_nothing_that_runs_is_let_through(hostile: str) -> None:
    """No script, no handler, no address that is a script, no frame; the rest of the slide stays."""
    (slide,) = html(f'<div class="slide"><p>before</p>{hostile}</div>')
    assert "before" in slide
    for sign in ("<script", "onerror=run", 'onerror="run', "onload", "javascript:", "<iframe", "<object", "<meta"):
        assert sign not in slide


def test_nothing_is_loaded_from_elsewhere() -> None:
    """A picture's address would tell its host who looks at the deck."""
    assert html('<div class="slide"><img src="https://elsewhere.invalid/a.png"></div>') == [
        '<div class="slide"><img></div>'
    ]


def test_style_sheets_belong_to_every_slide_of_an_answer() -> None:
    """Wherever they stand in it; an answer without any has those that it is given."""
    answer = '<style>a{}</style><div class="slide"><style>b{}</style>1</div><div class="slide">2</div>'
    assert [slide.style for slide in slides(answer, style="c{}")] == ["a{}\nb{}"] * 2
    assert [slide.style for slide in slides('<div class="slide">3</div>', style="c{}")] == ["c{}"]


def test_a_style_sheet_cannot_end_itself() -> None:
    """In an SVG, text may hold what ends a style element in HTML."""
    answer = '<svg><style>&lt;/style>&lt;script>run()&lt;/script></style></svg><div class="slide">1</div>'
    assert [slide.style for slide in slides(answer)] == [""]
