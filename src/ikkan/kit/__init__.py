"""Kit: what an app is, and the frame its pages stand in.

Lives here: the manifest an app hands over (`App`), what it is handed (`Parts`), and the page frame: session, CSRF,
language, look. May not enter: any one app or the console. (Contract "Rooms are stacked".)
Begin at `manifest.py`; `frame.py` is what a page talks to.
"""

from ikkan.kit.api import api
from ikkan.kit.frame import Frame, Place
from ikkan.kit.language import Words, negotiate
from ikkan.kit.manifest import App, EventKind, Parts, Tool
from ikkan.kit.session import Session, SessionKeeper

__all__ = ["App", "EventKind", "Frame", "Parts", "Place", "Session", "SessionKeeper", "Tool", "Words", "api", "negotiate"]
