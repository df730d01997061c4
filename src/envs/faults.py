"""What may go wrong with an environment that is a program of its own."""

from __future__ import annotations

from utils.errors import UserError


class BrokenEpisodeError(RuntimeError):
    """The engine failed in the middle of an episode, which is void: no result of it may be used or counted.

    The environment is sound: `reset()` begins another episode.
    """


class EnvironmentDownError(UserError):
    """The engine fails again and again; the environment has given up. The message says why and what to do."""
