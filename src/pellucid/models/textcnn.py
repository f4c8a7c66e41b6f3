"""A convolutional network for sentences."""

from __future__ import annotations

from pellucid.layers import AddChannel, Concat, Conv2d, Dropout, Embedding, GlobalMaxPool2d, Linear, ReLU
from pellucid.models.graph import Graph
from pellucid.models.registry import Entry

WIDTHS = (3, 4, 5)
"""How many neighbouring words a filter sees."""


def textcnn(
    classes: int = 2,
    vocabulary: int = 20_000,
    length: int = 56,
    embedding: int = 300,
    filters: int = 100,
    dropout: float = 0.5,
) -> Graph:
    """Kim's network: word vectors, filters over 3, 4 and 5 words, the maximum over time, dropout, a dense layer.

    The input is a batch of sentences (N, length) of word numbers below `vocabulary`; 0 fills up shorter sentences.
    The output is logits. 6,360,902 parameters, 6,000,000 of them the vectors of 20,000 words. The paper calls this
    variant "rand": its vectors are learned from the start.

    Source: Kim, "Convolutional neural networks for sentence classification", EMNLP 2014.
    """
    model = Graph()
    model.add("embedding", Embedding(vocabulary, embedding, padding_idx=0), "input")
    model.add("sentence", AddChannel())
    for width in WIDTHS:
        model.add(f"conv{width}", Conv2d(1, filters, (width, embedding)), "sentence")
        model.add(f"relu{width}", ReLU())
        model.add(f"pool{width}", GlobalMaxPool2d())
    model.add("concat", Concat(), *(f"pool{width}" for width in WIDTHS))
    model.add("dropout", Dropout(dropout))
    model.add("fc", Linear(len(WIDTHS) * filters, classes, init="glorot_uniform"))
    model.input_shape = (length,)
    model.classes = classes
    return model


ENTRIES = (
    Entry("textcnn", textcnn, (56,), "Kim 2014", {"optimizer": "adam", "lr": 0.001, "batch_size": 50, "epochs": 10}),
)
