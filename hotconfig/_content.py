"""What a client knows: the last good snapshot, and how fresh it is. Each item of the feed goes through `take`."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Generic, Literal

from pydantic import ValidationError

from hotconfig._feed import Beat, Down, Item, Published
from hotconfig.errors import HotConfigError, InvalidConfig, NoDefaultProfile, NoSuchDocument, NoSuchProfile
from hotconfig.profile import ProfileConfig
from hotconfig.snapshot import S, Snapshot, changed_paths, join_path

logger = logging.getLogger("hotconfig")

ACTIVE = "active"
PROFILE = "profile/"


@dataclass(frozen=True, slots=True)
class Status:
    """How a client is: `state` is the link, `error` and `rejected_version` are the content.

    What is not known yet is None.

    Attributes:
        state: `new`: not started. `live`: told of changes. `polling`: notifications do not arrive here, so it asks
            every heartbeat; `hotconfig doctor` says why. `stale`: the link is down, the last snapshot serves on.
            `closed`: likewise, until `start()`.
        document: `active`, `profile/<name>`, or a document of your own.
        version: the newest version of any document that was seen.
        document_version: the version of the snapshot that is served.
        rejected_version: the newest version of the document, if it did not validate.
        applied_at: when the snapshot that is served came; aware, UTC.
        checked_at: when the database was last heard; aware, UTC.
        staleness: seconds since `checked_at`.
        error: what is wrong with the link or the content.
        reconnects: how often the link came back.
        rewinds: how often the database stepped back, as after a failover that lost the last versions.
    """

    state: Literal["new", "live", "polling", "stale", "closed"]
    document: str
    version: int | None = None
    document_version: int | None = None
    rejected_version: int | None = None
    applied_at: datetime | None = None
    checked_at: datetime | None = None
    staleness: float | None = None
    error: HotConfigError | None = None
    reconnects: int = 0
    rewinds: int = 0

    @property
    def healthy(self) -> bool:
        """Live or polling, and no error."""
        return self.state in ("live", "polling") and self.error is None


class Content(Generic[S]):
    """The last good snapshot of a document, None at first, and the status. For one thread at a time."""

    def __init__(self, model: type[S], document: str, snapshot: S | None = None) -> None:
        self.snapshot = snapshot
        self.status = Status("stale", document, document_version=None if snapshot is None else snapshot.version)
        self.checked = time.monotonic()
        self._model = model
        self.wrong: HotConfigError | None = None  # with the content, whatever the link is like
        self._polling: str | None = None
        self._failures = 0

    @property
    def rejected(self) -> bool:
        return self.status.rejected_version is not None

    @property
    def rejection(self) -> InvalidConfig | None:
        return self.wrong if isinstance(self.wrong, InvalidConfig) else None

    def follows(self, model: type[Snapshot], document: str) -> bool:
        return self._model is model and self.status.document == document

    def take(self, item: Item) -> None:
        """Learn from an item. Raises nothing: what is wrong is in the status."""
        if isinstance(item, Down):
            self._lost(item.error)
            return
        self._heard(item)
        if isinstance(item, Published):
            self._read(item)
        self.status = replace(self.status, error=self.wrong)

    def failed(self, error: Exception) -> None:
        """An item could not be taken: say so in the status, and let the next one try."""
        wrong = HotConfigError(f"{type(error).__name__} while an item of the feed was taken")
        self.status = replace(self.status, state="stale", error=wrong)

    def start_from(self, snapshot: S | None) -> None:
        """Serve a snapshot that the disk remembers, while the link is down."""
        if snapshot is not None:
            self.snapshot = snapshot
            self.status = replace(self.status, document_version=snapshot.version)
            logger.warning("%s: started from the cache, the link is down: %s", self.status.document, self.status.error)

    def _lost(self, error: HotConfigError) -> None:
        self._failures += 1
        if self._failures == 1 and self.snapshot is not None:
            logger.warning("%s: the link is down, the last snapshot serves on: %s", self.status.document, error)
        self.status = replace(self.status, state="stale", error=error)

    def _heard(self, item: Beat) -> None:
        status = self.status
        if self._failures and status.checked_at is not None:
            logger.info("%s: the link is back after %d failures", status.document, self._failures)
            status = replace(status, reconnects=status.reconnects + 1)
        self._failures = 0
        if item.polling and item.polling != self._polling:
            logger.warning("%s: polling, since %s", status.document, item.polling)
        self._polling = item.polling
        if item.rewound:
            logger.warning("%s: the database stepped back, and is at version %d now", status.document, item.version)
            status = replace(status, rewinds=status.rewinds + 1)
        self.checked = time.monotonic()
        self.status = replace(
            status,
            state="polling" if item.polling else "live",
            version=item.version,
            checked_at=datetime.now(UTC),
        )

    def _read(self, item: Published) -> None:
        document = self.status.document
        if item.json is None:
            self.wrong = missing(document)
            if self.snapshot is not None:
                logger.warning("%s: the last snapshot serves on: %s", document, self.wrong)
            self.status = replace(self.status, rejected_version=None)
            return
        try:
            snapshot = parse(self._model, item.json, document)
        except InvalidConfig as error:
            self.wrong = error
            if self.snapshot is not None:
                logger.error("%s: rejected: %s", document, error)  # noqa: TRY400  # a traceback would show values
            self.status = replace(self.status, rejected_version=item.document_version)
            return
        old, self.snapshot, self.wrong = self.snapshot, snapshot, None
        if old is not None and logger.isEnabledFor(logging.INFO):
            logger.info("%s: applied version %d: %s", document, snapshot.version, _differing(old, snapshot))
        self.status = replace(
            self.status,
            document_version=snapshot.version,
            rejected_version=None,
            applied_at=self.status.checked_at,
        )


# Their messages repeat the input, or are somebody else's words that may.
TELLING = ("value_error", "assertion_error", "union_tag_invalid")


def parse(model: type[S], json: bytes, document: str) -> S:
    """A document as its model. Raises InvalidConfig, which names each field and its rule, never a value."""
    try:
        return model.model_validate_json(json)
    except ValidationError as error:
        rules = "; ".join(
            f"{join_path(map(str, each['loc'])) or 'document'}: {each['type' if each['type'] in TELLING else 'msg']}"
            for each in error.errors(include_input=False, include_context=False, include_url=False)
        )
        what, cause = rules, None
    except Exception as error:  # noqa: BLE001  # a validator of the model may raise anything
        # The type alone: the text of a stranger's error may hold a secret.
        what, cause = f"a validator raised {type(error).__name__}", error
    own = model is not ProfileConfig and (document == ACTIVE or document.startswith(PROFILE))
    step = "Correct the rows, or roll the change back" + (", or name a document of your own: document=" if own else "")
    raise InvalidConfig(f"document {document!r} does not fit {model.__name__}: {what}. {step}.") from cause


def _differing(old: S, new: S) -> str:
    try:
        return ", ".join(changed_paths(old, new)) or "nothing differs"
    except Exception as error:  # noqa: BLE001  # the comparison of a value may raise anything
        return f"comparing raised {type(error).__name__}"


def missing(document: str) -> NoSuchDocument:
    """The error for a document that is not there."""
    if document == ACTIVE:
        return NoDefaultProfile(
            "no profile is the default one: `hotconfig profile activate NAME` makes one that, `hotconfig init` one "
            "with the defaults; `hotconfig profiles` lists what there is"
        )
    if document.startswith(PROFILE):
        name = document.removeprefix(PROFILE)
        return NoSuchProfile(
            f"there is no profile {name!r}: create it, or correct the name (`hotconfig profiles` lists them), or name "
            "none for the default one"
        )
    return NoSuchDocument(
        f"no document {document!r} is published: a migration does that with op.publish_document() or op.watch_table(), "
        "or SELECT config_publish(name, document); or correct document= (SELECT name FROM config_documents lists them)"
    )
