"""Decisions of meetings: pure functions of values, no I/O. From bytes to a transcript, to extractions, to minutes."""
