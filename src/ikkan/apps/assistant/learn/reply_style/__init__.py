"""The learnable `assistant.reply_style`: how this house writes, learned from people's edits of the model's answers.

Lives here: events as examples (`examples.py`), the `Learnable` (`learnable.py`), and a world in which it can be proved
that it learns (`world.py`, with texts from `made.py`).
May not enter: torch; the chat model is handed over as `kit.taught.Taught` (contract "Tensors stay below the cloud").
Begin at `learnable.py`.
"""

from ikkan.apps.assistant.learn.reply_style.learnable import ReplyStyleLearnable

__all__ = ["ReplyStyleLearnable"]
