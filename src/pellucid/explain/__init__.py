"""Opening one number of a network, forward or backward, into its arithmetic."""

from pellucid.explain.explanation import FORMATS, Explanation, explain
from pellucid.explain.trace import Trace, Tracer, traced

__all__ = ["FORMATS", "Explanation", "Trace", "Tracer", "explain", "traced"]
