"""The company's knowledge, and the model that finds answers in it."""

from __future__ import annotations

import threading
import time
from typing import Any

from ikkan.apps.assistant import store
from ikkan.apps.assistant.rules.answerer import Answerer, Reply
from ikkan.apps.assistant.values import (
    LEARNABLE,
    Candidate,
    Consulted,
    Knowledge,
    KnowledgeAnswer,
)
from ikkan.cloud.values import (
    LOCAL_TENANT,
)
from ikkan.flywheel import Fitted, Given
from ikkan.flywheel.contract import Gives
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.db import Database
from ikkan.ground.ids import ArtifactId, TenantId
from ikkan.kit.taught import Embed
from ikkan.models.registry import Registry

CORRECTED = {"ja": "社内の訂正", "en": "A colleague's correction"}
"""The title and source of an answer that somebody typed as a correction."""
_ARMS = 2


class KnowledgeService:
    """The company's knowledge, and the model that finds answers in it: the champion, or in a trial one of two.

    A promotion or rollback takes effect with the next question: each asks who answers, and a new model is loaded once.
    Changed entries are answered in their new words, removed ones not at all, without training.

    Args:
        gives: who answers a person; None: always the registry's champion.
    """

    def __init__(
        self,
        database: Database,
        registry: Registry,
        artifacts: ArtifactStore,
        *,
        tenant_id: TenantId = LOCAL_TENANT,
        embed: Embed | None = None,
        gives: Gives | None = None,
    ) -> None:
        self._database = database
        self._registry = registry
        self._artifacts = artifacts
        self._tenant_id = tenant_id
        self._embed = embed
        self._gives = gives or self._champion
        self._lock = threading.Lock()
        self._loaded: dict[ArtifactId, Answerer] = {}

    def ask(self, question: str, lang: str | None = None) -> KnowledgeAnswer | None:
        """The best known answer, or None for "I don't know". Blocking; a few milliseconds."""
        consulted = self.consult(question, lang=lang)
        return consulted.answer if consulted is not None else None

    def consult(self, question: str, unit: str = "", *, lang: str | None = None) -> Consulted | None:
        """The same for one person, who in a trial is always given the same model; None where there is none."""
        given = self._gives(LEARNABLE, unit)
        if given is None or not question.strip():
            return None
        answer, lookup_ms = self._answer(given.artifact_id, question, lang)
        return Consulted(given, answer, lookup_ms)

    def beside(self, consulted: Consulted, question: str) -> dict[str, Any] | None:
        """What the candidate in the shadow says to the same question, as its event tells it; None: there is none."""
        if consulted.given.beside is None:
            return None
        answer, lookup_ms = self._answer(consulted.given.beside, question, None)
        return {
            "artifact": consulted.given.beside,
            "knowledge_id": answer.knowledge_id if answer is not None else None,
            "confidence": round(answer.confidence, 4) if answer is not None else None,
            "lookup_ms": round(lookup_ms, 3),
        }

    def candidates(self, question: str, lang: str | None = None, most: int = 5) -> list[Candidate]:
        """Answers that might be meant, the likeliest first, for a person to choose the right one."""
        given = self._gives(LEARNABLE, "")
        found = self._reply(given.artifact_id, question, lang, most=most) if given and question.strip() else None
        ranked = found.ranked if found else ()
        entries = [(self._as_it_is_now(each.entry), each.probability) for each in ranked]
        return [
            Candidate(entry.id, entry.question or CORRECTED["ja" if entry.lang == "ja" else "en"], entry.answer,
                      entry.source, sure)
            for entry, sure in entries
            if entry is not None
        ]  # fmt: skip

    def known(self) -> list[Knowledge]:
        """Everything the company knows now."""
        with self._database.read() as connection:
            return store.all_of(connection, self._tenant_id)

    def count(self) -> int:
        """How many entries there are."""
        with self._database.read() as connection:
            return store.count(connection, self._tenant_id)

    def _answer(self, artifact_id: ArtifactId, question: str, lang: str | None) -> tuple[KnowledgeAnswer | None, float]:
        """This model's best answer and the milliseconds it took to look it up."""
        answerer = self._model(artifact_id)  # loading is not the question's fault
        began = time.perf_counter()
        best = self._said(answerer, question, lang, most=1).best
        lookup_ms = (time.perf_counter() - began) * 1e3
        entry = self._as_it_is_now(best.entry) if best is not None else None
        if best is None or entry is None:
            return None, lookup_ms
        said = CORRECTED["ja" if entry.lang in ("ja", "zh") else "en"]
        answer = KnowledgeAnswer(
            knowledge_id=entry.id,
            title=entry.question or said,
            text=entry.answer,
            source=entry.source or said,
            confidence=best.probability,
            artifact_id=artifact_id,
        )
        return answer, lookup_ms

    def _reply(self, artifact_id: ArtifactId, question: str, lang: str | None, most: int) -> Reply:
        return self._said(self._model(artifact_id), question, lang, most)

    def _said(self, answerer: Answerer, question: str, lang: str | None, most: int) -> Reply:
        vector = None
        if self._embed is not None and answerer.vectors.shape[1]:
            vector = self._embed([question])[0]
        return answerer.reply(question, lang, vector=vector, most=most)

    def _champion(self, name: str, unit: str) -> Given | None:
        champion = self._registry.alias(name, "champion")
        return Given(champion) if champion is not None else None

    def _model(self, artifact_id: ArtifactId) -> Answerer:
        """The model of this id, loaded once; the two loaded last stay in memory: a trial has two arms."""
        loaded = self._loaded
        if artifact_id not in loaded:
            with self._lock:
                loaded = self._loaded
                if artifact_id not in loaded:
                    answerer = Answerer.load(Fitted.read(self._artifacts.get(artifact_id)).files)
                    kept = list(loaded.items())[-(_ARMS - 1) :]
                    self._loaded = loaded = {**dict(kept), artifact_id: answerer}
        return loaded[artifact_id]

    def _as_it_is_now(self, entry: Knowledge) -> Knowledge | None:
        if not entry.question:
            return entry  # typed as a correction: it lives in the artifact alone
        with self._database.read() as connection:
            return store.get(connection, self._tenant_id, entry.id)
