"""Decisions of meetings: pure functions of values, no I/O."""
