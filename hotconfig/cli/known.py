"""Refusing what is named by mistake: a profile, a document or a path that neither is there nor ever was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hotconfig._content import PROFILE
from hotconfig._rows import section
from hotconfig.admin import Admin
from hotconfig.errors import HotConfigError, NoSuchDocument, NoSuchProfile
from hotconfig.profile import ProfileConfig
from hotconfig.snapshot import split_path

SHOWN = 20  # names that an error lists


def check(admin: Admin, document: str | None, path: str | None = None) -> None:
    """Raise an error that lists what there is; the history counts, what was deleted stands there."""
    names = admin.documents()
    if document is not None and document not in names and not admin.history(document=document, limit=1):
        if document.startswith(PROFILE):
            profiles = [name.removeprefix(PROFILE) for name in names if name.startswith(PROFILE)]
            raise NoSuchProfile(f"there is no profile {document.removeprefix(PROFILE)!r}: {_listed(profiles)}")
        own = [name for name in names if not name.startswith(PROFILE)]
        raise NoSuchDocument(f"there is no document {document!r}: {_listed(own)}")
    if path is None:
        return
    of_profiles = document is None or document.startswith(PROFILE)
    own = [name for name in names if name == document or (document is None and not name.startswith(PROFILE))]
    found = [admin.document(name) for name in own]
    if of_profiles:
        found.append({domain: dict.fromkeys(section(domain)) for domain in ProfileConfig.model_fields})
    # Last, since it may read the whole history: what is there no longer was edited once.
    if not any(_has(each, path) for each in found) and not admin.history(document=document, path=path, limit=1):
        known = {domain for each in found for domain in each if domain != "version"}
        raise HotConfigError(f"nothing has a path {path}: there are {', '.join(sorted(known))}")


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"there are {', '.join(map(repr, names[:SHOWN]))}{more}" if names else "there is none"


def _has(document: Mapping[str, object], path: str) -> bool:
    value: object = document
    for step in split_path(path):
        if not isinstance(value, Mapping) or step not in value:
            return False
        value = value[step]
    return True
