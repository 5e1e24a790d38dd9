"""Support: policy as typed preconditions on typed tools. What may not be done is refused here, in code.

Lives here: the tools (`tools.py`), what they need (`needs.py`), what they would change (`effects.py`), what a yes is
bound to (`binding.py`), and the guided dialogue. May not enter: anything that writes.
Begin at `tools.judge`.
"""

from ikkan.apps.shop.rules.support.tools import TOOLS, Call, Tool, judge, missing, read

__all__ = ["TOOLS", "Call", "Tool", "judge", "missing", "read"]
