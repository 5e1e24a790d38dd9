"""Kit: what an app is, and the frame its pages stand in.

Lives here: the manifest an app hands over (`App`), what it is handed (`Parts`), how it says what it showed and what
became of it (`Signals`), and the page frame: session, CSRF, language, look.
May not enter: any one app or the console. (Contract "Rooms are stacked".)
Begin at `manifest.py`; `frame.py` is what a page talks to.
"""

from ikkan.kit.api import api
from ikkan.kit.errors import error_reply, page_error
from ikkan.kit.frame import Frame, Place, own_path
from ikkan.kit.language import Words, negotiate
from ikkan.kit.manifest import App, EventKind, Parts, Round, Tool
from ikkan.kit.session import Session, SessionKeeper
from ikkan.kit.signals import Offer, Signals, as_served
from ikkan.kit.stream import AnswerStream

__all__ = [
    "AnswerStream",
    "App",
    "EventKind",
    "Frame",
    "Offer",
    "Parts",
    "Place",
    "Round",
    "Session",
    "SessionKeeper",
    "Signals",
    "Tool",
    "Words",
    "api",
    "as_served",
    "error_reply",
    "negotiate",
    "own_path",
    "page_error",
]
