"""How layers of sequences are written in ONNX: embedding and recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid import layers
from pellucid.formats.onnx.rules import Array
from pellucid.formats.onnx.writing import Writer
from pellucid.layers.recurrent import Recurrent

_GATES = {"RNN": [0], "LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2]}
"""Where each of ONNX's gates (i o f c of the LSTM, z r h of the GRU) stands among PyTorch's (i f g o, r z n)."""


def embedding(w: Writer, layer: layers.Embedding, inputs: Sequence[str]) -> str:
    """Rows of a matrix; the row of the token that stands for nothing is written as zeros."""
    weight = w.tensor(layer.weight)
    if layer.padding_idx is not None and w.weights[weight][layer.padding_idx].any():
        masked = np.array(w.weights[weight])
        masked[layer.padding_idx] = 0
        weight = w.constant(masked)
    return w.put("Gather", weight, *inputs, axis=0)


def recurrent(w: Writer, layer: Recurrent, inputs: Sequence[str]) -> str:
    """ONNX has the steps first and the directions apart, so the sequence is turned before and after each layer."""
    op = type(layer).__name__
    kind: dict[str, Any] = {"hidden_size": layer.hidden_size, "direction": "forward"}
    directions = [""]
    if layer.bidirectional:
        kind["direction"], directions = "bidirectional", ["", "_reverse"]
    if isinstance(layer, layers.RNN):
        kind["activations"] = [layer.nonlinearity.capitalize()] * len(directions)
    if isinstance(layer, layers.GRU):
        kind["linear_before_reset"] = 1
    x = w.put("Transpose", *inputs, perm=[1, 0, 2])
    for number in range(layer.num_layers):
        names = [f"l{number}{direction}" for direction in directions]
        operands = [
            w.constant(np.stack([_rows(w, layer, op, f"weight_{part}_{n}") for n in names])) for part in ("ih", "hh")
        ]
        if layer.bias:
            both = [[_rows(w, layer, op, f"bias_{part}_{name}") for part in ("ih", "hh")] for name in names]
            operands.append(w.constant(np.stack([np.concatenate(pair) for pair in both])))
        # Its outputs are all states (steps, directions, images, numbers), and the last ones, which are not needed.
        states = w.put(op, x, *operands, **kind)
        beside = w.put("Transpose", states, perm=[0, 2, 1, 3])
        x = w.put("Reshape", beside, w.constant([0, 0, -1], np.int64))
    return w.put("Transpose", x, perm=[1, 0, 2])


def _rows(w: Writer, layer: Recurrent, op: str, name: str) -> Array:
    """A weight or bias with its gates in ONNX's order."""
    values = w.values(getattr(layer, name))
    gates = np.split(values, len(_GATES[op]))
    return np.concatenate([gates[place] for place in _GATES[op]])


def select_step(w: Writer, layer: layers.SelectStep, inputs: Sequence[str]) -> str:
    """One step, of a sequence whose length is known."""
    step = layer.step % w.shapes[inputs[0]][1]
    return w.put("Gather", *inputs, w.constant(step, np.int64), axis=1)
