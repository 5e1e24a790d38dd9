"""People who try the support desk: customers with a script (`customers.py`), and such as mean harm (`adversaries.py`).

For benchmarks and tests; nothing here is served.
"""
