"""The network for sentences: it runs on both engines alike, and learns to find a phrase wherever it stands."""

import numpy as np

import pellucid as pc


def small(length: int = 12) -> pc.Graph:
    return pc.models.create("textcnn", vocabulary=30, length=length, embedding=8, filters=6)


def test_the_published_size() -> None:
    """300 numbers for each word; 100 filters over 3, 4 and 5 words; 300 maxima and 2 classes."""
    shapes = {name: value.shape for name, value in pc.models.create("textcnn").parameters.items()}
    assert shapes["conv3.weight"] == (100, 1, 3, 300) and shapes["fc.weight"] == (2, 300)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 6_360_902


def test_both_engines_agree() -> None:
    model = small().init(0)
    x = np.random.default_rng(1).integers(30, size=(5, 12))
    outputs = {
        engine: pc.vjp(model, x, np.ones((5, 2)), engine=engine, training=True, seed=3)
        for engine in ("numpy", "native")
    }
    for name, value in outputs["numpy"][2].items():
        assert np.allclose(outputs["native"][2][name], value, rtol=1e-4, atol=1e-5), name
    assert np.allclose(outputs["native"][0], outputs["numpy"][0], rtol=1e-4, atol=1e-5)


def test_a_phrase_is_found_wherever_it_stands() -> None:
    generator = np.random.default_rng(0)
    sentences = generator.integers(3, 30, size=(400, 12))
    labels = generator.integers(2, size=400)
    for sentence, label, place in zip(sentences, labels, generator.integers(10, size=400), strict=True):
        if label:
            sentence[place : place + 3] = (1, 2, 1)
    splits = pc.data.from_arrays((sentences, labels), validation=0.25)
    model = small().init(0)
    pc.fit(model, splits, epochs=8, batch_size=50, optimizer=pc.optim.Adam(lr=0.01), seed=1, progress=False)
    assert pc.evaluate(model, splits.validation).accuracy > 0.95
