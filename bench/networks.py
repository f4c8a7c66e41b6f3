"""Training steps and predictions of whole networks, beside PyTorch where it is installed.

python bench/networks.py                          all networks and batch sizes
python bench/networks.py lenet5 --batch-size 64   one of them
python bench/networks.py --help                   all options: they are those of `pellucid bench`
"""

import sys

from pellucid.cli.main import main

if __name__ == "__main__":
    main(["bench", *sys.argv[1:]])
