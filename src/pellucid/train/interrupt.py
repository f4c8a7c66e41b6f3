"""Ctrl-C, termination and a closed terminal during training: finish the step, save, and only then leave."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none


class TrainingInterrupted(KeyboardInterrupt):
    """Training was asked to stop and did so in good order; the message says where to continue.

    It is a KeyboardInterrupt, so that a program around `fit` stops as for any Ctrl-C.
    """

    exit_code = 130


class StopRequest:
    """While active, SIGINT, SIGTERM and SIGHUP only set `requested`; a second one stops at once.

    SIGHUP comes when the terminal is closed; where it is ignored (nohup), it stays so.

    Signals can be handled in the main thread only; in any other thread this does nothing, and the main
    thread's own handlers decide. On leaving, the handlers that were there before are put back.
    """

    def __init__(self) -> None:
        self.requested: str | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._previous[number] = signal.signal(number, self._handle)
            if _HANGUP is not None and signal.getsignal(_HANGUP) is not signal.SIG_IGN:
                self._previous[_HANGUP] = signal.signal(_HANGUP, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None:
            self._restore()
            raise KeyboardInterrupt("stopped at once; the last saved checkpoint is intact")
        self.requested = signal.Signals(number).name

    def _restore(self) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            # None means a handler not installed from Python; it cannot be put back, so the default stands in.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
