"""Decisions of meetings: pure functions of values, no I/O. From bytes to a transcript, to extractions, to minutes.

The one exception to "no I/O" is the weights that this app ships with, read once when first needed (`level0/model.py`).
"""
