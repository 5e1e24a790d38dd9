"""Kit: what an app is, and the frame its pages stand in.

Lives here: the manifest an app hands over (`App`), what it is handed (`Parts`), and the page frame: session, CSRF,
language, look. May not enter: any one app or the console. (Contract "Rooms are stacked".)
Begin at `manifest.py`; `frame.py` is what a page talks to.
"""

from ikkan.kit.api import api
from ikkan.kit.errors import error_reply, page_error
from ikkan.kit.frame import Frame, Place, own_path
from ikkan.kit.language import Words, negotiate
from ikkan.kit.manifest import App, EventKind, Parts, Tool
from ikkan.kit.session import Session, SessionKeeper
from ikkan.kit.stream import AnswerStream

__all__ = [
    "AnswerStream",
    "App",
    "EventKind",
    "Frame",
    "Parts",
    "Place",
    "Session",
    "SessionKeeper",
    "Tool",
    "Words",
    "api",
    "error_reply",
    "negotiate",
    "own_path",
    "page_error",
]
