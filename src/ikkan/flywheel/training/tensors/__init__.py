"""Tensors: the part of training that needs torch. Imported by `training/call.py` when a worker trains, never before.

May not enter: events, decisions, files of the store (only a checkpoint of its own).
Begin at `loop.py`; the network is `network.py`, and what makes it fast is `steps.py`.
"""
