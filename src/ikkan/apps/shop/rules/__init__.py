"""Decisions of the shop: pure functions of values, no I/O. Support is in `support/`."""
