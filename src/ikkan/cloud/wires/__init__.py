"""Wires: how requests and answers are written down. One file a protocol.

Lives here: decoding a body to a value, and a value to bytes. May not enter: the database, keys, upstreams.
Begin at `openai.py`.
"""
