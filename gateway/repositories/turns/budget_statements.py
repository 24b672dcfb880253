"""SQL for reserving and settling, used by statements that open and close turns.

The day and month of a budget only move forward: a statement that waited for a lock over midnight must not
reset them. Reservations stay over midnight: a turn is charged to the day on which it ends.
"""

from __future__ import annotations

from typing import NamedTuple

_TODAY = "(now() AT TIME ZONE 'UTC')::date"
_THIS_MONTH = "date_trunc('month', now() AT TIME ZONE 'UTC')::date"
_TOKENS_USED = f"CASE WHEN b.day < {_TODAY} THEN 0 ELSE b.tokens_used END"
_USD_USED = f"CASE WHEN b.month < {_THIS_MONTH} THEN 0 ELSE b.usd_used END"

GRANTED_COLUMNS = (
    "granted.tokens_used, granted.tokens_reserved, granted.usd_used, granted.usd_reserved,"
    " granted.stored_bytes, granted.user_id IS NOT NULL AS granted, wanted.tokens AS granted_tokens,"
    " wanted.usd AS granted_usd, wanted.spare_tokens"
)
# Arguments of a reservation: id, tokens, dollars, tokens per day and dollars per month (NULL: unlimited),
# spare tokens and spare dollars.
_TYPES = ("uuid", "bigint", "numeric", "bigint", "numeric", "bigint", "numeric")


def reservation_ctes(
    user: str,
    first: int,
    source: str | None = None,
    history: str | None = None,
    *,
    stored: str = "0",
    storage_limit: str = "NULL",
) -> str:
    """CTEs `wanted` and `granted`: the budget's row if the reservation fits.

    One conditional statement on one row, so that concurrent requests cannot reserve more than the limit.
    Spare tokens are reserved up to half of the remainder, spare dollars up to an eighth: generated images
    reserve separately. An account without a row has its full limits left.

    Args:
        user: the argument that holds the account.
        first: number of the first argument of the reservation.
        source: a CTE; nothing is reserved if it has no row.
        history: a CTE of one row, whose `tokens` and `usd` are reserved in addition.
        stored: bytes to store.
        storage_limit: maximum stored bytes of the account (NULL: unlimited).
    """
    limits = _arguments(first)
    stored, storage_limit = f"{stored}::bigint", f"{storage_limit}::bigint"
    return f"""{_wanted_ctes(user, first, source, history)}, granted AS (
    INSERT INTO budgets AS b
        (user_id, day, tokens_used, tokens_reserved, month, usd_used, usd_reserved, stored_bytes)
    SELECT {user}, {_TODAY}, 0, wanted.tokens, {_THIS_MONTH}, 0, wanted.usd, {stored} FROM wanted
    WHERE ({limits.tokens_per_day} IS NULL OR wanted.tokens <= {limits.tokens_per_day})
      AND ({limits.usd_per_month} IS NULL OR wanted.usd <= {limits.usd_per_month})
      AND ({storage_limit} IS NULL OR {stored} <= {storage_limit})
    ON CONFLICT (user_id) DO UPDATE
    SET day = greatest(b.day, excluded.day), month = greatest(b.month, excluded.month),
        tokens_used = {_TOKENS_USED}, usd_used = {_USD_USED},
        tokens_reserved = b.tokens_reserved + excluded.tokens_reserved,
        usd_reserved = b.usd_reserved + excluded.usd_reserved,
        stored_bytes = b.stored_bytes + excluded.stored_bytes
    WHERE ({limits.tokens_per_day} IS NULL
           OR {_TOKENS_USED} + b.tokens_reserved + excluded.tokens_reserved <= {limits.tokens_per_day})
      AND ({limits.usd_per_month} IS NULL
           OR {_USD_USED} + b.usd_reserved + excluded.usd_reserved <= {limits.usd_per_month})
      AND ({storage_limit} IS NULL OR b.stored_bytes + excluded.stored_bytes <= {storage_limit})
    RETURNING b.user_id, b.tokens_used, b.tokens_reserved, b.usd_used, b.usd_reserved, b.stored_bytes
)"""  # noqa: S608 - only numbers of arguments and our own names are put in


class _ReservationArguments(NamedTuple):
    """References to the arguments of a reservation, with their types."""

    id: str
    tokens: str
    usd: str
    tokens_per_day: str
    usd_per_month: str
    spare_tokens: str
    spare_usd: str


def _arguments(first: int) -> _ReservationArguments:
    return _ReservationArguments(*(f"${first + offset}::{kind}" for offset, kind in enumerate(_TYPES)))


