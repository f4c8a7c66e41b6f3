"""Single convolutions, forward and both gradients, beside PyTorch where it is installed.

python bench/layers.py                      all layers
python bench/layers.py --only "1x1 28x28"   those whose name contains the text
python bench/layers.py --help               all options: they are those of `pellucid bench`
"""

import sys

from pellucid.cli.main import main

if __name__ == "__main__":
    main(["bench", "--layers", *sys.argv[1:]])
