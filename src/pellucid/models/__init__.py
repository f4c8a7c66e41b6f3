"""Models: layers joined into networks, and the published architectures by name."""

from pellucid.models.graph import Graph, Sequential
from pellucid.models.registry import create, defaults, names, options, source
from pellucid.models.summary import Summary, summarize

__all__ = ["Graph", "Sequential", "Summary", "create", "defaults", "names", "options", "source", "summarize"]
