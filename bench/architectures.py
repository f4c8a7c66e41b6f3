"""Training steps and predictions of AlexNet, VGG-16, ResNet-18, ResNet-50 and GoogLeNet, beside PyTorch.

python bench/architectures.py                    all of them, with their usual batch sizes; takes ten minutes
python bench/architectures.py --mode eager       options are those of `pellucid bench`
"""

import sys

from pellucid.cli.main import main

NETWORKS = ["alexnet", "vgg16", "resnet18", "resnet50", "googlenet"]

if __name__ == "__main__":
    main(["bench", *NETWORKS, *sys.argv[1:]])
