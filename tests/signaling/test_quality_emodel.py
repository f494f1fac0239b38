"""The E-model gives the numbers of ITU-T G.107."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.quality import emodel


@pytest.mark.parametrize(
    ("r", "mos"), [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)]
)
def test_ratings_have_the_scores_of_table_b_1(r: float, mos: float) -> None:
    assert emodel.mos(r) == pytest.approx(mos, abs=0.01)


def test_without_delay_and_loss_the_rating_is_the_default_of_g_107() -> None:
    assert emodel.rating(0.0, 0.0) == 93.2
    assert emodel.mos(93.2) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(("one_way_ms", "idd"), [(100, 0.0), (200, 3.04), (400, 24.07)])
def test_delay_costs_what_the_formula_of_idd_says(one_way_ms: float, idd: float) -> None:
    # X is 0, 1 and 2: worked out by hand.
    assert emodel.delay_impairment(one_way_ms) == pytest.approx(idd, abs=0.01)


def test_g_729_a_with_two_percent_loss_is_as_planned_with_g_113() -> None:
    # Appendix I: Ie 11, Bpl 19: 11 + 84 * 2 / 21.
    assert emodel.loss_impairment(0.02, ie=11.0, bpl=19.0) == pytest.approx(19.0)


def test_the_ends_of_the_scale() -> None:
    assert (emodel.mos(0.0), emodel.mos(6.4), emodel.mos(100.0)) == (1.0, 1.0, 4.5)
    assert emodel.rating(10_000.0, 1.0) == 0.0


@given(st.floats(0, 60_000), st.floats(0, 1), st.floats(0, 60_000), st.floats(0, 1))
def test_more_delay_or_loss_is_never_better(
    delay: float, loss: float, more_delay: float, more_loss: float
) -> None:
    worse = emodel.rating(max(delay, more_delay), max(loss, more_loss))

    assert emodel.mos(worse) <= emodel.mos(emodel.rating(delay, loss)) + 1e-9
    assert 1.0 <= emodel.mos(worse) <= 4.5
