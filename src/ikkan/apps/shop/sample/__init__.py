"""A store to try, and people to try support with; all of them invented.

The sample workspace has `store.py` (392 wares, eight weeks of visits; `loading.py` brings them in) and the documents of
`knowledge/`. `goods.py` is a small shop for support; for benchmarks and tests there are customers with a script
(`customers.py`) and such as mean harm (`adversaries.py`).
"""
