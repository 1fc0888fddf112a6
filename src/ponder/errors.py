"""Every exception that ponder raises, in one tree.

    PonderError               base: its message is one clear line for a person
    ├── UsageError            a value that cannot be used: names the value and the mend
    │   └── MissingExtraError an optional dependency is not installed
    ├── EngineError           an engine cannot be opened, or refused a request
    │   └── UnsupportedError  the engine cannot do what the strategy needs
    ├── EngineLostError       an engine ended for good in the midst of its work
    ├── RequestError          an HTTP request failed for good (`ponder.backends.http_errors`)
    ├── VerifierError         a verifier cannot be opened, or fails
    │   └── VerifierLostError its model cannot be loaded: it will never score
    ├── StoreError            a run directory cannot be read or written
    │   ├── RunLockedError    another process writes to it
    │   └── RecipeMismatchError  it holds a run of another recipe
    └── ReplayError           a replay asked for a call that the log does not hold

Failures of single calls are data, not exceptions: see `Completion.error` and `ScoreFailure`.
"""


class PonderError(Exception):
    """Base of all errors of ponder; the message is one line that names the value and the mend."""


class UsageError(PonderError):
    """A value, option or file that cannot be used as it is."""


class MissingExtraError(UsageError):
    """An optional dependency is missing; the message names the install command."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} is not installed: pip install 'ponder[{extra}]'")


class EngineError(PonderError):
    """An engine cannot be opened, or has ended."""


class UnsupportedError(EngineError):
    """An engine lacks a capability that the strategy needs."""


class EngineLostError(PonderError):
    """An engine ended for good: no failure of a sample, it ends the run, which keeps what it has.

    The run that is asked for again goes on, where one that went on now would only write down that
    each problem failed.
    """


class VerifierError(PonderError):
    """A verifier cannot be opened, or fails."""


class VerifierLostError(VerifierError):
    """A verifier's model cannot be loaded: as with `EngineLostError` it ends the run.

    A run that went on would draw every sample and choose without scores.
    """


class StoreError(PonderError):
    """A run directory cannot be read or written."""


class RunLockedError(StoreError):
    """Another process holds the run directory's lock."""


class RecipeMismatchError(StoreError):
    """The run directory holds a run of another recipe."""


class ReplayError(PonderError):
    """A replay asked for a call that the call log does not hold."""
