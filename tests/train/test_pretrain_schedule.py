"""Steps of a pretraining: the learning rate, which rows a step takes, and LAMB."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from train.lamb import Lamb
from train.pretrain_config import MEDBERT
from train.schedule import Decay, Phase, Plan, learning_rate, micro_batches
from train.steps import lamb


class TestLearningRate:
    RATES = [learning_rate(step, total=1_000, warmup=100, peak=1e-3) for step in range(1_000)]

    def test_it_climbs_evenly_to_its_peak(self) -> None:
        assert self.RATES[0] == pytest.approx(1e-5)
        assert self.RATES[49] == pytest.approx(5e-4)
        assert self.RATES[99] == pytest.approx(1e-3)
        assert max(self.RATES) == pytest.approx(1e-3)

    def test_it_falls_along_a_cosine_to_nothing_at_the_end(self) -> None:
        falling = self.RATES[100:]
        assert falling == sorted(falling, reverse=True)
        assert falling[450] == pytest.approx(5e-4)
        assert self.RATES[-1] < 1e-8

    def test_a_run_shorter_than_its_warm_up_works(self) -> None:
        assert learning_rate(3, total=4, warmup=100, peak=1e-3) == pytest.approx(4e-5)

    @pytest.mark.parametrize("phase", MEDBERT.phases)
    def test_no_step_of_the_published_recipe_trains_nothing(self, phase: Phase) -> None:
        """Fault 1: the decay ended at step total - warm-up, so 28 % and 13 % of the steps ran at 1e-7."""
        assert phase.steps
        rates = [learning_rate(s, phase.steps, phase.warmup, phase.rate, phase.decay) for s in range(phase.steps + 1)]
        slope = phase.rate / (phase.steps - phase.warmup)
        assert rates[phase.steps - phase.warmup] > 100 * slope
        assert rates[phase.steps - 1] == pytest.approx(slope)
        assert rates[phase.steps] == 0
        assert all(rate > 0 for rate in rates[:-1])

    @pytest.mark.parametrize("decay", ["linear", "cosine"])
    def test_both_decays_go_from_peak_to_zero(self, decay: Decay) -> None:
        rates = [learning_rate(step, 50, 10, 2.0, decay) for step in range(10, 51)]
        assert rates[0] == 2.0
        assert rates[-1] == pytest.approx(0, abs=1e-12)
        assert all(before > after for before, after in pairwise(rates))


LENGTHS = np.random.default_rng(1).integers(3, 60, 500)


class TestPlan:
    @pytest.mark.parametrize("limit", [10, 64, 500, 100_000])
    def test_every_row_is_in_one_micro_batch_that_keeps_the_limit(self, limit: int) -> None:
        batches = micro_batches(LENGTHS, limit, np.random.default_rng(0))
        assert sorted(row for batch in batches for row in batch) == list(range(500))
        for batch in batches:
            assert len(batch) == 1 or len(batch) * LENGTHS[batch].max() <= limit

    def test_hardly_any_place_is_padding(self) -> None:
        batches = micro_batches(LENGTHS, 1024, np.random.default_rng(0))
        assert LENGTHS.sum() > 0.93 * sum(len(batch) * LENGTHS[batch].max() for batch in batches)

    def test_an_epoch_of_token_steps_has_every_row_once_and_the_next_in_another_order(self) -> None:
        plan = Plan(LENGTHS, Phase(64, 1e-3, 0, epochs=2, batch_tokens=1024), micro_tokens=256, seed=3)
        steps = list(plan.steps())
        assert len(steps) == plan.total == 2 * plan.per_epoch
        epochs = steps[: plan.per_epoch], steps[plan.per_epoch :]
        orders = [[row for step in epoch for batch in step for row in batch] for epoch in epochs]
        assert sorted(orders[0]) == sorted(orders[1]) == list(range(500))
        assert orders[0] != orders[1]
        assert max(len(step) for step in steps) == 4

    def test_a_step_of_sequences_has_exactly_as_many_and_none_is_lost_between_passes(self) -> None:
        plan = Plan(LENGTHS, Phase(64, 1e-3, 0, steps=20, sequences=75), micro_tokens=256, seed=3)
        steps = list(plan.steps())
        assert [sum(len(batch) for batch in step) for step in steps] == [75] * 20
        rows = [row for step in steps for batch in step for row in batch]
        assert [np.bincount(rows[:500], minlength=500).max(), np.bincount(rows, minlength=500).min()] == [1, 3]

    @pytest.mark.parametrize("phase", [Phase(64, 1, 0, steps=20, sequences=75), Phase(64, 1, 0, epochs=3)])
    def test_a_plan_goes_on_where_it_was_left(self, phase: Phase) -> None:
        plan = Plan(LENGTHS, phase, micro_tokens=256, seed=3)
        whole = [[batch.tolist() for batch in step] for step in plan.steps()]
        rest = [[batch.tolist() for batch in step] for step in plan.steps(start=7)]
        assert rest == whole[7:]


class TestLamb:
    def test_its_first_step_is_the_one_computed_by_hand(self) -> None:
        """Weight (3, 4), gradient (0.5, -2): m̂ / √v̂ = (1, -1), plus decay 0.1 · w = (1.3, -0.6), ratio 5 / √2.05."""
        weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
        weight.grad = torch.tensor([0.5, -2.0])
        Lamb([weight], lr=0.01, eps=0.0, weight_decay=0.1).step()
        ratio = 5 / math.sqrt(1.3**2 + 0.6**2)
        assert weight.tolist() == pytest.approx([3 - 0.01 * ratio * 1.3, 4 + 0.01 * ratio * 0.6])

    def test_its_second_step_is_the_one_computed_by_hand(self) -> None:
        """Gradients 1 and 2: m̂ = (0.9 · 0.1 + 0.2) / 0.19, v̂ = (0.99 · 0.01 + 0.04) / 0.0199; ratio |w| / |update|."""
        weight = torch.nn.Parameter(torch.tensor([[2.0]]))
        optimizer = Lamb([weight], lr=0.1, betas=(0.9, 0.99), eps=0.0, weight_decay=0.5)
        weight.grad = torch.tensor([[1.0]])
        optimizer.step()
        assert weight.item() == pytest.approx(2 - 0.1 * 2)  # with one number, the step is lr · |w|
        weight.grad = torch.tensor([[2.0]])
        optimizer.step()
        moment, square = (0.9 * 0.1 + 0.2) / 0.19, (0.99 * 0.01 + 0.01 * 4) / (1 - 0.99**2)
        update = moment / math.sqrt(square) + 0.5 * 1.8
        assert weight.item() == pytest.approx(1.8 - 0.1 * (1.8 / update) * update)

    def test_biases_take_the_plain_adam_step_without_decay(self) -> None:
        model = torch.nn.Linear(2, 1)
        model.bias.data.fill_(5.0)
        model.weight.data.zero_()
        optimizer = lamb(model, weight_decay=0.01)
        optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = 0.1
        model(torch.ones(3, 2)).sum().backward()
        optimizer.step()
        assert model.bias.item() == pytest.approx(4.9, abs=1e-5)
        assert model.weight.tolist()[0] == pytest.approx([-0.1, -0.1], abs=1e-5)  # zero weights: ratio 1

    def test_it_goes_on_from_its_state(self) -> None:
        torch.manual_seed(0)
        gradients = [torch.randn(4, 3) for _ in range(6)]
        straight, resumed = (torch.nn.Parameter(torch.ones(4, 3)) for _ in range(2))
        first, second = Lamb([straight]), Lamb([resumed])
        for number, gradient in enumerate(gradients):
            straight.grad, resumed.grad = gradient.clone(), gradient.clone()
            first.step()
            if number == 3:
                state, second = second.state_dict(), Lamb([resumed])
                second.load_state_dict(state)
            second.step()
        assert torch.equal(straight, resumed)

    def test_a_tensor_without_gradient_stays(self) -> None:
        weight = torch.nn.Parameter(torch.ones(2))
        Lamb([weight]).step()
        assert weight.tolist() == [1, 1]
