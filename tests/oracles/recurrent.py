"""Recurrent layers, one sequence and one step at a time, and back through time by the chain rule written out."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tests.oracles.result import Array, Result

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
Memory = dict[str, Array]
"""What a step keeps for the way back."""


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def rnn_step(a: Array, b: Array, h: Array, c: Array, relu: bool) -> tuple[Array, Array, Memory]:
    """From the two weighted sums (of the input: a, of the state: b) and the state to the next state."""
    total = a + b
    new = np.maximum(total, 0) if relu else np.tanh(total)
    return new, c, {"slope": (total > 0).astype(float) if relu else 1 - new**2}


def rnn_back(m: Memory, dh: Array, dc: Array) -> tuple[Array, Array, Array, Array]:
    """The gradients by a, b, the state and the cell before."""
    d = dh * m["slope"]
    return d, d, np.zeros_like(dh), dc


def lstm_step(a: Array, b: Array, h: Array, c: Array, relu: bool) -> tuple[Array, Array, Memory]:
    i, f, g, o = np.split(a + b, 4)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    new = f * c + i * g
    return o * np.tanh(new), new, {"i": i, "f": f, "g": g, "o": o, "before": c, "cell": new}


def lstm_back(m: Memory, dh: Array, dc: Array) -> tuple[Array, Array, Array, Array]:
    through = np.tanh(m["cell"])
    dc = dc + dh * m["o"] * (1 - through**2)
    di, df, dg, do = dc * m["g"], dc * m["before"], dc * m["i"], dh * through
    d = np.concatenate([
        di * m["i"] * (1 - m["i"]), df * m["f"] * (1 - m["f"]), dg * (1 - m["g"] ** 2), do * m["o"] * (1 - m["o"])
    ])  # fmt: skip
    return d, d, np.zeros_like(dh), dc * m["f"]


def gru_step(a: Array, b: Array, h: Array, c: Array, relu: bool) -> tuple[Array, Array, Memory]:
    (ra, za, na), (rb, zb, nb) = np.split(a, 3), np.split(b, 3)
    r, z = sigmoid(ra + rb), sigmoid(za + zb)
    n = np.tanh(na + r * nb)
    return (1 - z) * n + z * h, c, {"r": r, "z": z, "n": n, "nb": nb, "h": h}


def gru_back(m: Memory, dh: Array, dc: Array) -> tuple[Array, Array, Array, Array]:
    r, z, n = m["r"], m["z"], m["n"]
    dn = dh * (1 - z) * (1 - n**2)
    dz = dh * (m["h"] - n) * z * (1 - z)
    dr = dn * m["nb"] * r * (1 - r)
    return np.concatenate([dr, dz, dn]), np.concatenate([dr, dz, dn * r]), dh * z, dc


STEPS: Mapping[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "rnn": (rnn_step, rnn_back),
    "lstm": (lstm_step, lstm_back),
    "gru": (gru_step, gru_back),
}


def names(options: Mapping[str, Any]) -> list[list[str]]:
    """The endings of the parameters' names: for each layer, those of its directions."""
    both = ["", "_reverse"] if options["bidirectional"] else [""]
    return [[f"l{layer}{ending}" for ending in both] for layer in range(options["num_layers"])]


def parameter_shapes(gates: int, options: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """As PyTorch has them."""
    hidden, shapes = options["hidden_size"], {}
    for layer, endings in enumerate(names(options)):
        inputs = options["input_size"] if layer == 0 else hidden * len(endings)
        for ending in endings:
            shapes[f"weight_ih_{ending}"] = (gates * hidden, inputs)
            shapes[f"weight_hh_{ending}"] = (gates * hidden, hidden)
            if options["bias"]:
                shapes[f"bias_ih_{ending}"] = (gates * hidden,)
                shapes[f"bias_hh_{ending}"] = (gates * hidden,)
    return shapes


def sequence(
    kind: str, relu: bool, x: Array, order: list[int], own: Mapping[str, Array], dy: Array | None
) -> tuple[Array, Array, dict[str, Array]]:
    """One sequence (L, I) through one layer in one direction: states (L, H), and gradients if `dy` is given."""
    forward, back = STEPS[kind]
    w, u = own["weight_ih"], own["weight_hh"]
    zero = np.zeros(len(w))
    h = c = np.zeros(u.shape[1])
    y, kept, before = np.zeros((len(x), len(h))), {}, {}
    for t in order:
        before[t] = h
        h, c, kept[t] = forward(w @ x[t] + own.get("bias_ih", zero), u @ h + own.get("bias_hh", zero), h, c, relu)
        y[t] = h
    dx = np.zeros(x.shape)
    gradients = {name: np.zeros(value.shape) for name, value in own.items()}
    dh, dc = np.zeros(len(h)), np.zeros(len(h))
    for t in reversed(order) if dy is not None else ():
        da, db, direct, dc = back(kept[t], dh + dy[t], dc)
        dx[t] = w.T @ da
        dh = direct + u.T @ db
        for name, d, read in (("weight_ih", da, x[t]), ("weight_hh", db, before[t])):
            gradients[name] += np.outer(d, read)
        for name, d in (("bias_ih", da), ("bias_hh", db)):
            if name in gradients:
                gradients[name] += d
    return y, dx, gradients


def recurrent(
    kind: str, options: Mapping[str, Any], x: Array, parameters: Mapping[str, Array], dy: Array | None = None
) -> Result:
    """All layers and directions over a batch of sequences."""
    relu, hidden = options.get("nonlinearity") == "relu", options["hidden_size"]
    total = {name: np.zeros(value.shape) for name, value in parameters.items()}
    ys, dxs = [], []
    for number, values in enumerate(x):
        inputs = [values]
        for endings in names(options):
            runs = [sequence(kind, relu, inputs[-1], *way, None)[0] for way in ways(endings, len(values), parameters)]
            inputs.append(np.concatenate(runs, axis=1))
        d = np.ones(inputs[-1].shape) if dy is None else dy[number]
        for endings, given in reversed(list(zip(names(options), inputs[:-1], strict=True))):
            parts = [d[:, k * hidden : (k + 1) * hidden] for k in range(len(endings))]
            d = np.zeros(given.shape)
            for ending, part, way in zip(endings, parts, ways(endings, len(values), parameters), strict=True):
                _, dx, found = sequence(kind, relu, given, *way, part)
                d = d + dx
                for name, value in found.items():
                    total[f"{name}_{ending}"] += value
        ys.append(inputs[-1])
        dxs.append(d)
    return Result(np.stack(ys), np.stack(dxs), total)


def ways(endings: list[str], length: int, parameters: Mapping[str, Array]) -> list[tuple[list[int], dict[str, Array]]]:
    """For each direction of a layer the order of the steps and its own parameters."""
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [
        (
            list(range(length))[:: -1 if ending.endswith("_reverse") else 1],
            {kind: parameters[f"{kind}_{ending}"] for kind in kinds if f"{kind}_{ending}" in parameters},
        )
        for ending in endings
    ]
