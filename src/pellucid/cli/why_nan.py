"""`pellucid why-nan`: the first number at fault behind a number that is NaN or infinite."""

from typing import Any

import click

from pellucid.cli.why import answer, question


@click.command()
@question
def command(**arguments: Any) -> None:
    """Follow WHAT, which is NaN or infinite, to the first number at fault.

    IMAGE is a file, or the number of an image among the run's test images. WHAT is an element such as
    "conv2[3,4,5]" or a whole tensor, whose first number that is NaN or infinite is meant; "d ..." are gradients.
    The chain ends at the first operation whose operands are finite and whose result is not, such as 0 / 0,
    log(0) or an overflow, or at a weight or a pixel that is itself not finite.

    \b
    pellucid why-nan runs/a 0 loss
    pellucid why-nan runs/a 0 "d conv1.weight"
    """
    from pellucid.look.why_nan import why_nan

    answer(why_nan, **arguments)
