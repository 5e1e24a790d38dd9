"""Where tenants' files lie: each tenant has a folder, and what is in it is named by its content.

`root/<tenant>/<ab>/<sha256>`, readable by this user alone. Two uploads of the same content are one file; two tenants
never share one.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from ikkan.cloud.tuning.values import StoredFile
from ikkan.ground.ids import TenantId, new_id


class Shelf:
    """The files below one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def staging(self) -> Path:
        """Where what is on its way is written; no backup holds it."""
        return self._root / ".staging"

    def path(self, file: StoredFile) -> Path:
        """Where a file lies."""
        return self._place(file.tenant_id, file.sha256)

    def take(self, tenant_id: TenantId, path: Path, sha256: str) -> None:
        """Move a file here; on disk, under its name, when this returns."""
        final = self._place(tenant_id, sha256)
        final.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.chmod(0o600)
        path.replace(final)
        descriptor = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def write(self, tenant_id: TenantId, content: bytes, sha256: str) -> None:
        """Keep what is in memory."""
        self.staging.mkdir(parents=True, exist_ok=True)
        path = self.staging / new_id("write")
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self.take(tenant_id, path, sha256)

    def sweep(self, before: datetime) -> int:
        """Remove what was on its way when a process was killed; returns how many.

        Args:
            before: only what was begun earlier.
        """
        left = [path for path in self.staging.glob("*") if path.stat().st_mtime < before.timestamp()]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def destroy(self, file: StoredFile) -> None:
        """Remove a file's content. Absent is fine."""
        self.path(file).unlink(missing_ok=True)

    def _place(self, tenant_id: TenantId, sha256: str) -> Path:
        # A tenant's id is lower-case letters, digits and dashes, a hash is hexadecimal: neither leaves this folder.
        return self._root / tenant_id / sha256[:2] / sha256
