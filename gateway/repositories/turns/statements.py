"""SQL statements of `TurnRepository`.

Every statement takes its locks in one order (account, conversation, message, reservation, budget), so that no
two of them deadlock, nor one of them with the deletion of an account. PostgreSQL runs CTEs in the order in
which they depend on each other: `(SELECT count(*) FROM x) >= 0` makes one depend on `x`.
"""

from __future__ import annotations

from gateway.repositories.turns.budget_statements import (
    GRANTED_COLUMNS,
    lease_cte,
    reservation_ctes,
    settlement,
)

# $1 conversation $2 user $3 question id $4 answer id $5 question $6 metadata $7 lease in seconds,
# then the reservation: $8 id $9 tokens $10 dollars $11 tokens per day $12 dollars per month $13 spare tokens
# $14 spare dollars $15 bill
_RESERVATION_ARGS = 8


def _account_cte(user: str) -> str:
    """CTE `account`: locks the account against deletion, before anything else."""
    return f"account AS (SELECT id FROM users WHERE id = {user} FOR KEY SHARE)"  # noqa: S608 - as below


# then $16 title $17 model $18 system $19 request $20 bytes of the question $21 including the system prompt
# $22 storage limit. No row if the budget is used up or the account was deleted.
OPEN_IN_NEW_CONVERSATION = f"""
WITH {_account_cte("$2")},
{reservation_ctes("$2", _RESERVATION_ARGS, "account", stored="$21", storage_limit="$22")},
{lease_cte("$2", "$7", _RESERVATION_ARGS)}, opened AS (
    INSERT INTO conversations
        (id, user_id, title, model, system, head_id, lock_token, running_message_id, running_until)
    SELECT $1, $2, $16, $17, $18, $4, 1, $4, now() + make_interval(secs => $7) FROM granted
    RETURNING created_at
), written AS (
    INSERT INTO messages
        (id, conversation_id, user_id, parent_id, role, content, status, metadata, completed_at, request,
         stored_bytes)
    SELECT new.id, $1, $2, new.parent_id, new.role, new.content, new.status, new.metadata, new.completed_at,
           new.request, new.stored_bytes
    FROM granted,
         (VALUES ($3::uuid, NULL::uuid, 'user', $5, 'complete', $6::jsonb, now(), $19::jsonb,
                  $20::int),
                 ($4::uuid, $3::uuid, 'assistant', '', 'pending', '{{}}'::jsonb, NULL::timestamptz, NULL,
                  0))
         AS new (id, parent_id, role, content, status, metadata, completed_at, request, stored_bytes)
)
SELECT created_at, {GRANTED_COLUMNS} FROM opened, granted, wanted
"""  # noqa: S608 - as below

# More than any model's context window; mostly images of API clients. Sizes are read without the values.
_HISTORY_BYTES = 32 * 1024 * 1024
_ROW_BYTES = (
    "octet_length(m.content)"
    " + 4 * (coalesce(pg_column_size(m.request), 0) + coalesce(pg_column_size(m.tool_calls), 0))"
)
_BRANCH_CTES = f"""
walk AS (
    SELECT m.id, m.parent_id, m.role, m.content, m.summary, m.request, m.tool_calls, 1 AS depth,
           {_ROW_BYTES} AS bytes
    FROM start JOIN messages m ON m.id = start.parent_id AND m.conversation_id = $1
    UNION ALL
    SELECT m.id, m.parent_id, m.role, m.content, m.summary, m.request, m.tool_calls, walk.depth + 1,
           walk.bytes + {_ROW_BYTES}
    FROM walk JOIN messages m ON m.id = walk.parent_id
    WHERE walk.depth < {{limit}} AND walk.summary IS NULL AND walk.bytes < {_HISTORY_BYTES}
), branch AS (
    SELECT array_agg(id ORDER BY depth DESC) AS ids, array_agg(role ORDER BY depth DESC) AS roles,
           array_agg(content ORDER BY depth DESC) AS contents, max(summary) AS summary,
           array_agg(coalesce(request -> 'messages', tool_calls)::text ORDER BY depth DESC) AS extras
    FROM walk
)"""  # noqa: S608 - as below

_BRANCH_COLUMNS = "branch.ids, branch.roles, branch.contents, branch.summary, branch.extras"

