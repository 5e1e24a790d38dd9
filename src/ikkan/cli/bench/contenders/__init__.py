"""Contenders: each program that is raced, in a process of its own and, for peers, in an environment of their own.

Lives here: `child`, the process; `streams`, a client of the OpenAI wire; one file a program.
May not enter: anything that a peer's environment lacks. Files are run by path there, so they import the standard
library at the top and their own program inside functions. (`tests/cli/test_bench.py` reads their imports.)
Begin at `child.py`.
"""
