"""Apps: what people use. Each is the same house, and none knows another.

Lives here: one package per app (`values`, `rules`, `store`, `service`, `routes`, `pages`, `learn`).
May not enter: an app into another app (contract "Rooms are stacked"), torch (contract "Tensors stay below the cloud").
Begin at `assistant/`, the first of them; `make new-app NAME=…` starts one.
"""

__all__: list[str] = []
