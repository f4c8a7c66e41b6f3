"""Equations and gradients of layers, losses, optimisers and paths through models, to be read, also step by step."""

from pellucid.derivation.equations import Derivation, derivable_names, derive, derive_by_name
from pellucid.derivation.path import derive_path

__all__ = ["Derivation", "derivable_names", "derive", "derive_by_name", "derive_path"]
