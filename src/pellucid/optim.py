"""Optimisers: how a parameter changes, as an equation in its gradient.

The learning rate and the number of the step are inputs of the equations, so that a schedule needs no new program.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from pellucid.errors import UsageError
from pellucid.notation import Expression, Tensor, expm1, minimum, sqrt
from pellucid.notation.index import Index


@dataclass
class Update:
    """The new value of a parameter, and the optimiser's own tensors with theirs."""

    parameter: Tensor
    states: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)


class Optimizer:
    """Writes the update equations of one parameter."""

    name = "optimizer"

    def __init__(self, lr: float) -> None:
        self.lr = self._number("lr", lr)

    def _number(self, name: str, value: float, below: float = math.inf) -> float:
        """A number of at least 0 and less than `below`; UsageError otherwise."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < below:
            limit = f" and less than {below:g}" if below < math.inf else ""
            raise UsageError(f"{type(self).__name__}: {name} must be a number of at least 0{limit}; got {value!r}")
        return float(value)

    def update(self, parameter: Tensor, gradient: Tensor, rate: Tensor, step: Tensor) -> Update:
        """`rate` is the learning rate, `step` the number of steps done before this one; both single numbers."""
        raise UsageError(f"{type(self).__name__} has no equation: define update()")

    def settings(self) -> dict[str, float | bool]:
        """The arguments by name, as `get` takes them."""
        return {k: v for k, v in vars(self).items() if isinstance(v, int | float)}


def _state(symbol: str, parameter: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """A tensor of the parameter's shape that outlives the step, and its successor."""
    old = Tensor(symbol, parameter.extents, role="state", name=f"optimizer.{kind}.{parameter.name}")
    return old, Tensor(f"{symbol}'", parameter.extents, name=f"updated optimizer.{kind}.{parameter.name}")


def _every(parameter: Tensor) -> tuple[Index, ...]:
    names = {1: "o", 2: "ok", 4: "ocuv"}.get(len(parameter.extents))
    return tuple(Index(names[d] if names else f"x{d + 1}", extent) for d, extent in enumerate(parameter.extents))


def _successor(parameter: Tensor) -> Tensor:
    return Tensor(f"{parameter.symbol}'", parameter.extents, name=f"updated {parameter.name}")


class SGD(Optimizer):
    """Gradient descent, with momentum.

        G = dW + weight_decay * W;  V' = momentum * V + G;  W' = W - lr * V'  (nesterov: W - lr * (G + momentum * V'))

    Source: the notes (w - lr * dw); Sutskever et al., ICML 2013 for the momentum, in PyTorch's form.
    """

    name = "sgd"

    def __init__(self, lr: float, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0) -> None:
        super().__init__(lr)
        self.momentum = self._number("momentum", momentum, 1)
        self.nesterov = nesterov
        self.weight_decay = self._number("weight_decay", weight_decay)
        if nesterov and not momentum:
            raise UsageError("SGD: nesterov needs a momentum greater than 0")

    def update(self, parameter: Tensor, gradient: Tensor, rate: Tensor, step: Tensor) -> Update:
        e = _every(parameter)
        new = _successor(parameter)
        slope: Expression = gradient[e]
        if self.weight_decay:
            slope = slope + parameter[e] * self.weight_decay
        if not self.momentum:
            new[e] = parameter[e] - rate[()] * slope
            return Update(new)
        old, velocity = _state("V", parameter, "momentum")
        velocity[e] = old[e] * self.momentum + slope
        direction: Expression = slope + velocity[e] * self.momentum if self.nesterov else velocity[e]
        new[e] = parameter[e] - rate[()] * direction
        return Update(new, {"momentum": (old, velocity)})


