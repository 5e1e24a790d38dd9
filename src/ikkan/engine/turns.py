"""A chat request made ready: the prompt its conversation becomes, and how its answer is to be kept and read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ikkan.engine import formats, tools, wire
from ikkan.engine.calls import Style
from ikkan.engine.grammar import Rules
from ikkan.engine.reasoning import CLOSE, OPEN
from ikkan.engine.tools import Thought
from ikkan.ground.errors import BadInput
from ikkan.models.template import ChatTemplate, encode_chat
from ikkan.models.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Reading:
    """How an answer's text is read: which of it is reasoning, which are calls."""

    thought: Thought = "never"
    style: Style | None = None
    """None where nothing may be called."""


PLAIN = Reading()


@dataclass(frozen=True, slots=True)
class Turn:
    """A conversation that waits for its next message."""

    prompt: list[int]
    reading: Reading = PLAIN
    rules: Rules | None = None


class Turns:
    """Makes turns for one model.

    Args:
        name: what the model is called, for errors.
    """

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate | None, name: str) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._name = name

    def turn(self, body: wire.ChatBody | wire.TokenizeBody, messages: Sequence[dict[str, Any]]) -> Turn:
        """The request as the model will see it. Takes its time: not for an event loop.

        Raises:
            BadInput: the model has no template, or a field is not as the wire has it.
            BadTemplate: the template refuses these messages.
            BadGrammar: a schema, expression or grammar cannot be honoured.
        """
        if self._template is None:
            raise BadInput(
                f"{self._name} was not made for conversations: it has no chat template",
                hint="use /v1/completions, or an instruct model",
            )
        chat = body if isinstance(body, wire.ChatBody) else None
        toolbox = tools.read(body.tools, chat.tool_choice if chat else None, chat.parallel_tool_calls if chat else None)
        shape = formats.asked(chat) if chat else None
        style: Style = "tags" if knows_tools(self._template) else "object"
        settings = wire.template_settings(body)
        if style == "object":
            messages = tools.told_in_words(messages, toolbox)
        elif toolbox is not None:
            settings["tools"] = list(toolbox.offered)
        continues = bool(body.continue_final_message)
        prompt = encode_chat(
            self._tokenizer,
            self._template,
            messages,
            add_generation_prompt=body.add_generation_prompt is not False and not continues,
            continue_final_message=continues,
            **settings,
        )
        thought = self._thought(prompt)
        rules = tools.rules(toolbox, shape, style, thought)
        return Turn(prompt, Reading(thought, style if toolbox else None), rules)

    def _thought(self, prompt: Sequence[int]) -> Thought:
        """Whether the answer begins with reasoning, or the prompt has begun it."""
        assert self._template is not None
        if OPEN not in self._template.source:
            return "never"
        end = "".join(map(self._tokenizer.spelling_of, prompt[-24:])).rstrip()
        if end.endswith(OPEN):
            return "opened"
        return "never" if end.endswith(CLOSE) else "maybe"


def knows_tools(template: ChatTemplate) -> bool:
    """Whether the model was taught to write its calls between `<tool_call>` and `</tool_call>`.

    >>> knows_tools(ChatTemplate("{% for t in tools %}{{ t | tojson }}{% endfor %}<tool_call>"))
    True
    """
    return "<tool_call>" in template.source and re.search(r"\btools\b", template.source) is not None
