"""What a text wants, with deferral: a ladder of classifiers that any app may learn and ask.

Lives here: the classifiers (`ladder.py`), their training (`fit.py`), labelled texts (`labels.py`), the rung whose
embedder learns (`tuned.py`), a larger model beyond them (`larger.py`), what a ladder is worth (`report.py`), the world
in which it is proved (`world.py`), and the `Learnable` that an app completes (`learnable.py`).
May not enter: any one app (contract "Rooms are stacked"); torch (contract "Tensors stay below the cloud").
Begin at `learnable.py`. A rung above these implements `fit.Recipe`.
"""

from ikkan.kit.intent.fit import Recipe
from ikkan.kit.intent.labels import Labelled, Meant, as_examples, read_labelled
from ikkan.kit.intent.larger import Larger
from ikkan.kit.intent.learnable import IntentLearnable
from ikkan.kit.intent.report import LadderReport, RungReport, report
from ikkan.kit.intent.tuned import TunedRecipe

__all__ = [
    "IntentLearnable",
    "Labelled",
    "LadderReport",
    "Larger",
    "Meant",
    "Recipe",
    "RungReport",
    "TunedRecipe",
    "as_examples",
    "read_labelled",
    "report",
]
