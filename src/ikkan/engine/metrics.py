"""What `/metrics` shows."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The engine's counters, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        into = self._registry
        self.requests = Counter(
            "ikkan_engine_requests", "Requests by route and status.", ["route", "status"], registry=into
        )
        self.answers = Counter("ikkan_engine_answers", "Answers by how they ended.", ["finish"], registry=into)
        self.prompt_tokens = Counter("ikkan_engine_prompt_tokens", "Tokens of prompts.", registry=into)
        self.cached_tokens = Counter(
            "ikkan_engine_cached_tokens", "Tokens of prompts that were still in the cache.", registry=into
        )
        self.completion_tokens = Counter("ikkan_engine_completion_tokens", "Tokens written.", registry=into)
        self.drafted_tokens = Counter(
            "ikkan_engine_drafted_tokens", "Tokens guessed ahead and read along.", registry=into
        )
        self.accepted_tokens = Counter("ikkan_engine_accepted_tokens", "Guessed tokens that were right.", registry=into)
        self.preemptions = Counter(
            "ikkan_engine_preemptions", "Answers that gave their pages back, to be computed again.", registry=into
        )
        self.steps = Counter("ikkan_engine_steps", "Forward calls.", registry=into)
        self.step_seconds = Histogram("ikkan_engine_step_seconds", "One forward call.", buckets=_SECONDS, registry=into)
        self.first_token_seconds = Histogram(
            "ikkan_engine_first_token_seconds",
            "From a request's arrival to its first token.",
            buckets=_SECONDS,
            registry=into,
        )
        self.slots_in_use = Gauge("ikkan_engine_slots_in_use", "Answers being computed.", registry=into)
        self.pages_in_use = Gauge("ikkan_engine_pages_in_use", "Pages of answers being computed.", registry=into)
        self.pages_cached = Gauge(
            "ikkan_engine_pages_cached", "Pages that nobody uses and whose texts are remembered.", registry=into
        )
        self.waiting = Gauge("ikkan_engine_waiting", "Requests waiting for a slot.", registry=into)

    def text(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._registry)
