"""The formulas of agreement against scikit-learn, the reference library for alpha, and worked examples."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from medbertde import agreement
from medbertde.agreement import MISSING
from medbertde.bootstrap import interval, median_difference, resamples


def readings(reports: int, readers: int, *, missing: float = 0.0, seed: int = 0) -> agreement.Ints:
    """Readers who mostly say what is true, four values."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, size=reports, p=[0.1, 0.05, 0.25, 0.6])
    noise = rng.random((reports, readers)) < 0.25
    said = np.where(noise, rng.integers(0, 4, (reports, readers)), truth[:, None])
    return np.where(rng.random((reports, readers)) < missing, MISSING, said)


@pytest.mark.parametrize(("readers", "missing"), [(2, 0.0), (2, 0.3), (3, 0.0), (4, 0.4)])
def test_alpha_is_that_of_the_reference_library(readers: int, missing: float) -> None:
    said = readings(60, readers, missing=missing)
    counts = agreement.together(said, 4).sum(axis=0)
    values = np.where(said == MISSING, np.nan, said).T
    expected = krippendorff.alpha(reliability_data=values, value_domain=[0, 1, 2, 3], level_of_measurement="nominal")
    assert agreement.alpha(counts) == pytest.approx(expected)


def test_of_two_readers_the_symmetric_table_gives_the_same_raw_share_and_ac1() -> None:
    said = readings(80, 2)
    pair = agreement.pair_cells(said[:, [0]], said[:, [1]], 4).sum(axis=0)
    both = agreement.together(said, 4).sum(axis=0)
    assert agreement.raw(both) == pytest.approx(agreement.raw(pair)) == pytest.approx((said[:, 0] == said[:, 1]).mean())
    assert agreement.ac1(both) == pytest.approx(agreement.ac1(pair))
    assert agreement.kappa(pair) == pytest.approx(cohen_kappa_score(said[:, 0], said[:, 1]))


def test_gwets_example_of_high_agreement_on_a_rare_finding() -> None:
    """Gwet 2008: 118 of 125 twice positive; kappa collapses, AC1 does not."""
    counts = np.array([[118.0, 5.0], [2.0, 0.0]])
    assert agreement.ac1(counts) == pytest.approx(0.941, abs=5e-4)
    assert agreement.kappa(counts) == pytest.approx(-0.023, abs=5e-4)


def test_ac1_of_more_readers_is_gwets_where_some_have_not_read_a_report() -> None:
    """By hand: three readers of two values, four reports, of which the last has one reading and is left out.

    a = (1 + 1/3 + 1) / 3 = 7/9. π₀ = (1 + 2/3 + 0) / 3 = 5/9, e = 2 · 5/9 · 4/9 = 40/81. (7/9 − e) / (1 − e) = 23/41.
    """
    said = np.array([[0, 0, 0], [0, 0, 1], [1, MISSING, 1], [0, MISSING, MISSING]])
    counts = agreement.alike(agreement.together(said, 2)).sum(axis=0)
    assert agreement.raw(counts) == pytest.approx(7 / 9)
    assert agreement.ac1(counts) == pytest.approx(23 / 41)


def test_of_two_readers_all_reports_weigh_alike_already() -> None:
    cells = agreement.together(readings(60, 2, missing=0.3), 4)
    assert agreement.alike(cells).tolist() == cells.tolist()


def test_a_reader_who_has_not_read_a_report_adds_nothing() -> None:
    said = np.array([[0, 0], [1, MISSING], [MISSING, MISSING]])
    assert agreement.together(said, 2).sum(axis=0).tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert agreement.pair_cells(said[:, [0]], said[:, [1]], 2).sum() == 1


def test_where_all_say_one_value_chance_correction_is_undefined_and_ac1_is_one() -> None:
    counts = np.array([[0.0, 0.0], [0.0, 12.0]])
    assert np.isnan(agreement.kappa(counts))
    assert np.isnan(agreement.alpha(counts))
    assert (agreement.raw(counts), agreement.ac1(counts)) == (1.0, 1.0)
    assert np.isnan(agreement.raw(np.zeros((2, 2))))


def test_an_interval_holds_its_figure_and_narrows_with_more_reports() -> None:
    widths = []
    for reports in (20, 500):
        weights = resamples(reports, 500, seed=1)
        found = interval(agreement.raw(agreement.weighted(agreement.together(readings(reports, 2), 4), weights)))
        assert found is not None
        assert found.low <= found.value <= found.high
        widths.append(found.high - found.low)
    assert widths[1] < widths[0]


def test_a_difference_of_medians_that_is_there_excludes_zero() -> None:
    rng = np.random.default_rng(0)
    found = median_difference(rng.normal(30, 4, 60), rng.normal(20, 4, 200))
    assert found is not None
    assert 0 < found.low < found.value < found.high
    assert median_difference(np.array([]), np.array([1.0])) is None
