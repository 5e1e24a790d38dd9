"""What a customer's yes is bound to: one sha256 of who, where, which tool, the exact arguments and the state read."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from ikkan.apps.shop.values import Case


def canonical(value: Any) -> bytes:
    """The same value always as the same bytes.

    >>> canonical({"b": 1, "a": "猫"}) == canonical({"a": "猫", "b": 1})
    True
    """
    plain = msgspec.to_builtins(value)
    return json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def sha256(value: Any) -> str:
    """Of the canonical bytes, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def state_read(case: Case, arguments: Any) -> str:
    """The digest of everything a decision about these arguments looked at.

    When any of it changes between the question and the yes - a price, a balance, the order's version - the yes was to
    something else.
    """
    order = case.orders.get(getattr(arguments, "order_id", ""))
    items = {
        swap.item_id: [case.item(swap.item_id), case.item(swap.new_item_id)] for swap in getattr(arguments, "swaps", ())
    }
    return sha256({"customer": case.customer, "order": order, "items": items, "policy": case.policy})


def digest(
    *, tenant_id: str, talk_id: str, customer_id: str, proposal_id: str, tool: str, arguments: Any, state_sha256: str
) -> str:
    """What a yes must carry. Changing one letter of the arguments, or asking twice, makes another."""
    return sha256([tenant_id, talk_id, customer_id, proposal_id, tool, arguments, state_sha256])
