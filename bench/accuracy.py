"""The wall time of training LeNet-5 on MNIST until 99% of the test images are right.

python bench/accuracy.py                       with MNIST from PELLUCID_DATA or the cache
python bench/accuracy.py --data-root FOLDER    with MNIST from there
"""

import sys

from pellucid.cli.main import main
from pellucid.data import load
from pellucid.errors import DataError


def has_data() -> bool:
    """Whether MNIST is where it is looked for; nothing is downloaded for a measurement."""
    try:
        load("mnist")
    except DataError as error:
        print(f"skipped: {error}")
        return False
    return True


if __name__ == "__main__":
    if "--data-root" in sys.argv or has_data():
        main(["bench", "--to-accuracy", "0.99", *sys.argv[1:]])