# Estimated tokens of a text, rather too many than too few: a quarter for each character, and 1.2 for each
# byte beyond a character's first. The same estimate as `reserved_tokens` for prose.
_ESTIMATED_TOKENS = "(octet_length({0}) - char_length({0})) * 6 / 5 + char_length({0}) / 4 + 5"
_MESSAGE_TOKENS = _ESTIMATED_TOKENS.format(
    "coalesce(summary, (request -> 'messages')::text, content || coalesce(tool_calls::text, ''))"
)

# As OPEN_IN_NEW_CONVERSATION up to $16, then $17 parent (NULL: the head, or none if $19) $18 history limit
# $19 whether the question starts a root branch $20 whether the question exists already $21 request $22
# whether the turn comes from the queue (other waiting turns go first) $23 maximum tokens of history to
# reserve $24 dollars per token of history $25 bytes of the question $26 storage limit. `seen` reads the
# statement's snapshot, `locked` the newest version of the row; if they differ, the branch may have changed. A
# `start` without `granted` means that the budget is used up. The walk goes back to the newest message with a
# summary.
OPEN_IN_CONVERSATION = f"""
WITH RECURSIVE seen AS (
    SELECT xmin FROM conversations WHERE id = $1 AND user_id = $2
), locked AS (
    SELECT id, title, titled_by, model, system, head_id, lock_token, running_message_id, xmin,
           (running_message_id IS NOT NULL AND running_until > clock_timestamp())
           OR (waiting_until > clock_timestamp() AND NOT $22::bool) IS TRUE AS busy
    FROM conversations WHERE id = $1 AND user_id = $2 FOR UPDATE
), start AS (
    SELECT id, running_message_id,
           CASE WHEN $19::bool THEN $17::uuid ELSE coalesce($17, head_id) END AS parent_id
    FROM locked
    WHERE NOT busy
      AND ($17 IS NULL
           OR EXISTS (SELECT FROM messages WHERE id = $17 AND conversation_id = $1))
), {_BRANCH_CTES.format(limit="$18::int")}, history AS (
    SELECT sized.tokens, sized.tokens * $24::numeric AS usd
    FROM (SELECT least($23::bigint, coalesce((SELECT sum({_MESSAGE_TOKENS}) FROM walk), 0)
                                    + coalesce((SELECT {_ESTIMATED_TOKENS.format("system")} FROM locked), 0))
          AS tokens) AS sized
),
{reservation_ctes("$2", _RESERVATION_ARGS, "start", "history", stored="$25", storage_limit="$26")},
{lease_cte("$2", "$7", _RESERVATION_ARGS)}, abandoned AS (
    UPDATE messages m SET status = 'interrupted', completed_at = now()
    FROM start, granted WHERE m.id = start.running_message_id AND m.status IN ('pending', 'streaming')
), claimed AS (
    UPDATE conversations c
    SET title = CASE c.title WHEN '' THEN $16 ELSE c.title END, head_id = $4, lock_token = c.lock_token + 1,
        running_message_id = $4, running_until = now() + make_interval(secs => $7), updated_at = now()
    FROM start, granted WHERE c.id = start.id
), written AS (
    INSERT INTO messages
        (id, conversation_id, user_id, parent_id, role, content, status, metadata, completed_at, request,
         stored_bytes)
    SELECT new.id, $1, $2, coalesce(new.parent_id, start.parent_id), new.role, new.content, new.status,
           new.metadata, new.completed_at, new.request, new.stored_bytes
    FROM start, granted,
         (VALUES ($3::uuid, NULL::uuid, 'user', $5, 'complete', $6::jsonb, now(), $21::jsonb,
                  $25::bigint::int),
                 ($4::uuid, $3::uuid, 'assistant', '', 'pending', '{{}}'::jsonb, NULL::timestamptz, NULL,
                  0))
         AS new (id, parent_id, role, content, status, metadata, completed_at, request, stored_bytes)
    WHERE new.role = 'assistant' OR NOT $20::bool
)
SELECT CASE locked.title WHEN '' THEN $16 ELSE locked.title END AS title, locked.model, locked.system,
       locked.busy, locked.running_message_id AS running, locked.lock_token + 1 AS lock_token,
       start.id IS NOT NULL AS opened, start.parent_id,
       locked.titled_by = 'question' AS untitled, seen.xmin = locked.xmin AS fresh, now() AS created_at,
       {GRANTED_COLUMNS}, {_BRANCH_COLUMNS}
FROM locked LEFT JOIN seen ON true LEFT JOIN start ON true LEFT JOIN granted ON true
     LEFT JOIN wanted ON true, branch
"""  # noqa: S608 - as below

