"""The examples in the docstrings do what they show."""

import doctest
import importlib
import pkgutil

import pytest

import pellucid

MODULES = sorted(
    m.name for m in pkgutil.walk_packages(pellucid.__path__, "pellucid.") if not m.name.endswith("__main__")
)


def examples(name: str) -> list[doctest.DocTest]:
    module = importlib.import_module(name)
    return [test for test in doctest.DocTestFinder().find(module, name) if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in examples(name):
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def test_every_layer_has_an_example() -> None:
    documented = {
        test.name.rsplit(".", 1)[-1]
        for name in MODULES
        if name.startswith("pellucid.layers")
        for test in examples(name)
    }
    assert {kind.__name__ for kind in pellucid.layers.by_name().values()} <= documented
