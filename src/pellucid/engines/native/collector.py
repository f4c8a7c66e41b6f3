"""Python's cycle collector pauses while a program is compiled.

Compiling makes many objects and drops few: the collector walks over all of them again and again and finds almost
nothing, for a tenth to a seventh of the time that ResNet-50's step takes. What it would have found is collected
afterwards; until then the compiler holds about 100 MB more, for the largest of our networks.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the collector from running, and afterwards let it run again if it did before.

    Of several threads only the one that found it running starts it again, so it never stays off.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
