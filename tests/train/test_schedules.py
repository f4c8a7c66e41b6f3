"""Learning-rate schedules against their formulas, written out here."""

import math

import pytest

from pellucid.errors import ConfigError
from pellucid.train import schedules
from pellucid.train.schedules import Constant, Cosine, LinearWarmup, StepDecay


def test_constant() -> None:
    assert [Constant()(step) for step in (0, 7, 10**9)] == [1.0, 1.0, 1.0]


def test_step_decay_divides_after_every_so_many_steps() -> None:
    assert [StepDecay(3, 0.5)(step) for step in range(8)] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_cosine_falls_to_its_floor_and_stays() -> None:
    cosine = Cosine(4, floor=0.2)
    half = math.sqrt(0.5)
    expected = [1, 0.2 + 0.4 * (1 + half), 0.6, 0.2 + 0.4 * (1 - half), 0.2, 0.2]
    assert [cosine(step) for step in range(6)] == pytest.approx(expected, rel=1e-12)


def test_warmup_rises_evenly_then_follows() -> None:
    warmup = LinearWarmup(4, after=StepDecay(1, 0.5))
    assert [warmup(step) for step in range(7)] == [0.25, 0.5, 0.75, 1.0, 1.0, 0.5, 0.25]


@pytest.mark.parametrize("name", schedules.NAMES)
def test_every_named_schedule_stays_between_0_and_1(name: str) -> None:
    for total in (1, 2, 20, 1000):
        made = schedules.get(name, total)
        assert all(0 <= made(step) <= 1 for step in range(total + 5))
        assert max(made(step) for step in range(total)) == 1


def test_named_schedules() -> None:
    assert schedules.get("constant", 90) == Constant()
    assert schedules.get("step", 90) == StepDecay(30, 0.1)
    assert schedules.get("cosine", 90) == Cosine(90)
    assert schedules.get("warmup", 100) == LinearWarmup(5)
    assert schedules.get("warmup-cosine", 100) == LinearWarmup(5, Cosine(95))


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"no learning-rate schedule 'cosin'.*Did you mean 'cosine'"):
        schedules.get("cosin", 10)
    with pytest.raises(ConfigError, match=r"there are constant, step, cosine, warmup, warmup-cosine\.$"):
        schedules.get("zzz", 10)


@pytest.mark.parametrize("make", [StepDecay, Cosine, LinearWarmup])
def test_a_schedule_over_no_steps_is_refused(make: type) -> None:
    with pytest.raises(ConfigError, match=f"{make.__name__}: .* must be at least 1.* but is 0"):
        make(0)


def test_descriptions_are_tables() -> None:
    assert schedules.describe(LinearWarmup(5, Cosine(95))) == {
        "name": "LinearWarmup",
        "steps": 5,
        "after": {"name": "Cosine", "steps": 95, "floor": 0.0},
    }
    assert schedules.describe(test_constant) == {"name": "test_constant"}
