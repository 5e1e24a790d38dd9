"""Use cases of the assistant: answer from knowledge when sure, else ask the model; load the sample workspace.

Begin at `upstream.py`.
"""

from ikkan.apps.assistant.service.knowledge import KnowledgeService
from ikkan.apps.assistant.service.sample import load_sample
from ikkan.apps.assistant.service.style import ReplyStyle, known_intents, style_remark
from ikkan.apps.assistant.service.upstream import AssistantUpstream

__all__ = ["AssistantUpstream", "KnowledgeService", "ReplyStyle", "known_intents", "load_sample", "style_remark"]
