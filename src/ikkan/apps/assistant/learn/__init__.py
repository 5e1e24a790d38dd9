"""What the flywheel may train of the assistant: `assistant.answer`, `assistant.intent`, `assistant.reply_style`.

Lives here: of the best known answer to a question, events as examples (`examples.py`), the training arithmetic
(`fit.py`) and the `Learnable` (`answer.py`); of what a text wants, in `intent/` (the ladder is `kit.intent`); of how
people here write, in `reply_style/`.
May not enter: torch (contract "Tensors stay below the cloud"), routes and pages (contract "Every app is
built the same way").
Begin at `answer.py`.
"""

from ikkan.apps.assistant.learn.answer import AnswerLearnable
from ikkan.apps.assistant.learn.intent import IntentLearnable
from ikkan.apps.assistant.learn.reply_style import ReplyStyleLearnable

__all__ = ["AnswerLearnable", "IntentLearnable", "ReplyStyleLearnable"]
