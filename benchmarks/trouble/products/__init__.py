"""The columns of the table, a module each: a client as its documentation has it used, and the server that it reads."""

from __future__ import annotations

from importlib import import_module

from benchmarks.trouble.subject import Product

PRODUCTS = "hotconfig", "launchdarkly", "unleash", "growthbook", "flagsmith", "replane"


def product(name: str) -> Product:
    """Imported only when it is wanted: a cell needs one of them."""
    if name not in PRODUCTS:
        raise SystemExit(f"{name!r} is none of {', '.join(PRODUCTS)}")
    found: Product = import_module(f"{__name__}.{name}").PRODUCT
    return found
