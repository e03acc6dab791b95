"""Our clock, driven: every task asks this one, while Prefect's own goes on."""

import sys
from datetime import datetime
from importlib import import_module

import pytest


class Clock:
    """Unix milliseconds that only move when they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, start: str) -> None:
        self.now = ms(start)
        # Modules that are imported later would take the driven clock for good.
        for flow in ("heartbeat", "work", "housekeeping"):
            import_module(f"flows.{flow}")
        for name, module in list(sys.modules.items()):
            if name.startswith("tasks.") and hasattr(module, "now_ms"):
                monkeypatch.setattr(module, "now_ms", self)

    def __call__(self) -> int:
        self.now += 1
        return self.now

    def at(self, moment: str | int) -> None:
        """It is this moment."""
        self.now = ms(moment) if isinstance(moment, str) else moment


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)