def _wanted_ctes(user: str, first: int, source: str | None, history: str | None) -> str:
    """CTEs `budget`, `needed` and `wanted`: the amounts to reserve.

    They include the history and the spare amounts.
    """
    arguments = _arguments(first)
    source_exists = f"AND (SELECT count(*) FROM {source}) > 0" if source else ""  # noqa: S608 - as above
    earlier = f"{history}.tokens AS tokens, {history}.usd AS usd" if history else "0 AS tokens, 0 AS usd"
    tables = ", ".join(name for name in (source, history) if name)
    return f"""budget AS MATERIALIZED (
    SELECT {_TOKENS_USED} + b.tokens_reserved AS tokens, {_USD_USED} + b.usd_reserved AS usd
    FROM budgets b WHERE b.user_id = {user} {source_exists} FOR NO KEY UPDATE
), needed AS MATERIALIZED (
    SELECT {arguments.tokens} + earlier.tokens AS tokens, {arguments.usd} + earlier.usd AS usd
    FROM (SELECT {earlier} {f"FROM {tables}" if tables else ""}) AS earlier
), wanted AS MATERIALIZED (
    SELECT needed.tokens + spare.tokens AS tokens, needed.usd + spare.usd AS usd,
           spare.tokens AS spare_tokens
    FROM needed LEFT JOIN budget ON true CROSS JOIN LATERAL (
        SELECT greatest(0, least({arguments.spare_tokens},
                   ({arguments.tokens_per_day} - coalesce(budget.tokens, 0) - needed.tokens) / 2)) AS tokens,
               greatest(0, least({arguments.spare_usd},
                   ({arguments.usd_per_month} - coalesce(budget.usd, 0) - needed.usd) / 8)) AS usd
    ) AS spare
)"""  # noqa: S608 - as above


def lease_cte(user: str, seconds: str, first: int) -> str:
    """CTE `leased`: the reservation's own row, if it was granted.

    The arguments are those of `reservation_ctes`, followed by the bill.
    """
    return f"""leased AS (
    INSERT INTO reservations (id, user_id, tokens, usd, expires_at, bill)
    SELECT ${first}, {user}, wanted.tokens, wanted.usd, now() + make_interval(secs => {seconds}),
           ${first + len(_TYPES)}::jsonb
    FROM granted, wanted
)"""  # noqa: S608 - as above


def settlement(user: str, reservation: str, after: str | None = None) -> str:
    """CTEs and statement that release a reservation and charge CTE `spent`.

    An account without limits reserves nothing, so its budget row may be created here. Safe to repeat: a
    released reservation has no row, and charged usage is not in `spent` again.

    Args:
        after: a CTE whose locks must be taken before the budget's; its `stored_bytes` are added.
    """
    wait = f"WHERE (SELECT count(*) FROM {after}) >= 0" if after else ""  # noqa: S608 - as above
    stored = f"coalesce((SELECT sum(stored_bytes) FROM {after}), 0)" if after else "0"  # noqa: S608 - as above
    return f"""released_reservation AS (
    DELETE FROM reservations r WHERE r.id = {reservation}::uuid AND r.user_id = {user}::uuid
    RETURNING r.tokens, r.usd
), charge AS MATERIALIZED (
    SELECT coalesce((SELECT sum(tokens) FROM spent), 0) AS tokens,
           coalesce((SELECT sum(cost_usd) FROM spent), 0) AS usd,
           coalesce((SELECT sum(tokens) FROM released_reservation), 0) AS tokens_released,
           coalesce((SELECT sum(usd) FROM released_reservation), 0) AS usd_released,
           {stored} AS stored {wait}
)
INSERT INTO budgets AS b
    (user_id, day, tokens_used, tokens_reserved, month, usd_used, usd_reserved, stored_bytes)
SELECT account.id, {_TODAY}, charge.tokens, 0, {_THIS_MONTH}, charge.usd, 0, charge.stored
FROM charge CROSS JOIN account
ON CONFLICT (user_id) DO UPDATE
SET day = greatest(b.day, excluded.day), month = greatest(b.month, excluded.month),
    tokens_used = {_TOKENS_USED} + excluded.tokens_used, usd_used = {_USD_USED} + excluded.usd_used,
    tokens_reserved = b.tokens_reserved - (SELECT tokens_released FROM charge),
    usd_reserved = b.usd_reserved - (SELECT usd_released FROM charge),
    stored_bytes = b.stored_bytes + excluded.stored_bytes"""  # noqa: S608 - as above


