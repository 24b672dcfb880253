"""SQL of usage statistics, for records and for rolled-up slots.

A request starts with a call that no other call of it precedes by less than a quarter of an hour; it failed if
its last model call within such a period failed. Both follow from nearby rows alone, so partial sums add up to
the total, wherever a range is split.
"""

from __future__ import annotations

from gateway.domain.usage.latency_histogram import BUCKET_COUNT, BUCKET_EDGES
from gateway.domain.usage.reports import CACHED_OUTCOME, NON_ERROR_OUTCOMES

_OK_OUTCOMES = ", ".join(f"'{outcome}'" for outcome in NON_ERROR_OUTCOMES)
_EDGES = ", ".join(map(str, BUCKET_EDGES))
# Model calls that a client waits for; the latency of tools and guardrails is part of their request's.
_IS_MODEL_CALL = "kind IN ('chat', 'embedding', 'image') AND step IS NULL"
# Clients may send their own request ids, so the account is part of the key; numbers are several times cheaper
# to sort than texts.
_REQUEST = "coalesce(request_key, hashtextextended(request_id, coalesce(uuid_hash(user_id)::bigint, 0)))"


def _starts_group(*of: str) -> str:
    by = ", ".join(("request", "step IS NULL", *of))
    return f"""coalesce(created_at - lag(created_at) OVER (PARTITION BY {by} ORDER BY created_at, id)
                    >= :gap, true)"""


def _counts_cte(place: str) -> str:
    """CTE `counted`: by place, model, provider, kind and latency bucket."""
    return f"""
near AS (
    SELECT created_at, id, model, provider, kind, prompt_tokens, completion_tokens, cost_usd, outcome,
           latency_ms, cached_tokens, cache_write_tokens, reasoning_tokens,
           {_REQUEST} AS request, {_IS_MODEL_CALL} AS is_model_call, step
    FROM usage_records WHERE created_at >= :before AND created_at < :after
), marked AS (
    SELECT *, {_starts_group()} AS begins, {_starts_group("model", "provider")} AS begins_model,
           {_starts_group("kind")} AS begins_kind,
           coalesce(lead(created_at) OVER (PARTITION BY request, is_model_call ORDER BY created_at, id)
                    - created_at >= :gap, true) AS ends
    FROM near
), counted AS (
    SELECT {place} AS place, model, provider, kind,
           CASE WHEN is_model_call THEN width_bucket(latency_ms, ARRAY[{_EDGES}]) END AS bucket,
           count(*) AS calls,
           count(*) FILTER (WHERE step IS NULL AND outcome NOT IN ({_OK_OUTCOMES})) AS failed,
           count(*) FILTER (WHERE outcome = '{CACHED_OUTCOME}') AS cached,
           count(*) FILTER (WHERE step IS NULL AND begins) AS requests,
           count(*) FILTER (WHERE step IS NULL AND begins_model) AS requests_of_model,
           count(*) FILTER (WHERE step IS NULL AND begins_kind) AS requests_of_kind,
           count(*) FILTER (WHERE is_model_call AND ends AND outcome NOT IN ({_OK_OUTCOMES})) AS errors,
           sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
           sum(cost_usd) AS cost_usd, sum(cached_tokens) AS cached_tokens,
           sum(cache_write_tokens) AS cache_write_tokens, sum(reasoning_tokens) AS reasoning_tokens
    FROM marked WHERE created_at >= :start AND created_at < :end
    GROUP BY 1, 2, 3, 4, 5
)"""  # noqa: S608 - only this module's own words are put in


