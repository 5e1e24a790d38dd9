"""One tree of errors. Each says what went wrong and, in `hint`, what to do now.

`code` is public API: it is never renamed. `status` is the HTTP status a door answers with.
`retryable` tells a client whether the same request may succeed later without a change.

IkkanError
├── BadInput
│   ├── UnknownSetting
│   ├── BadFile
│   │   ├── TruncatedFile
│   │   ├── HostileFile
│   │   ├── UnsupportedFormat
│   │   ├── ChecksumMismatch
│   │   └── NotFinite
│   ├── BadTemplate
│   ├── BadGrammar
│   ├── PromptTooLong
│   └── RequestTooLarge
├── NotAuthenticated
├── NotAllowed
│   ├── ErasedSubject
│   └── ContentRefused
├── NotFound
│   ├── UnknownModel
│   ├── UnknownArtifact
│   ├── UnknownLearnable
│   └── UnknownJob
├── Conflict
│   ├── AlreadyRunning
│   ├── HomeNotEmpty
│   ├── PortTaken
│   └── DeviceBusy
├── RateLimited
├── QuotaExhausted
├── UpstreamFailed
│   ├── UpstreamUnreachable
│   ├── UpstreamRejected
│   ├── UpstreamTimeout
│   │   └── DeadlineMissed
│   └── UpstreamCutShort
├── SetupNeeded
│   ├── MissingPackage
│   └── DatabaseUnready
├── WheelStopped
│   ├── LeakFound
│   ├── NothingToLearn
│   ├── TrainingDiverged
│   └── CheckpointFailed
└── Internal
"""

from __future__ import annotations

from typing import Any, ClassVar


class IkkanError(Exception):
    """Anything that goes wrong in a way we can name. Subclasses set three words and add no `__init__`.

    Args:
        message: what happened, in words a person can act on.
        hint: what to do now.
        facts: machine-readable details, safe to log (never a prompt, a transcript or a key).

    >>> error = UnknownModel("no model named 'qwen9'", hint="ikkan model list", model="qwen9")
    >>> error.code, error.status, error.retryable, error.facts
    ('unknown_model', 404, False, {'model': 'qwen9'})
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.message}\n  what now: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickle would call cls(*args) and lose hint and facts on the way to a worker.
        return _rebuild, (type(self), self.message, self.hint, self.facts)


def _rebuild(cls: type[IkkanError], message: str, hint: str, facts: dict[str, Any]) -> IkkanError:
    return cls(message, hint=hint, **facts)


class BadInput(IkkanError):
    """What a person or program handed us cannot be used as it is."""

    code, status, retryable = "bad_input", 400, False


class UnknownSetting(BadInput):
    """A setting's name or value is not one we know."""

    code, status, retryable = "unknown_setting", 400, False


class BadFile(BadInput):
    """A file cannot be used; nothing of it was kept."""

    code, status, retryable = "bad_file", 400, False


class TruncatedFile(BadFile):
    """A file ends before its own header says it should."""

    code, status, retryable = "truncated_file", 400, False


class HostileFile(BadFile):
    """A file's header contradicts itself or asks for absurd sizes."""

    code, status, retryable = "hostile_file", 400, False


class UnsupportedFormat(BadFile):
    """A file is of a kind, version or quantisation we do not read."""

    code, status, retryable = "unsupported_format", 400, False


class ChecksumMismatch(BadFile):
    """A file is not, byte for byte, the one that was promised."""

    code, status, retryable = "checksum_mismatch", 400, False


class NotFinite(BadFile):
    """A weight is NaN or infinite."""

    code, status, retryable = "not_finite", 400, False


class BadTemplate(BadInput):
    """A chat template cannot be parsed or refuses these messages."""

    code, status, retryable = "bad_template", 400, False


class BadGrammar(BadInput):
    """A schema, expression or grammar cannot be honoured; `facts["param"]` and `facts["pointer"]` say which part."""

    code, status, retryable = "bad_grammar", 400, False


class PromptTooLong(BadInput):
    """Prompt and answer together do not fit the model's context."""

    code, status, retryable = "context_length_exceeded", 400, False


class RequestTooLarge(BadInput):
    """The request's body is larger than this door takes."""

    code, status, retryable = "request_too_large", 413, False


class NotAuthenticated(IkkanError):
    """No key, or a key we do not know or have revoked."""

    code, status, retryable = "invalid_api_key", 401, False


