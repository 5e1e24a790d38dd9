"""Names that every process of a home agrees on."""

from __future__ import annotations

DEFAULTS = (("default", "smollm2-135m-instruct"), ("default-embed", "all-minilm-l6-v2"))
"""Aliases every installation has, and the models they begin with."""

ENGINE = "local"
"""What the router calls our own engine."""
