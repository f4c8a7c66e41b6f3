"""ONNX: models of other libraries as graphs of equations, and models of ours for other libraries."""

from pellucid.formats.onnx.exporting import Difference, difference, export_onnx
from pellucid.formats.onnx.graph import OnnxGraph
from pellucid.formats.onnx.importing import import_onnx
from pellucid.formats.onnx.reading import require_onnx

__all__ = ["Difference", "OnnxGraph", "difference", "export_onnx", "import_onnx", "require_onnx"]
