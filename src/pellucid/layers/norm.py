"""Normalisation: by the statistics of a batch, and by the neighbouring channels."""

from __future__ import annotations

from pellucid.errors import ShapeError, UsageError
from pellucid.layers.base import Layer, Parameter, Randomness, State, count, finite, images
from pellucid.notation import Expression, Index, Tensor, constant, indices, sqrt, sum_over


class BatchNorm2d(Layer):
    """Every channel shifted and scaled to mean 0 and variance 1, then to a learned mean and scale.

        M[c] = sum(n,i,j) X[n,c,i,j] / m               the mean over the batch, m = N*H*W
        V[c] = sum(n,i,j) (X[n,c,i,j] - M[c])^2 / m    the variance
        D[c] = sqrt(V[c] + eps)
        H[n,c,i,j] = (X[n,c,i,j] - M[c]) / D[c]
        Y[n,c,i,j] = W[c] * H[n,c,i,j] + b[c]

    While training, M and V are those of the batch, and the running statistics follow them:
    R = (1 - momentum) * R + momentum * M, and for the variance likewise with V * m / (m - 1), which estimates the
    variance of all images without bias. At inference M and V are the running statistics, so that an image's output
    does not depend on the images beside it. Without `affine` Y = H; without `track_running_stats` the batch's own
    statistics are used at inference too.

    Shapes: X, H and Y (N, C, H, W); W, b and the statistics (C).

    Gradient while training: db = sum(n,i,j) dY, dW = sum(n,i,j) dY * H, and
    dX = W / D * (dY - db / m - H * dW / m). At inference dX = dY * W / D.

    Source: Ioffe and Szegedy, "Batch normalization", ICML 2015.

    Raises UsageError for arguments out of their range, ShapeError for images of another number of channels, and
    while training for a single value per channel, which has no variance.

    >>> BatchNorm2d(16).forward(Tensor("X", (1, 16, 28, 28), role="input")).shape
    (1, 16, 28, 28)
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        self.num_features = count(self, "num_features", num_features)
        self.eps = finite(self, "eps", eps)
        self.momentum = finite(self, "momentum", momentum)
        if self.eps < 0 or not 0 <= self.momentum <= 1:
            raise UsageError(
                f"BatchNorm2d: eps must be at least 0 and momentum between 0 and 1; got {eps!r} and {momentum!r}"
            )
        shape = (self.num_features,)
        self.weight = Parameter("W", shape, "ones") if affine else None
        self.bias = Parameter("b", shape) if affine else None
        self.running_mean = State("R", shape) if track_running_stats else None
        self.running_var = State("S", shape, "ones") if track_running_stats else None

    def forward(self, x: Tensor) -> Tensor:
        self._values_per_channel(x)
        if self.running_mean is None or self.running_var is None:
            return self._normalised(x, *self._statistics(x))
        return self._normalised(x, self.running_mean, self.running_var)

    def forward_training(self, x: Tensor, random: Randomness) -> Tensor:
        number = self._values_per_channel(x)
        if number == 1:
            raise ShapeError(f'"{x.name}" gives one value per channel, which has no variance to train with')
        mean, variance = self._statistics(x)
        if self.running_mean is not None and self.running_var is not None:
            c = Index("c")
            self._follow(self.running_mean, mean[c])
            self._follow(self.running_var, variance[c] * number / (number - 1))
        return self._normalised(x, mean, variance)

    def _values_per_channel(self, x: Tensor) -> int:
        batch, channels, height, width = images(x)
        if channels != self.num_features:
            raise ShapeError(f'expects {self.num_features} channels, but "{x.name}" gives {channels}')
        return batch * height * width

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel over the batch."""
        number = self._values_per_channel(x)
        n, c, i, j = indices("n c i j")
        mean, variance = Tensor("M"), Tensor("V")
        mean[c] = sum_over([n, i, j], x[n, c, i, j]) / number
        # The variance is smallest about the mean, so the mean passes it no gradient: the deviations add up to 0.
        variance[c] = sum_over([n, i, j], (x[n, c, i, j] - constant(mean[c])) ** 2) / number
        return mean, variance

    def _follow(self, state: State, latest: Expression) -> None:
        """Move a running statistic towards the latest batch's."""
        c, moved = Index("c"), Tensor(state.symbol + "'")
        moved[c] = state[c] * (1 - self.momentum) + latest * self.momentum
        state.update = moved

    def _normalised(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        n, c, i, j = indices("n c i j")
        deviation, h, y = Tensor("D"), Tensor("H"), Tensor("Y")
        deviation[c] = sqrt(variance[c] + self.eps)
        h[n, c, i, j] = (x[n, c, i, j] - mean[c]) / deviation[c]
        if self.weight is None or self.bias is None:
            return h
        y[n, c, i, j] = self.weight[c] * h[n, c, i, j] + self.bias[c]
        return y


class LocalResponseNorm(Layer):
    """Every value divided by a power of the squares of its neighbours in `size` channels.

        S[n,c,i,j] = k + alpha / size * sum(u) X[n, c + u - floor(size/2), i, j]^2
        Y[n,c,i,j] = X[n,c,i,j] / S[n,c,i,j]^beta

    Channels beyond the first and the last read 0. As in PyTorch the sum is divided by `size`; the paper's alpha of
    1e-4 with 5 channels, which divides by nothing, is `alpha=5e-4` here.

    Shapes: X, S and Y (N, C, H, W). Gradient: dX = dY / S^beta - 2 alpha beta / size * X * sum(u) dY * Y / S, the sum
    over the channels that see X.

    Source: Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks",
    NIPS 2012.

    Raises UsageError for a size that is no positive integer, ShapeError for inputs that are no images.

    >>> LocalResponseNorm(5).forward(Tensor("X", (1, 96, 27, 27), role="input")).shape
    (1, 96, 27, 27)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size = count(self, "size", size)
        self.alpha = finite(self, "alpha", alpha)
        self.beta = finite(self, "beta", beta)
        self.k = finite(self, "k", k)

    def forward(self, x: Tensor) -> Tensor:
        _, channels, _, _ = images(x)
        n, i, j = indices("n i j")
        c, u = Index("c", channels), Index("u", self.size)
        s, y = Tensor("S"), Tensor("Y")
        s[n, c, i, j] = sum_over([u], x[n, c + u - self.size // 2, i, j] ** 2) * (self.alpha / self.size) + self.k
        y[n, c, i, j] = x[n, c, i, j] / s[n, c, i, j] ** self.beta
        return y
