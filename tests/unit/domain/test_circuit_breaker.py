"""The circuit breaker state machine, with a fake clock."""

from __future__ import annotations

from gateway.domain.circuit_breaker import CLOSED, CircuitBreaker, SharedBreakerState

RESET = 30.0


def opened(at: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker(2, RESET)
    assert not breaker.record_failure(None, at, at)
    assert breaker.record_failure(None, at, at)
    return breaker


def test_it_opens_after_consecutive_failures() -> None:
    breaker = CircuitBreaker(2, RESET)
    breaker.record_failure(None, 0, 0)
    assert breaker.record_success(None)
    assert not breaker.record_failure(None, 0, 0)
    assert breaker.state(0) == "closed"
    assert breaker.record_failure(None, 0, 0)
    assert breaker.state(0) == "open"


def test_a_success_of_a_clean_breaker_changes_nothing() -> None:
    assert not CircuitBreaker(2, RESET).record_success(None)


def test_after_the_reset_time_one_probe_is_due() -> None:
    breaker = opened()
    assert (breaker.state(29.9), breaker.probe_due(29.9), breaker.seconds_until_probe(20)) == (
        "open",
        False,
        10,
    )
    assert (breaker.state(30), breaker.probe_due(30)) == ("half_open", True)
    breaker.probe = "mine"
    assert not breaker.probe_due(31)


def test_a_successful_probe_closes_and_a_failed_one_reopens() -> None:
    good, bad = opened(), opened()
    good.probe = bad.probe = "mine"
    assert good.record_success("mine")
    assert good.closed
    assert bad.record_failure("mine", 31, 31)
    assert (bad.state(60), bad.state(61), bad.opened_at) == ("open", "half_open", 31)


def test_calls_that_started_before_it_opened_are_ignored() -> None:
    breaker = opened()
    assert not breaker.record_success(None)
    assert not breaker.record_failure(None, 10, 10)
    assert breaker.retry_at == RESET


def test_another_workers_probe_blocks_until_it_expires() -> None:
    breaker = CircuitBreaker(2, RESET)
    breaker.apply_shared(SharedBreakerState(2, "half_open", seconds_until_probe=15, opened_at=5.0), 100)
    assert (breaker.state(101), breaker.probe_due(101), breaker.probe_due(115)) == ("half_open", False, True)


def test_a_shared_close_applies_unless_the_breaker_is_local_only() -> None:
    known, alone = opened(), opened()
    alone.local_only = True
    known.apply_shared(CLOSED, 1)
    alone.apply_shared(CLOSED, 1)
    assert known.closed
    assert not alone.closed


def test_failures_of_other_workers_count() -> None:
    breaker = CircuitBreaker(3, RESET)
    breaker.apply_shared(SharedBreakerState(failures=2), 0)
    assert breaker.record_failure(None, 0, 0)
