"""Facts of the assistant: what the company knows, what an answer is, and what people said about one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ikkan.flywheel.contract import Given

LEARNABLE = "assistant.answer"
"""The name under which the flywheel, the registry and the command line know this app's loop."""
INTENT = "assistant.intent"
"""The loop that learns what people want of what they write."""
REPLY_STYLE = "assistant.reply_style"
"""The loop that learns how people here want answers written."""
REPLY_STYLE_KIND = "assistant-reply-style"
"""The kind of its artifacts: an adapter in PEFT's format beside the chat model, or none."""
MODEL = "assistant"
"""The model name a client asks for, and the upstream that answers."""

SERVED = "InferenceServed"
FEEDBACK = "FeedbackGiven"
"""Events of the cloud, read by name."""

UNSEEN = "assistant.AnsweredUnseen"
"""What a candidate in the shadow would have said: payload `{request_id, artifact, knowledge_id, confidence,
lookup_ms}`. Recorded, never shown."""

EARLIER = "earlier"
"""A fact of a model's answer: what was said before the question, as `[role, text]`, where anything was."""
STYLE = "style"
"""A fact of a model's answer: the artifact of `assistant.reply_style` whose adapter wrote it; absent where none did."""
FROM_SAMPLE = "sample"
"""`facts["origin"]` of an `InferenceServed` that the bundled sample brought with it."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """One thing the company knows, in one language."""

    id: str
    lang: str
    """`ja`, `en`, `zh`, or another two-letter code."""
    topic: str
    question: str
    """The official wording; empty for an answer that came from a correction."""
    answer: str
    source: str
    """Where it stands: a document and its section, or a correction."""


@dataclass(frozen=True, slots=True)
class KnowledgeAnswer:
    """The best known answer to a question, sure enough to be given."""

    knowledge_id: str
    title: str
    text: str
    source: str
    confidence: float
    """Estimated probability that it is the right answer, 0 to 1."""
    artifact_id: str
    """The champion that answered."""


@dataclass(frozen=True, slots=True)
class Consulted:
    """What the company's knowledge says to one person's question, and by which model."""

    given: Given
    answer: KnowledgeAnswer | None
    """None for "I don't know"."""
    lookup_ms: float

    @property
    def facts(self) -> dict[str, Any]:
        """What is recorded beside the answer, whoever gives it in the end."""
        return {
            "artifact": self.given.artifact_id,
            "chance": round(self.given.chance, 6),
            "lookup_ms": round(self.lookup_ms, 3),
        }


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer that might be meant, for a person to choose from."""

    knowledge_id: str
    question: str
    answer: str
    source: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Truth:
    """What people said about the answer to one question."""

    right: str | None = None
    """The knowledge id they named, or `NO_ANSWER`; None when they only said what is wrong."""
    wrong: str | None = None
    """The knowledge id they turned down without naming another."""
    silent: bool = False
    """Nobody said it: they let the answer pass."""


NO_ANSWER = "-"
"""The right reply is "I don't know": a person said that nothing the company knows answers this."""


def unit_of(subject_id: str | None, at: datetime) -> str:
    """Who a question belongs to, in trials and in examples alike.

    Nobody's questions of one day are taken as one person's: they may well be.
    """
    return subject_id or f"someone on {at:%Y-%m-%d}"
