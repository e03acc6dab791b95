"""How does a program fire a loop? `looprail.trigger("night-fix", delivery="build-4711")`."""

from looprail.firing import Triggered, trigger

__all__ = ["Triggered", "trigger"]