class NotAllowed(IkkanError):
    """The key is good but may not do this."""

    code, status, retryable = "not_allowed", 403, False


class ErasedSubject(NotAllowed):
    """This person was erased; nothing more is recorded about them."""

    code, status, retryable = "erased_subject", 403, False


class ContentRefused(NotAllowed):
    """A guard did not let this text pass."""

    code, status, retryable = "content_refused", 403, False


class NotFound(IkkanError):
    """There is nothing by that name."""

    code, status, retryable = "not_found", 404, False


class UnknownModel(NotFound):
    """No model, alias or stored checkpoint has this name."""

    code, status, retryable = "unknown_model", 404, False


class UnknownArtifact(NotFound):
    """No whole artifact has this id (one without a manifest does not count)."""

    code, status, retryable = "unknown_artifact", 404, False


class UnknownLearnable(NotFound):
    """No app declares a learnable of this name."""

    code, status, retryable = "unknown_learnable", 404, False


class UnknownJob(NotFound):
    """No job has this id."""

    code, status, retryable = "unknown_job", 404, False


class Conflict(IkkanError):
    """Something else already is where this wants to be."""

    code, status, retryable = "conflict", 409, False


class AlreadyRunning(Conflict):
    """Another ikkan serves this home."""

    code, status, retryable = "already_running", 409, False


class HomeNotEmpty(Conflict):
    """A backup is restored into an empty home only; what is there was not touched."""

    code, status, retryable = "home_not_empty", 409, False


class PortTaken(Conflict):
    """Another program listens on the port."""

    code, status, retryable = "port_taken", 409, False


class DeviceBusy(Conflict):
    """The processor is lent to someone else and did not come back in time."""

    code, status, retryable = "device_busy", 409, True


class RateLimited(IkkanError):
    """Too many requests at once; the same request will do in a moment."""

    code, status, retryable = "rate_limited", 429, True


class QuotaExhausted(IkkanError):
    """The tenant's budget is used up; asking again does not help."""

    code, status, retryable = "quota_exhausted", 429, False


class UpstreamFailed(IkkanError):
    """Whoever computes the answer did not deliver it."""

    code, status, retryable = "upstream_failed", 502, True


class UpstreamUnreachable(UpstreamFailed):
    """No connection to the upstream could be made."""

    code, status, retryable = "upstream_unreachable", 503, True


class UpstreamRejected(UpstreamFailed):
    """The upstream answered with an error of its own; `facts["status"]` is its status."""

    code, status, retryable = "upstream_rejected", 502, False


class UpstreamTimeout(UpstreamFailed):
    """The upstream did not answer in time."""

    code, status, retryable = "upstream_timeout", 504, True


class DeadlineMissed(UpstreamTimeout):
    """The answer cannot be complete by the time the caller said; what was written so far was sent."""

    code, status, retryable = "deadline_missed", 504, True


class UpstreamCutShort(UpstreamFailed):
    """The upstream stopped in the middle of an answer; what was sent is billed, the rest is not."""

    code, status, retryable = "upstream_cut_short", 502, True


class SetupNeeded(IkkanError):
    """Something must be installed or prepared first."""

    code, status, retryable = "setup_needed", 503, False


class MissingPackage(SetupNeeded):
    """An optional Python package is needed for this."""

    code, status, retryable = "missing_package", 503, False


class DatabaseUnready(SetupNeeded):
    """The database cannot be reached, or its tables are of another version."""

    code, status, retryable = "database_unready", 503, True


class WheelStopped(IkkanError):
    """The flywheel stopped here; the champion keeps serving."""

    code, status, retryable = "wheel_stopped", 409, False


class LeakFound(WheelStopped):
    """A dataset would have had the same question, or the same person's, on both sides."""

    code, status, retryable = "leak_found", 409, False


class NothingToLearn(WheelStopped):
    """There is not enough new evidence to train or judge on."""

    code, status, retryable = "nothing_to_learn", 409, False


class TrainingDiverged(WheelStopped):
    """A training's loss ran away; nothing of it was kept."""

    code, status, retryable = "training_diverged", 409, False


class CheckpointFailed(WheelStopped):
    """Where a training stands could not be written down; the checkpoint before is still there."""

    code, status, retryable = "checkpoint_failed", 507, True


class Internal(IkkanError):
    """A fault of ours. The log has the details under the request id."""

    code, status, retryable = "internal_error", 500, True
