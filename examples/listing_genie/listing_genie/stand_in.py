"""A stand-in for the model that draws: it draws nothing, and writes down what it was asked for."""

from __future__ import annotations

from html import escape

from listing_genie.images import Failed, Order

LABEL = "STAND-IN, no image"
REFUSED = "impossible"


def draw(order: Order) -> bytes:
    """An SVG with the prompt and the settings.

    Raises:
        Failed: the word "impossible" is in the prompt, so that retries can be seen.
    """
    if REFUSED in order.prompt:
        raise Failed(f"the stand-in refuses a prompt with the word {REFUSED!r}")
    lines = [
        LABEL,
        f"image type: {order.image_type}",
        f"prompt: {order.prompt}",
        f"settings: version {order.version}",
        f"attempt {order.attempt} of {order.attempts}",
    ]
    spans = "".join(f'<tspan x="40" dy="60">{escape(line)}</tspan>' for line in lines)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2000 400">'
        '<rect width="2000" height="400" fill="#fff3f3"/>'
        f'<text font-family="sans-serif" font-size="32">{spans}</text></svg>\n'
    ).encode()
