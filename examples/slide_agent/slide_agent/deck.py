"""What of a model's answer is slides, and what of a slide may reach a page.

An answer is untrusted: it repeats what questions and data say. So here only elements that show something are let
through. The page trusts that no more than it must: it shows each slide in a sandboxed frame that runs no scripts.
"""

from __future__ import annotations

import uuid

import nh3
from pydantic import BaseModel, ConfigDict
from selectolax.lexbor import LexborHTMLParser

# Text, tables, pictures and drawn charts. No links: a slide is looked at.
_DRAWN = {"circle", "ellipse", "g", "line", "path", "polygon", "polyline", "rect", "svg", "text", "tspan"}
_SHAPE = {"cx", "cy", "d", "dx", "dy", "height", "points", "r", "rx", "ry", "transform", "viewBox", "width"}
_PLACE = {"x", "x1", "x2", "y", "y1", "y2", "text-anchor", "dominant-baseline", "font-size", "font-weight"}
_PAINT = {"fill", "fill-opacity", "opacity", "stroke", "stroke-dasharray", "stroke-linecap", "stroke-width"}
_CLEANER = nh3.Cleaner(
    tags=(nh3.ALLOWED_TAGS - {"a", "area", "map"}) | _DRAWN | {"tfoot"},
    attributes={
        "*": {"class", "style"},
        "img": {"alt", "height", "src", "width"},
        "td": {"colspan", "rowspan"},
        "th": {"colspan", "rowspan", "scope"},
        **dict.fromkeys(_DRAWN, _SHAPE | _PLACE | _PAINT),
    },
    url_schemes={"data"},  # nothing is loaded from elsewhere
    link_rel=None,
)


class Slide(BaseModel):
    """One slide, 1280x720.

    Attributes:
        id: stays the slide's own while others of its deck are edited.
        html: one `<div class="slide">`, harmless.
        style: the style sheet of the answer that it came with; it holds no `</`, so it cannot end its element.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    html: str
    style: str


def slides(answer: str, *, style: str = "") -> tuple[Slide, ...]:
    """Each outermost `<div class="slide">` of an answer; what stands around them is dropped.

    `style` is the one of the deck that an answer without style sheets is a part of.
    """
    page = LexborHTMLParser(answer)
    # A style element in an SVG ends elsewhere than one in HTML does.
    sheets = [sheet for sheet in (node.text() for node in page.css("style")) if "</" not in sheet]
    style = "\n".join(sheets) or style
    found = page.css("div.slide:not(div.slide div.slide)")
    return tuple(Slide(id=uuid.uuid4().hex, html=_CLEANER.clean(each.html or ""), style=style) for each in found)
