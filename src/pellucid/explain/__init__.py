"""Opening one number of a network, forward or backward, into its arithmetic."""

from pellucid.explain.explanation import Explanation, explain
from pellucid.explain.trace import Trace, trace

__all__ = ["Explanation", "Trace", "explain", "trace"]
