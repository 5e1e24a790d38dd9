"""Recognisers of speech, one file each, behind one interface. Begin at `contract.py`; `choosing.py` picks one."""

from ikkan.apps.meetings.service.hearing.choosing import BACKENDS, Ears, Hearing, ears
from ikkan.apps.meetings.service.hearing.contract import Diariser, Heard, Transcriber

__all__ = ["BACKENDS", "Diariser", "Ears", "Heard", "Hearing", "Transcriber", "ears"]
