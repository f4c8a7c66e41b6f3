"""Where a sliding window may stand: counted position by position, without the output-size formula."""


def positions(
    extent: int,
    kernel: int,
    stride: int,
    padding: int | str,
    dilation: int,
    ceil_mode: bool = False,
) -> list[int]:
    """First cells of all windows along one axis; cells below 0 or from `extent` on are padding.

    A window stands only where it ends inside the padded image. With `ceil_mode` one more window may stick out
    at the far end if cells of the padded image are left over, provided that it starts inside the image or the
    near padding. Padding "same" is as much as keeps the size, an odd cell of it at the far end.
    """
    reach = dilation * (kernel - 1)
    near, far = (padding, padding) if isinstance(padding, int) else (reach // 2, reach - reach // 2)
    last_cell = extent - 1 + far
    starts = []
    start = -near
    while start + reach <= last_cell:
        starts.append(start)
        start += stride
    if ceil_mode and starts and starts[-1] + reach < last_cell and start < extent:
        starts.append(start)
    return starts


def taps(start: int, kernel: int, dilation: int) -> list[int]:
    """Cells one window looks at along one axis."""
    return [start + dilation * step for step in range(kernel)]


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """A number for both axes, or one number for each."""
    return (value, value) if isinstance(value, int) else value


def paddings(value: int | tuple[int, int] | str) -> tuple[int | str, int | str]:
    """Padding along both axes; "same" is the same word for both."""
    return (value, value) if isinstance(value, str) else pair(value)
