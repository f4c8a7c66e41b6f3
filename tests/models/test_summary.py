"""Summaries: as a table and as data."""

import json

import pytest

import pellucid as pc
from pellucid.errors import UsageError
from pellucid.layers import AvgPool2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU


def model() -> pc.Sequential:
    return pc.Sequential(
        [
            Conv2d(3, 8, 3, stride=2, padding=1),
            ReLU(),
            MaxPool2d(2),
            Dropout(),
            Conv2d(8, 4, 3, groups=4),
            AvgPool2d(2),
            Flatten(),
            Linear(16, 5),
        ]
    )


def test_the_table() -> None:
    lines = str(model().summary((3, 24, 24))).splitlines()
    assert lines[0] == "input 3x24x24, one image"
    assert lines[1].split() == ["layer", "kind", "output", "shape", "parameters", "multiply-adds", "FLOPs"]
    assert lines[3].split() == ["conv1", "Conv2d", "8x12x12", "224", "31,104", "63,360"]
    assert lines[-1].split() == [
        "total",
        "385",
        "32,336",
        f"{63_360 + 1_152 + 288 * 4 + 2 * 1_152 + 64 + 16 * 5 + 165:,}",
    ]
    assert lines[2] == lines[-2] == "-" * max(map(len, lines[1:]))
    assert all(line == line.rstrip() for line in lines)


def test_costs_by_hand() -> None:
    summary = model().summary((3, 24, 24))
    rows = {row.name: row for row in summary.rows}
    assert rows["conv1"].multiply_adds == 8 * 12 * 12 * 3 * 9
    assert rows["conv2"].multiply_adds == 4 * 4 * 4 * 2 * 9
    assert rows["fc1"].multiply_adds == 16 * 5
    assert rows["pool1"].flops == 8 * 6 * 6 * 4
    assert rows["pool2"].flops == 4 * 2 * 2 * 5
    assert rows["relu1"].flops == 8 * 12 * 12
    assert (rows["dropout1"].flops, rows["dropout1"].output_shape, rows["dropout1"].parameters) == (0, (8, 6, 6), 0)
    assert summary.multiply_adds == sum(row.multiply_adds for row in summary.rows)


def test_as_data() -> None:
    data = json.loads(json.dumps(model().summary((3, 24, 24)).to_json()))
    assert data["input_shape"] == [3, 24, 24]
    assert data["layers"][0] == {
        "name": "conv1", "kind": "Conv2d", "output_shape": [8, 12, 12], "parameters": 224,
        "multiply_adds": 31_104, "flops": 63_360, "auxiliary": False,
    }  # fmt: skip
    assert (data["parameters"], data["multiply_adds"]) == (385, 32_336)


def test_shared_parameters_count_once() -> None:
    shared = Linear(4, 4)
    rows = pc.Sequential([("a", shared), ("b", shared)]).summary((4,)).rows
    assert [(row.name, row.parameters, row.multiply_adds) for row in rows] == [("a", 20, 16), ("b", 0, 16)]


def test_a_shape_is_needed() -> None:
    with pytest.raises(UsageError, match=r"summary: say for which input_shape \(C, H, W\)"):
        model().summary()
    assert pc.models.create("lenet5").summary().input_shape == (1, 28, 28)


def test_a_layer_that_does_nothing_has_the_shape_of_what_it_reads() -> None:
    """Also where that is a graph: then of the graph's last layer."""
    inner = pc.Sequential([("drop", Dropout()), ("conv", Conv2d(1, 4, 3)), ("again", Dropout())])
    rows = pc.Sequential([("body", inner), ("drop", Dropout())]).summary((1, 8, 8)).rows
    assert [(row.name, row.output_shape) for row in rows] == [
        ("body.drop", (1, 8, 8)),
        ("body.conv", (4, 6, 6)),
        ("body.again", (4, 6, 6)),
        ("drop", (4, 6, 6)),
    ]
