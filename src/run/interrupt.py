"""Ctrl-C once: finish the batch at hand and leave a checkpoint. Twice: stop at once."""

from __future__ import annotations

import logging
import signal
from types import FrameType, TracebackType
from typing import Any

from sacred.utils import SacredInterrupt


class Interrupted(SacredInterrupt):
    """Ends a run that was asked to stop; sacred records it as INTERRUPTED."""

    STATUS = "INTERRUPTED"


class StopRequest:
    """While entered, the first SIGINT or SIGTERM sets `requested`, the second raises KeyboardInterrupt."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, logger: logging.Logger) -> None:
        self.requested = False
        self._logger = logger
        self._previous: dict[int, Any] = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self._logger.info("Stopping: this batch is finished and a checkpoint written; once more stops at once.")

    def __enter__(self) -> StopRequest:
        for number in self.SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