# $1 user $2 lease in seconds $3 reservation, then as for `lease_cte`, $11 storage limit. No row if it does
# not fit.
RESERVE = f"""
WITH {reservation_ctes("$1", 3, storage_limit="$11")}, {lease_cte("$1", "$2", 3)}
SELECT {GRANTED_COLUMNS} FROM granted, wanted
"""  # noqa: S608 - as above

# $1 user, then the existing reservation and its increase, as for `reservation_ctes`. No row if that does not
# fit or the reservation was released.
EXTEND_RESERVATION = f"""
WITH existing AS (
    SELECT id FROM reservations WHERE id = $2 AND user_id = $1 FOR UPDATE
), {reservation_ctes("$1", 2, "existing")}, extended AS (
    UPDATE reservations r SET tokens = r.tokens + wanted.tokens, usd = r.usd + wanted.usd
    FROM existing, granted, wanted WHERE r.id = existing.id
)
SELECT {GRANTED_COLUMNS} FROM granted, wanted
"""  # noqa: S608 - as above

# $1 user. No row if the account was deleted.
GET_BUDGET = f"""
SELECT coalesce({_TOKENS_USED}, 0) AS tokens_used, coalesce(b.tokens_reserved, 0) AS tokens_reserved,
       coalesce({_USD_USED}, 0) AS usd_used, coalesce(b.usd_reserved, 0) AS usd_reserved,
       coalesce(b.stored_bytes, 0) AS stored_bytes
FROM users LEFT JOIN budgets b ON b.user_id = users.id WHERE users.id = $1
"""  # noqa: S608 - as above

# Only one maintenance job runs this at a time, because two that update several budgets each could deadlock.
# Locked rows are being settled or deleted and are skipped, which also avoids deadlocks. The bills are
# charged: the process died, but the providers charge for its calls.
RELEASE_EXPIRED = f"""
WITH accounts AS MATERIALIZED (
    SELECT u.id FROM users u
    WHERE (SELECT pg_try_advisory_xact_lock(hashtext('return_expired_reservations')))
      AND u.id IN (SELECT user_id FROM reservations WHERE expires_at < now())
    FOR KEY SHARE SKIP LOCKED
), locked AS MATERIALIZED (
    SELECT b.user_id FROM budgets b JOIN accounts ON accounts.id = b.user_id
    FOR NO KEY UPDATE OF b SKIP LOCKED
), expired AS MATERIALIZED (
    SELECT r.id FROM reservations r JOIN locked ON locked.user_id = r.user_id
    WHERE r.expires_at < now()
    FOR UPDATE OF r SKIP LOCKED
), released AS (
    DELETE FROM reservations r USING expired WHERE r.id = expired.id
    RETURNING r.user_id, r.tokens, r.usd, r.bill
), spent AS (
    INSERT INTO usage_records
        (user_id, api_key_id, request_id, message_id, request_key, id, created_at, kind, model, provider,
         prompt_tokens, completion_tokens, cost_usd, outcome, latency_ms, step)
    SELECT released.user_id, (bill ->> 'api_key_id')::uuid, bill ->> 'request_id',
           (bill ->> 'message_id')::uuid, (bill ->> 'request_key')::bigint, call.*
    FROM released, jsonb_to_recordset(released.bill -> 'calls') AS call (
        id uuid, created_at timestamptz, kind text, model text, provider text, prompt_tokens int,
        completion_tokens int, cost_usd numeric, outcome text, latency_ms int, step text)
    ON CONFLICT DO NOTHING
    RETURNING user_id, prompt_tokens + completion_tokens AS tokens, cost_usd
), sums AS (
    SELECT user_id, sum(tokens) AS tokens, sum(usd) AS usd FROM released GROUP BY user_id
), costs AS (
    SELECT user_id, sum(tokens) AS tokens, sum(cost_usd) AS usd FROM spent GROUP BY user_id
), updated AS (
    UPDATE budgets b
    SET day = greatest(b.day, {_TODAY}), month = greatest(b.month, {_THIS_MONTH}),
        tokens_used = {_TOKENS_USED} + coalesce(costs.tokens, 0),
        usd_used = {_USD_USED} + coalesce(costs.usd, 0),
        tokens_reserved = b.tokens_reserved - sums.tokens, usd_reserved = b.usd_reserved - sums.usd
    FROM sums LEFT JOIN costs ON costs.user_id = sums.user_id WHERE b.user_id = sums.user_id
)
SELECT count(*) FROM released
"""  # noqa: S608 - as above
