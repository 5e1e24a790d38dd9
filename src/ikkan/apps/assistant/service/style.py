"""How this house wants the model's answers written, and which intents it can tell apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Protocol

from ikkan.apps.assistant.values import (
    INTENT,
    REPLY_STYLE,
)
from ikkan.cloud.directory import Alias, UpstreamRecord
from ikkan.cloud.values import (
    Manner,
)
from ikkan.flywheel import Given
from ikkan.flywheel.contract import Gives
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.ids import ArtifactId
from ikkan.kit.taught import Taught
from ikkan.models.adapters import WEIGHTS
from ikkan.models.registry import Registry


def known_intents(registry: Registry, artifacts: ArtifactStore) -> tuple[str, ...]:
    """What the champion of `assistant.intent` can tell apart, in order; none before it learned. Blocking."""
    champion = registry.alias(INTENT, "champion")
    if champion is None:
        return ()
    with artifacts.open(champion, "ladder.json") as file:
        return tuple(sorted(json.load(file)["intents"]))


class Directory(Protocol):
    """What `style_remark` needs of `cloud.service.CloudService`."""

    def aliases(self) -> Sequence[Alias]: ...
    def upstreams(self) -> Sequence[UpstreamRecord]: ...


class ReplyStyle:
    """How this house wants the model's answers written: the adapter of the champion of `assistant.reply_style`.

    Args:
        gives: who writes for a person; None: always the registry's champion.
    """

    def __init__(self, registry: Registry, artifacts: ArtifactStore, *, gives: Gives | None = None) -> None:
        self._registry = registry
        self._artifacts = artifacts
        self._gives = gives or self._champion
        self._known: tuple[ArtifactId, Manner | None] | None = None

    def manner(self, unit: str) -> Manner | None:
        """The adapter for one person's answer; None where nothing was learned yet. Blocking; a row is read."""
        given = self._gives(REPLY_STYLE, unit)
        if given is None:
            return None
        known = self._known
        if known is None or known[0] != given.artifact_id:
            manifest = self._artifacts.get(given.artifact_id).manifest
            base = manifest.facts.get("base")
            found = Manner(given.artifact_id, base) if WEIGHTS in manifest.files and isinstance(base, str) else None
            self._known = known = (given.artifact_id, found)
        return known[1]

    def _champion(self, name: str, unit: str) -> Given | None:
        champion = self._registry.alias(name, "champion")
        return Given(champion) if champion is not None else None


NOT_BY_ADAPTER = {
    "ja": "`default` で答える {upstream} はアダプターを読み込めないため、学んだ書き方は使われていません。",
    "en": "{upstream}, which answers for `default`, loads no adapters: what was learned is not used.",
}
ANOTHER_BASE = {
    "ja": "書き方は {base} に学ばせたもので、いまのモデル {now} では使われません。ループを回すと学び直します。",
    "en": "it was taught to {base} and the chat model is {now}: it is not used until the wheel has turned again.",
}


def style_remark(style: ReplyStyle, base: Taught | None, directory: Directory) -> Mapping[str, str]:
    """Why the champion of `assistant.reply_style` does not write the model's answers; empty where it does. Blocking."""
    manner = style.manner("")
    if manner is None:
        return {}
    targets = next((alias.targets for alias in directory.aliases() if alias.name == "default"), ())
    first = targets[0].partition("/")[0] if targets else ""
    able = {record.name for record in directory.upstreams() if record.quirks.get("adapters")}
    if first not in able:
        return {lang: text.format(upstream=first or "-") for lang, text in NOT_BY_ADAPTER.items()}
    if base is not None and base.name != manner.base:
        return {lang: text.format(base=manner.base, now=base.name) for lang, text in ANOTHER_BASE.items()}
    return {}
