"""ONNX: models of other libraries as graphs of equations."""

from pellucid.formats.onnx.graph import OnnxGraph
from pellucid.formats.onnx.importing import import_onnx
from pellucid.formats.onnx.reading import require_onnx

__all__ = ["OnnxGraph", "import_onnx", "require_onnx"]
