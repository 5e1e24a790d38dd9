"""The learnable `assistant.intent`: what a text wants, with deferral.

Lives here: labels and labelled files as examples (`examples.py`), the training arithmetic (`fit.py`), the `Learnable`
(`learnable.py`), the rung whose embedder learns (`tuned.py`), a larger model beyond them (`larger.py`), and
what a ladder is worth (`report.py`). The classifiers themselves are `rules/intent.py`.
May not enter: torch (contract "Tensors stay below the cloud"), routes and pages (contract "Every app is built the same
way").
Begin at `learnable.py`. A rung above these implements `fit.Recipe`.
"""

from ikkan.apps.assistant.learn.intent.examples import Labelled, as_examples, read_labelled
from ikkan.apps.assistant.learn.intent.fit import Recipe
from ikkan.apps.assistant.learn.intent.larger import Larger
from ikkan.apps.assistant.learn.intent.learnable import IntentLearnable
from ikkan.apps.assistant.learn.intent.report import LadderReport, RungReport, report
from ikkan.apps.assistant.learn.intent.tuned import TunedRecipe

__all__ = [
    "IntentLearnable",
    "Labelled",
    "LadderReport",
    "Larger",
    "Recipe",
    "RungReport",
    "TunedRecipe",
    "as_examples",
    "read_labelled",
    "report",
]
