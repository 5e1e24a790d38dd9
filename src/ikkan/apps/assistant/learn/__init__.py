"""What the flywheel may train of the assistant: `assistant.answer`, the best known answer to a question.

Lives here: events as examples (`examples.py`), the training arithmetic (`fit.py`), and the `Learnable` (`answer.py`).
May not enter: torch (contract "Tensors stay below the cloud"), routes and pages (contract "Every app is
built the same way").
Begin at `answer.py`.
"""

from ikkan.apps.assistant.learn.answer import AnswerLearnable

__all__ = ["AnswerLearnable"]