_SUMMED_COLUMNS = (
    "calls",
    "failed",
    "cached",
    "requests",
    "requests_of_model",
    "requests_of_kind",
    "errors",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_DAY = "timezone(:tz, {})::date"
_SUMS = ", ".join(f"sum({name})" for name in _SUMMED_COLUMNS)
_BY_BUCKET = ", ".join(
    f"coalesce(sum(calls) FILTER (WHERE bucket = {bucket}), 0)" for bucket in range(BUCKET_COUNT)
)
_BUCKET_SUMS = ", ".join(f"sum(latencies[{number}])" for number in range(1, BUCKET_COUNT + 1))

# :start :end :before :after (:start and :end with the gap around them) :gap :tz
SUM_RECORDS = f"""
WITH {_counts_cte(_DAY.format("created_at"))}
SELECT place, model, provider, kind, {", ".join(_SUMMED_COLUMNS)}, bucket FROM counted
"""  # noqa: S608 - as above

# :start :end :broken :tz
SUM_SLOTS = f"""
SELECT {_DAY.format("slot")}, model, provider, kind, {_SUMS},
       CASE WHEN count(latencies) > 0 THEN ARRAY[{_BUCKET_SUMS}] END
FROM usage_slots WHERE slot >= :start AND slot < :end AND slot <> ALL(:broken)
GROUP BY 1, 2, 3, 4
"""  # noqa: S608 - as above

# The parameters of SUM_RECORDS, without :tz
ROLL_UP = f"""
WITH {_counts_cte("date_bin('30 minutes', created_at, 'epoch')")}
INSERT INTO usage_slots (slot, model, provider, kind, {", ".join(_SUMMED_COLUMNS)}, latencies)
SELECT place, model, provider, kind, {_SUMS}, CASE WHEN count(bucket) > 0 THEN ARRAY[{_BY_BUCKET}]::int[] END
FROM counted GROUP BY 1, 2, 3, 4
"""  # noqa: S608 - as above

# :start :end. The accounts are locked first, as their deletion locks them first.
ROLL_UP_DAYS = """
WITH seen AS (
    SELECT timezone('UTC', slot)::date AS day, user_id,
           bit_or(1::bigint << (extract(epoch FROM slot)::bigint % 86400 / 1800)::int) AS slots
    FROM (SELECT DISTINCT date_bin('30 minutes', created_at, 'epoch') AS slot, user_id FROM usage_records
          WHERE created_at >= :start AND created_at < :end AND user_id IS NOT NULL) AS active
    GROUP BY 1, 2
), locked AS MATERIALIZED (
    SELECT id FROM users WHERE id IN (SELECT user_id FROM seen) ORDER BY id FOR KEY SHARE
)
INSERT INTO usage_days AS existing (day, user_id, slots)
SELECT day, user_id, slots FROM seen JOIN locked ON locked.id = user_id
ON CONFLICT (day, user_id) DO UPDATE SET slots = existing.slots | excluded.slots
WHERE existing.slots | excluded.slots <> existing.slots
"""

# Active accounts by day; NULL is the whole range.
# :days :utc_days :masks (parallel arrays) :starts :ends (unrolled spans, parallel arrays) :tz
COUNT_USERS = f"""
WITH seen AS (
    SELECT of.day, existing.user_id
    FROM unnest(CAST(:days AS date[]), CAST(:utc_days AS date[]), CAST(:masks AS bigint[]))
             AS of (day, utc_day, mask)
    JOIN usage_days existing ON existing.day = of.utc_day AND existing.slots & of.mask <> 0
    UNION
    SELECT {_DAY.format("created_at")}, user_id
    FROM unnest(CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[])) AS piece (start, ending),
         LATERAL (SELECT created_at, user_id FROM usage_records
                  WHERE created_at >= piece.start AND created_at < piece.ending
                        AND user_id IS NOT NULL) AS row
)
SELECT day, count(DISTINCT user_id) FROM seen GROUP BY GROUPING SETS ((), (day))
"""  # noqa: S608 - as above

# :start :end :most
ROLL_UP_SLOWEST = f"""
INSERT INTO usage_slowest (slot, id, created_at, latency_ms)
SELECT slot, id, created_at, latency_ms
FROM (SELECT *, row_number() OVER (PARTITION BY slot ORDER BY latency_ms DESC, id) AS place
      FROM (SELECT date_bin('30 minutes', created_at, 'epoch') AS slot, id, created_at, latency_ms
            FROM usage_records
            WHERE created_at >= :start AND created_at < :end AND {_IS_MODEL_CALL}) AS calls) AS ranked
WHERE place <= :most
"""  # noqa: S608 - as above

# :start :end :broken :starts :ends :most
SLOWEST_CALLS = f"""
WITH found AS (
    SELECT id, created_at, latency_ms FROM usage_slowest
    WHERE slot >= :start AND slot < :end AND slot <> ALL(:broken)
    UNION ALL
    SELECT row.*
    FROM unnest(CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[])) AS piece (start, ending),
        LATERAL (SELECT id, created_at, latency_ms FROM usage_records
                 WHERE created_at >= piece.start AND created_at < piece.ending AND {_IS_MODEL_CALL}
                 ORDER BY latency_ms DESC LIMIT :most) AS row
), slowest AS MATERIALIZED (
    SELECT id, created_at FROM found ORDER BY latency_ms DESC, id LIMIT :most
)
SELECT call.id, call.created_at, call.user_id, call.api_key_id, call.request_id, call.kind, call.model,
       call.provider, call.prompt_tokens, call.completion_tokens, call.cost_usd, call.outcome,
       call.latency_ms, call.cached_tokens, call.cache_write_tokens, call.reasoning_tokens,
       call.upstream_status, call.upstream_reason, users.email
FROM slowest JOIN usage_records call ON call.id = slowest.id AND call.created_at = slowest.created_at
LEFT JOIN users ON users.id = call.user_id
ORDER BY call.latency_ms DESC, call.id
"""  # noqa: S608 - as above