class Adam(Optimizer):
    """Steps scaled by running means of the gradient and of its square.

        M' = b1 * M + (1 - b1) * G;  V' = b2 * V + (1 - b2) * G^2;  with t the number of this step, from 1:
        W' = W - lr * (M' / (1 - b1^t)) / (sqrt(V' / (1 - b2^t)) + eps)

    G = dW + weight_decay * W. Source: Kingma and Ba, ICLR 2015.
    """

    name = "adam"
    decoupled = False

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(lr)
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise UsageError(f"{type(self).__name__}: betas must be two numbers; got {betas!r}")
        self.betas = (self._number("betas[0]", betas[0], 1), self._number("betas[1]", betas[1], 1))
        self.eps = self._number("eps", eps)
        self.weight_decay = self._number("weight_decay", weight_decay)

    def update(self, parameter: Tensor, gradient: Tensor, rate: Tensor, step: Tensor) -> Update:
        e = _every(parameter)
        new = _successor(parameter)
        weight: Expression = parameter[e]
        slope: Expression = gradient[e]
        if self.weight_decay and self.decoupled:
            weight = weight * (1 - rate[()] * self.weight_decay)
        elif self.weight_decay:
            slope = slope + weight * self.weight_decay
        (old_mean, mean), (old_square, square) = _state("M", parameter, "mean"), _state("V", parameter, "square")
        b1, b2 = self.betas
        mean[e] = old_mean[e] * b1 + slope * (1 - b1)
        square[e] = old_square[e] * b2 + slope**2 * (1 - b2)
        unbiased = mean[e] / _missing(b1, step)
        new[e] = weight - rate[()] * unbiased / (sqrt(square[e] / _missing(b2, step)) + self.eps)
        return Update(new, {"mean": (old_mean, mean), "square": (old_square, square)})

    def settings(self) -> dict[str, float | bool]:
        return {**super().settings(), "beta1": self.betas[0], "beta2": self.betas[1]}


class AdamW(Adam):
    """Adam with the weight decay applied to the weights themselves: W * (1 - lr * weight_decay) in place of W.

    Source: Loshchilov and Hutter, ICLR 2019.
    """

    name = "adamw"
    decoupled = True

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay)


def _missing(beta: float, step: Tensor) -> Expression:
    """1 - beta^t, the share of a running mean that has been filled; exact in float32 even where it is small."""
    if not beta:
        return Expression.of(1)
    return -expm1((step[()] + 1) * math.log(beta))


AVERAGE = "average."  # before a tensor's name: its running average


def average(tensor: Tensor, successor: Tensor, decay: float, step: Tensor) -> tuple[Tensor, Tensor]:
    """The running average of a parameter or of a layer's state, and that average after one more step.

        A' = d * A + (1 - d) * W';  d = min(decay, t / (t + 1)) after t steps

    The weights of single steps scatter around a better place, and their average lies nearer to it. It is the plain
    mean of all steps until these are 1 / (1 - decay); from then on older ones fade.
    Source: Polyak and Juditsky, SIAM J. Control Optim. 30(4), 1992; Izmailov et al., UAI 2018 (arXiv:1803.05407).
    """
    e = _every(tensor)
    old = Tensor("A", tensor.extents, role="state", name=f"{AVERAGE}{tensor.name}")
    new = Tensor("A'", tensor.extents, name=f"updated {AVERAGE}{tensor.name}")
    stays = minimum(step[()] / (step[()] + 1), decay)
    new[e] = old[e] * stays + successor[e] * (1 - stays)
    return old, new


def names() -> tuple[str, ...]:
    """The names that `get` accepts."""
    return SGD.name, Adam.name, AdamW.name


def get(
    name: str,
    *,
    lr: float | None = None,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float | None = None,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> Optimizer:
    """An optimiser by name; UsageError for an unknown name or an argument that it does not take."""
    if name == SGD.name:
        return SGD(0.01 if lr is None else lr, momentum, nesterov, weight_decay or 0.0)
    kind = {Adam.name: Adam, AdamW.name: AdamW}.get(name)
    if kind is None:
        raise UsageError(f"unknown optimizer {name!r}: choose one of {', '.join(names())}")
    if momentum or nesterov:
        raise UsageError(f"{name} takes betas, not momentum or nesterov")
    decay = weight_decay if weight_decay is not None else (0.01 if kind is AdamW else 0.0)
    return kind(1e-3 if lr is None else lr, betas, eps, decay)
