"""Reserving and settling, as parts of the statements that open and end a turn.

A day or month only ever moves forward: a statement that waited for a lock over midnight must not bring
yesterday back. What is reserved stays so over midnight: a turn is charged to the day on which it ends.
"""

from __future__ import annotations

_TODAY = "(now() AT TIME ZONE 'UTC')::date"
_THIS_MONTH = "date_trunc('month', now() AT TIME ZONE 'UTC')::date"
_TOKENS_USED = f"CASE WHEN b.day < {_TODAY} THEN 0 ELSE b.tokens_used END"
_USD_USED = f"CASE WHEN b.month < {_THIS_MONTH} THEN 0 ELSE b.usd_used END"

GRANTED_COLUMNS = (
    "granted.tokens_used, granted.tokens_reserved, granted.usd_used, granted.usd_reserved,"
    " granted.user_id IS NOT NULL AS granted"
)


def granted(user: str, first: int, source: str | None = None) -> str:
    """CTE `granted`: the budget's row once a reservation fits into it, else no row and no change.

    One conditional statement on one row, so that no race can reserve more than there is.

    Args:
        user: the argument that holds the account.
        first: number of the first of five: reservation's id, tokens, dollars, tokens a day and dollars a
            month (NULL: unlimited).
        source: a CTE; nothing is reserved where it has no row.
    """
    tokens, usd, token_limit, usd_limit = (f"${first + offset}" for offset in range(1, 5))
    types = (tokens, "bigint"), (usd, "numeric"), (token_limit, "bigint"), (usd_limit, "numeric")
    tokens, usd, token_limit, usd_limit = (f"{name}::{kind}" for name, kind in types)
    return f"""granted AS (
    INSERT INTO budgets AS b (user_id, day, tokens_used, tokens_reserved, month, usd_used, usd_reserved)
    SELECT {user}, {_TODAY}, 0, {tokens}, {_THIS_MONTH}, 0, {usd} {f"FROM {source}" if source else ""}
    WHERE ({token_limit} IS NULL OR {tokens} <= {token_limit})
      AND ({usd_limit} IS NULL OR {usd} <= {usd_limit})
    ON CONFLICT (user_id) DO UPDATE
    SET day = greatest(b.day, excluded.day), month = greatest(b.month, excluded.month),
        tokens_used = {_TOKENS_USED}, usd_used = {_USD_USED},
        tokens_reserved = b.tokens_reserved + excluded.tokens_reserved,
        usd_reserved = b.usd_reserved + excluded.usd_reserved
    WHERE ({token_limit} IS NULL
           OR {_TOKENS_USED} + b.tokens_reserved + excluded.tokens_reserved <= {token_limit})
      AND ({usd_limit} IS NULL OR {_USD_USED} + b.usd_reserved + excluded.usd_reserved <= {usd_limit})
    RETURNING b.user_id, b.tokens_used, b.tokens_reserved, b.usd_used, b.usd_reserved
)"""  # noqa: S608 - only numbers of arguments and our own names are put in


def leased(user: str, seconds: str, first: int) -> str:
    """CTE `leased`: the reservation's own row, where it was granted; arguments as of `granted`."""
    return f"""leased AS (
    INSERT INTO reservations (id, user_id, tokens, usd, expires_at)
    SELECT ${first}, {user}, ${first + 1}::bigint, ${first + 2}::numeric,
           now() + make_interval(secs => {seconds})
    FROM granted
)"""  # noqa: S608 - as above


def settled(user: str, reservation: str, after: str | None = None) -> str:
    """CTEs and the statement that gives a reservation back and charges the rows of CTE `spent` to `account`.

    An account without limits reserves nothing, so its row may be made here. Safe to repeat: what was given
    back has no row any more, what was charged is not in `spent` again.

    Args:
        after: a CTE whose locks have to be taken before the budget's.
    """
    wait = f"WHERE (SELECT count(*) FROM {after}) >= 0" if after else ""  # noqa: S608 - as above
    return f"""returned AS (
    DELETE FROM reservations r WHERE r.id = {reservation}::uuid AND r.user_id = {user}::uuid
    RETURNING r.tokens, r.usd
), charge AS MATERIALIZED (
    SELECT coalesce((SELECT sum(tokens) FROM spent), 0) AS tokens,
           coalesce((SELECT sum(cost_usd) FROM spent), 0) AS usd,
           coalesce((SELECT sum(tokens) FROM returned), 0) AS tokens_back,
           coalesce((SELECT sum(usd) FROM returned), 0) AS usd_back {wait}
)
INSERT INTO budgets AS b (user_id, day, tokens_used, tokens_reserved, month, usd_used, usd_reserved)
SELECT account.id, {_TODAY}, charge.tokens, 0, {_THIS_MONTH}, charge.usd, 0
FROM charge CROSS JOIN account
ON CONFLICT (user_id) DO UPDATE
SET day = greatest(b.day, excluded.day), month = greatest(b.month, excluded.month),
    tokens_used = {_TOKENS_USED} + excluded.tokens_used, usd_used = {_USD_USED} + excluded.usd_used,
    tokens_reserved = b.tokens_reserved - (SELECT tokens_back FROM charge),
    usd_reserved = b.usd_reserved - (SELECT usd_back FROM charge)"""  # noqa: S608 - as above


# $1 user $2 lease in seconds $3 reservation, then as of `granted`; no row where it does not fit
RESERVE = f"""
WITH {granted("$1", 3)}, {leased("$1", "$2", 3)}
SELECT {GRANTED_COLUMNS} FROM granted
"""  # noqa: S608 - as above

# $1 user; no row where the account has gone
STATE = f"""
SELECT coalesce({_TOKENS_USED}, 0) AS tokens_used, coalesce(b.tokens_reserved, 0) AS tokens_reserved,
       coalesce({_USD_USED}, 0) AS usd_used, coalesce(b.usd_reserved, 0) AS usd_reserved
FROM users LEFT JOIN budgets b ON b.user_id = users.id WHERE users.id = $1
"""  # noqa: S608 - as above

# Two sweepers that update several budgets each could wait for one another: one is enough. Rows that someone
# holds are being settled or deleted; nothing here waits for them, so that nobody waits in a circle.
RETURN_EXPIRED = """
WITH held AS MATERIALIZED (
    SELECT b.user_id FROM budgets b
    WHERE (SELECT pg_try_advisory_xact_lock(hashtext('return_expired_reservations')))
      AND b.user_id IN (SELECT user_id FROM reservations WHERE expires_at < now())
    FOR NO KEY UPDATE SKIP LOCKED
), expired AS MATERIALIZED (
    SELECT r.id FROM reservations r JOIN held ON held.user_id = r.user_id
    WHERE r.expires_at < now()
    FOR UPDATE OF r SKIP LOCKED
), returned AS (
    DELETE FROM reservations r USING expired WHERE r.id = expired.id RETURNING r.user_id, r.tokens, r.usd
), sums AS (
    SELECT user_id, sum(tokens) AS tokens, sum(usd) AS usd FROM returned GROUP BY user_id
), given_back AS (
    UPDATE budgets b
    SET tokens_reserved = b.tokens_reserved - sums.tokens, usd_reserved = b.usd_reserved - sums.usd
    FROM sums WHERE b.user_id = sums.user_id
)
SELECT count(*) FROM returned
"""
