"""Reading what merchants export: which column is what, what a cell says, and what is wrong with a row. Pure.

`fields.py` says what each kind of file may tell and by which names it is known; `guess.py` finds the columns;
`cells.py` and `times.py` read cells; `rows.py` makes values of rows. Begin at `rows.py`.
"""
