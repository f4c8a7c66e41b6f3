"""The steering network: the shapes of the paper's figure, and a step of regression on both engines."""

import numpy as np

import pellucid as pc


def test_the_shapes_of_figure_4() -> None:
    rows = {row.name: row.output_shape for row in pc.models.create("pilotnet").summary().rows}
    convolutions = [rows[f"conv{number}"] for number in range(1, 6)]
    assert convolutions == [(24, 31, 98), (36, 14, 47), (48, 5, 22), (64, 3, 20), (64, 1, 18)]
    assert [rows[name] for name in ("flatten", "fc1", "fc2", "fc3", "fc4")] == [(1152,), (100,), (50,), (10,), (1,)]


def test_it_is_trained_by_the_mean_squared_error(engine: str) -> None:
    model = pc.models.create("pilotnet", in_channels=1).init(0)
    x = np.random.default_rng(0).normal(size=(2, 1, 66, 200)).astype(np.float32)
    angle = np.array([[0.3], [-0.2]], np.float32)
    step = pc.compile_training(model, 2, (1, 66, 200), "mse", pc.optim.Adam(lr=1e-4), engine=engine)
    losses = [step(x, angle) for _ in range(4)]
    step.close()
    assert losses[-1] < losses[0]