# $1 conversation $2 last message of the branch $3 limit
READ_BRANCH = f"""
WITH RECURSIVE start AS (SELECT $2::uuid AS parent_id), {_BRANCH_CTES.format(limit="$3::int")}
SELECT {_BRANCH_COLUMNS} FROM branch
"""  # noqa: S608 - as below

# $1 user $2 a question, or an answer to it
GET_QUESTION = """
SELECT q.id, q.conversation_id, q.parent_id, q.content, (q.request -> 'messages')::text AS messages
FROM messages m JOIN messages q ON q.id = CASE m.role WHEN 'user' THEN m.id ELSE m.parent_id END
WHERE m.id = $2 AND m.user_id = $1 AND q.user_id = $1 AND q.role = 'user'
"""


# Arguments of `_usage_cte`: five of the owner, and an array for each column of a call.
_USAGE_ARGUMENTS = 21
_FIRST_USAGE_ARGUMENT = 17
_OWNER_ARGUMENT = f"${_FIRST_USAGE_ARGUMENT}"


def _usage_cte(first: int) -> str:
    """CTE `spent`: inserts usage rows, with arguments from `$first`.

    They belong to CTE `account`. Rows of a deleted account are anonymous: no key, no message, no client
    request id.
    """
    _, key, request, message, number, *arrays = (f"${first + offset}" for offset in range(_USAGE_ARGUMENTS))
    types = (
        *("uuid", "timestamptz", "text", "text", "text", "int", "int", "numeric", "text", "int"),
        *("int", "int", "int", "smallint", "text", "text"),
    )
    columns = ", ".join(f"{name}::{kind}[]" for name, kind in zip(arrays, types, strict=True))
    return f"""spent AS (
    INSERT INTO usage_records
        (user_id, api_key_id, request_id, message_id, request_key, id, created_at, kind, model, provider,
         prompt_tokens, completion_tokens, cost_usd, outcome, latency_ms,
         cached_tokens, cache_write_tokens, reasoning_tokens, upstream_status, upstream_reason, step)
    SELECT account.id, CASE WHEN account.id IS NOT NULL THEN {key}::uuid END,
           CASE WHEN account.id IS NOT NULL THEN {request}::text ELSE 'gone_' || ({arrays[0]}::uuid[])[1] END,
           CASE WHEN account.id IS NOT NULL THEN {message}::uuid END, {number}::bigint, entry.*
    FROM unnest({columns}) AS entry LEFT JOIN account ON true
    ON CONFLICT DO NOTHING
    RETURNING prompt_tokens + completion_tokens AS tokens, cost_usd
)"""  # noqa: S608 - only numbers of arguments are put in


# $1 reservation, then the usage from $2 (the user)
RECORD_USAGE = f"""
WITH {_account_cte("$2")}, {_usage_cte(2)}, {settlement("$2", "$1")}
"""


_ANSWER_BYTES = (
    "octet_length($3) + coalesce(octet_length(($11::jsonb)::text), 0)"
    " + coalesce(octet_length(($12::jsonb)::text), 0)"
    " + coalesce(octet_length(($16::jsonb)::text), 0)"
)


