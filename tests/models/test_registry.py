"""The models by name."""

import pytest

import pellucid as pc
from pellucid.errors import UsageError


def test_names() -> None:
    assert {"notes-mlp", "notes-cnn", "lenet5"} <= set(pc.models.names())


@pytest.mark.parametrize(
    ("name", "hint"),
    [("lenet", "lenet5"), ("LeNet5", "lenet5"), ("notes_cnn", "notes-cnn"), ("noets-mlp", "notes-mlp")],
)
def test_a_name_with_a_slip(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        pc.models.create(name)
    listed = ", ".join(pc.models.names())
    assert str(error.value) == f"unknown model {name!r}. Did you mean {hint!r}? The models are {listed}"


def test_a_name_like_no_other() -> None:
    with pytest.raises(UsageError, match=r"^unknown model 'xyzzy'\. The models are notes-mlp, "):
        pc.models.create("xyzzy")


def test_options_and_their_defaults() -> None:
    assert pc.models.options("notes-mlp") == {}
    assert pc.models.options("lenet5")["classes"] == 10
    assert pc.models.create("lenet5", classes=3).spec == {
        "model": "lenet5",
        "options": {**pc.models.options("lenet5"), "classes": 3},
    }
    with pytest.raises(UsageError, match="notes-mlp has no option 'classes'; it takes none"):
        pc.models.create("notes-mlp", classes=3)


def test_how_a_model_is_trained_unless_told_otherwise() -> None:
    settings = pc.models.defaults("notes-mlp")
    assert settings["loss"] == "output_cross_entropy"
    assert {"epochs", "batch_size", "optimizer", "lr"} <= set(settings)
    with pytest.raises(UsageError, match="unknown model"):
        pc.models.defaults("xyzzy")
