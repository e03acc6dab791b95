"""What can keep us from doing our job?

LoopError
├── DefinitionError      a file in registry/ is wrong                    exit 2, never retried
├── StoreError           the record is broken or contradicts itself      exit 3, never retried
│   ├── Damaged          what is on record is missing, or is not what was written
│   ├── Diverged         a replay asked for another effect than the recorded one
│   └── TakenOver        another process has the item now; this one must end without a word
└── DriverError          something outside failed
    ├── Unavailable      may heal; the only one tasks retry
    ├── Unknown          it may have happened: sent, and no trustworthy answer came back
    └── Rejected         will not heal: bad request, revoked key, no isolation here

A refusal (a denied tool, a stop, a missing approval) is a value, never an exception.
"""

from typing import ClassVar


class LoopError(Exception):
    """Base of all our errors; `code` is stable and safe to match on."""

    code: ClassVar[str] = "loop_error"
    exit_code: ClassVar[int] = 1


class DefinitionError(LoopError):
    """One or more files of the registry are wrong; `problems` holds every one of them, a line each."""

    code = "definition"
    exit_code = 2

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))

    def __reduce__(self) -> tuple[type["DefinitionError"], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


class StoreError(LoopError):
    """The store cannot be trusted or used as it is."""

    code = "store"
    exit_code = 3


class Damaged(StoreError):
    """What is on record is missing, or is not what was written: nothing may be done on the strength of it."""

    code = "damaged"


class Diverged(StoreError):
    """The code now asks for another effect at `key` than the one on record."""

    code = "diverged"

    def __init__(self, key: str, recorded: str, asked: str) -> None:
        self.key, self.recorded, self.asked = key, recorded, asked
        self.fact = f"effect {key!r} is on record as {recorded}, and the code now asks for {asked}."
        super().__init__(f"{self.fact} Restart the round or abandon the item.")

    def __reduce__(self) -> tuple[type["Diverged"], tuple[str, str, str]]:
        return type(self), (self.key, self.recorded, self.asked)


class TakenOver(StoreError):
    """A newer life has the item: whatever this process would say of it, nobody may hear any more."""

    code = "taken_over"


class DriverError(LoopError):
    """Something outside failed. `subject` names it, `detail` says what it did."""

    code = "driver"

    def __init__(self, subject: str, detail: str, retry_after_s: float | None = None) -> None:
        self.subject, self.detail, self.retry_after_s = subject, detail, retry_after_s
        super().__init__(f"{subject}: {detail}")

    def __reduce__(self) -> tuple[type["DriverError"], tuple[str, str, float | None]]:
        return type(self), (self.subject, self.detail, self.retry_after_s)


class Unavailable(DriverError):
    """Nothing happened, and the same request may go through later (after `retry_after_s`, if known)."""

    code = "unavailable"


class Unknown(DriverError):
    """The request went out and no trustworthy answer came back: it may have happened and may be billed."""

    code = "unknown"


class Rejected(DriverError):
    """The same request will be refused again: bad request, revoked key, missing isolation."""

    code = "rejected"
