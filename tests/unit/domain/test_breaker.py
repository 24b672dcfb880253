"""The state machine of a breaker, by a clock that the test turns."""

from __future__ import annotations

from gateway.domain.breaker import CLOSED, Breaker, SharedBreaker

RESET = 30.0


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(2, RESET)
    assert not breaker.fail(None, at, at)
    assert breaker.fail(None, at, at)
    return breaker


def test_it_opens_after_failures_in_a_row_and_a_success_starts_the_row_anew() -> None:
    breaker = Breaker(2, RESET)
    breaker.fail(None, 0, 0)
    assert breaker.succeed(None)
    assert not breaker.fail(None, 0, 0)
    assert breaker.state(0) == "closed"
    assert breaker.fail(None, 0, 0)
    assert breaker.state(0) == "open"


def test_a_success_with_nothing_to_forget_changes_nothing() -> None:
    assert not Breaker(2, RESET).succeed(None)


def test_after_its_time_it_is_half_open_and_due_for_one_probe() -> None:
    breaker = opened()
    assert (breaker.state(29.9), breaker.due(29.9), breaker.wait(20)) == ("open", False, 10)
    assert (breaker.state(30), breaker.due(30)) == ("half_open", True)
    breaker.probe = "mine"
    assert not breaker.due(31)


def test_a_good_probe_closes_and_a_bad_one_opens_anew() -> None:
    good, bad = opened(), opened()
    good.probe = bad.probe = "mine"
    assert good.succeed("mine")
    assert good.closed
    assert bad.fail("mine", 31, 31)
    assert (bad.state(60), bad.state(61), bad.opened_at) == ("open", "half_open", 31)


def test_calls_that_began_before_it_opened_tell_nothing_of_it() -> None:
    breaker = opened()
    assert not breaker.succeed(None)
    assert not breaker.fail(None, 10, 10)
    assert breaker.retry_at == RESET


def test_a_probe_of_another_worker_is_waited_for_as_long_as_it_is_held() -> None:
    breaker = Breaker(2, RESET)
    breaker.adopt(SharedBreaker(2, "half_open", wait=15, opened_at=5.0), 100)
    assert (breaker.state(101), breaker.due(101), breaker.due(115)) == ("half_open", False, True)


def test_what_others_closed_is_closed_unless_only_this_worker_knew() -> None:
    known, alone = opened(), opened()
    alone.alone = True
    known.adopt(CLOSED, 1)
    alone.adopt(CLOSED, 1)
    assert known.closed
    assert not alone.closed


def test_failures_that_others_saw_count_here() -> None:
    breaker = Breaker(3, RESET)
    breaker.adopt(SharedBreaker(failures=2), 0)
    assert breaker.fail(None, 0, 0)
