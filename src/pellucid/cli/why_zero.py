"""`pellucid why-zero`: the first number at fault behind a number that is 0."""

from typing import Any

import click

from pellucid.cli.why import answer, question


@click.command()
@question
def command(**arguments: Any) -> None:
    """Follow WHAT, which is 0, to the first number at fault.

    IMAGE is a file, or the number of an image among the run's test images. WHAT is an element such as
    "conv2[3,4,5]" or a whole tensor, whose first number that is 0 is meant; "d ..." are gradients.
    The chain ends at a closed ReLU, a cell that max pooling did not take, padding, a dropped value, a weight
    or pixel that is itself 0, terms that cancel, or an underflow.

    \b
    pellucid why-zero runs/a 0 "relu1[2,3,4]"
    pellucid why-zero runs/a 0 "d conv1.weight[2,0,1,1]"
    """
    from pellucid.look.why_zero import why_zero

    answer(why_zero, **arguments)
