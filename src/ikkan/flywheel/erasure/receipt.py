"""Receipts: what was done when a person was erased, signed with a key of this house, for anyone to check.

A receipt names nobody: the person is a keyed hash. Signed is the receipt without its `signature`, as JSON with sorted
keys and no spaces; the signature is Ed25519 (RFC 8032).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ikkan.ground.errors import BadFile, ChecksumMismatch, SetupNeeded
from ikkan.ground.ids import new_id

_HEX_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ReceiptKey:
    """The key that signs. Its public half stands in each receipt and in `receipts.pub`, to be published.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     key = ReceiptKey.open(Path(folder))
    ...     receipt = key.sign({"rows": 3})
    >>> verify(receipt, public=key.public)["rows"]
    3
    """

    private: Ed25519PrivateKey

    @classmethod
    def open(cls, folder: Path) -> ReceiptKey:
        """The key in `folder/receipts.key` (mode 0600), made there the first time.

        Raises:
            SetupNeeded: the file is there and is no such key.
        """
        path = folder / "receipts.key"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            made = Ed25519PrivateKey.generate()
            raw = made.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
            _keep(path, raw.hex(), 0o600)
        text = path.read_text("ascii", "replace").strip()
        if not _HEX_KEY.fullmatch(text):
            raise SetupNeeded(
                f"{path} is not a key for receipts", hint="restore it from your backup of the keys folder"
            )
        key = cls(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text)))
        if not (folder / "receipts.pub").exists():
            _keep(folder / "receipts.pub", key.public, 0o644)
        return key

    @property
    def public(self) -> str:
        """The public half, as 64 hexadecimal digits."""
        return self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    def sign(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The facts as a receipt."""
        told = {**facts, "key": self.public}
        return {**told, "signature": self.private.sign(_canonical(told)).hex()}


def verify(receipt: Mapping[str, Any], *, public: str | None = None) -> Mapping[str, Any]:
    """The receipt, if it is as it was signed.

    Args:
        public: the key it must be signed with, as published by its house; None: whichever it names, which shows that
            nothing was changed and not who signed.

    Raises:
        BadFile: it is no receipt.
        ChecksumMismatch: it was changed, or another key signed it.
    """
    key, signature = receipt.get("key"), receipt.get("signature")
    if not (isinstance(key, str) and _HEX_KEY.fullmatch(key) and isinstance(signature, str)):
        raise BadFile("this is no receipt of an erasure: it has no key or no signature", hint="ikkan flywheel receipt")
    if public is not None and public.strip().lower() != key:
        raise ChecksumMismatch(
            f"the receipt is signed by another key, {key[:16]}…",
            hint="ask the house that wrote it for its receipts.pub",
        )
    told = {name: value for name, value in receipt.items() if name != "signature"}
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature), _canonical(told))
    except (InvalidSignature, ValueError) as exc:
        raise ChecksumMismatch(
            "the receipt is not what was signed: something in it was changed", hint="ask its house for a fresh copy"
        ) from exc
    return receipt


def read_receipt(path: Path) -> dict[str, Any]:
    """A receipt from a file.

    Raises:
        BadFile: it cannot be read, or is no JSON object.
    """
    try:
        if path.stat().st_size > 1 << 26:
            raise BadFile(f"{path} is too large for a receipt", hint="ikkan flywheel receipt show ID")
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        raise BadFile(f"{path} cannot be read as a receipt: {exc}", hint="ikkan flywheel receipt show ID") from exc
    if not isinstance(found, dict):
        raise BadFile(f"{path} is no receipt: it is not a JSON object", hint="ikkan flywheel receipt show ID")
    return found


def _canonical(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _keep(path: Path, text: str, mode: int) -> None:
    fresh = path.with_name(f".{new_id('key')}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)  # whoever comes first wins; the other reads the winner's
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
