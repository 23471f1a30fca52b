"""How soon a dead worker is started again."""

from wrangler_py.runtime.backoff import HEALTHY, LONGEST, Backoff


def test_the_first_death_costs_nothing_and_each_in_a_row_twice_as_much():
    backoff = Backoff()
    assert [backoff.died(0.0) for _ in range(5)] == [0, 0.25, 0.5, 1.0, 2.0]
    assert max(backoff.died(0.0) for _ in range(10)) == LONGEST


def test_a_worker_that_was_well_or_new_code_begins_anew():
    backoff = Backoff()
    for _ in range(3):
        backoff.died(0.0)
    assert backoff.died(HEALTHY) == 0
    assert backoff.died(0.0) == 0
    backoff.died(0.0)
    backoff.forget()
    assert backoff.died(0.0) == 0
