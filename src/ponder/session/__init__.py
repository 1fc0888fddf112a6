"""One problem's session: all that a strategy may touch."""

from ponder.session.base import Finish, Observer, Session
from ponder.session.options import SessionOptions
from ponder.session.problem import ProblemSession
from ponder.session.slots import Slots

__all__ = ["Finish", "Observer", "ProblemSession", "Session", "SessionOptions", "Slots"]