def _close_turn(also: str = "") -> str:
    return f"""
WITH {_account_cte(_OWNER_ARGUMENT)}, released AS (
    UPDATE conversations SET running_message_id = NULL, running_until = NULL, updated_at = now()
    WHERE id = $2 AND user_id = {_OWNER_ARGUMENT} AND running_message_id = $1 AND lock_token = $14
      AND (SELECT count(*) FROM account) >= 0
    RETURNING waiting_until > now() AS waiting
), answered AS (
    UPDATE messages
    SET content = $3, status = $4, model = $5, provider = $6, finish_reason = $7, prompt_tokens = $8,
        completion_tokens = $9, cost_usd = $10, receipt = $11::jsonb, tool_calls = $12::jsonb,
        error = $13::jsonb, events = $15, details = $16::jsonb, completed_at = now(),
        stored_bytes = {_ANSWER_BYTES}
    WHERE id = $1 AND conversation_id = $2 AND user_id = {_OWNER_ARGUMENT}
      AND EXISTS (SELECT FROM released)
    RETURNING id, stored_bytes
), {also}{_usage_cte(_FIRST_USAGE_ARGUMENT)}, {settlement(_OWNER_ARGUMENT, "$1", after="answered")}
RETURNING EXISTS (SELECT FROM answered) AS stored,
          (SELECT waiting FROM released) IS TRUE AS waiting
"""  # noqa: S608 - as above


# $1 message (and reservation) $2 conversation $3 content $4 status $5 model $6 provider $7 finish reason
# $8, $9 tokens $10 cost $11 receipt $12 tool calls $13 error $14 lock token $15 events $16 details, then
# the usage from $17 (the user). The answer is stored only if this worker still holds the conversation's
# lock; usage is always recorded.
CLOSE_TURN = _close_turn()
# then the id of the summarized message, and the summary
_SUMMARY_ARGUMENT = _FIRST_USAGE_ARGUMENT + _USAGE_ARGUMENTS
CLOSE_TURN_WITH_SUMMARY = _close_turn(
    f"""summarised AS (
    UPDATE messages SET summary = ${_SUMMARY_ARGUMENT + 1}
    WHERE id = ${_SUMMARY_ARGUMENT} AND conversation_id = $2 AND user_id = {_OWNER_ARGUMENT}
      AND (SELECT count(*) FROM answered) >= 0
), """  # noqa: S608 - as above
)
# $1 message $2 user
GET_STATUS = "SELECT status FROM messages WHERE id = $1 AND user_id = $2"

# $1 reservations $2 lease in seconds, then of persisted turns $3 answers $4 conversations $5 lock tokens.
# Returns the answers whose turns have lost their conversation. Rows locked by others are skipped: they are
# being closed, or are renewed next time.
RENEW_LEASES = """
WITH given AS (
    SELECT * FROM unnest($3::uuid[], $4::uuid[], $5::bigint[]) AS m (answer_id, conversation_id, token)
), leased_conversations AS (
    SELECT c.id FROM given JOIN conversations c ON c.id = given.conversation_id
    WHERE c.running_message_id = given.answer_id AND c.lock_token = given.token
    FOR UPDATE OF c SKIP LOCKED
), renewed AS (
    UPDATE conversations c SET running_until = now() + make_interval(secs => $2)
    FROM leased_conversations WHERE c.id = leased_conversations.id RETURNING c.id
), leased AS (
    SELECT id FROM reservations WHERE id = ANY($1::uuid[]) AND (SELECT count(*) FROM renewed) >= 0
    FOR UPDATE SKIP LOCKED
), extended AS (
    UPDATE reservations r SET expires_at = now() + make_interval(secs => $2)
    FROM leased WHERE r.id = leased.id
)
SELECT given.answer_id FROM given LEFT JOIN conversations c ON c.id = given.conversation_id
WHERE c.id IS NULL OR c.running_message_id IS DISTINCT FROM given.answer_id OR c.lock_token <> given.token
"""

# $1 turn ids $2 their accounts $3 their bills $4 lease in seconds. Turns of unlimited accounts have no
# reservation; they get an empty one, so that their bill is found if this process dies.
SAVE_BILLS = """
WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::jsonb[]) AS m (id, user_id, bill)
), leased_conversations AS (
    SELECT b.user_id FROM budgets b WHERE b.user_id = ANY($2::uuid[]) FOR KEY SHARE SKIP LOCKED
)
INSERT INTO reservations AS r (id, user_id, tokens, usd, expires_at, bill)
SELECT given.id, given.user_id, 0, 0, now() + make_interval(secs => $4), given.bill
FROM given JOIN leased_conversations ON leased_conversations.user_id = given.user_id ORDER BY given.id
ON CONFLICT (id) DO UPDATE SET bill = excluded.bill, expires_at = excluded.expires_at
"""
