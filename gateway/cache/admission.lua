-- Counts one request in a sliding minute, in the same round trip as reading its caller's cache entries.
--
-- KEYS: account entry, session or key entry, then three windows: the account's turns, the key's requests, the account's
-- reads (as written by cache/auth.py and cache/rate_limit.py). ARGV: kind, claim of the credential, what the request counts
-- as (turn, read or none), then triples of tier, turns per minute and reads per minute (0: unlimited).
--   session: the claim is the access token's version     key: the claim is the owner's id in hex
-- For callers that are already authenticated ("count"): KEYS only the windows; ARGV kind, what the request counts as, and
-- the limits of the account's turns, of the key and of the account's reads.
--
-- Returns {entry, entry, counted, limit, remaining, reset, wait, turns left}: `counted` is 0 for an invalid or unknown
-- credential, so that such requests cannot use up an account's window; `limit` is 0 without a limit; `wait` is above 0 if
-- the request is rejected; `turns left` is -1 without a limit. Times are in microseconds. A key's limit counts with turns.

local MINUTE = 60000000
local SLACK = 1000000
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

-- Returns the number of requests in a window, and the time until the next one is allowed (0: now).
local function window_usage(name, limit)
  redis.call('ZREMRANGEBYSCORE', name, '-inf', now - MINUTE)
  -- Future entries were counted before the clock was set back: they would fill the window until then.
  redis.call('ZREMRANGEBYSCORE', name, now + SLACK, '+inf')
  local used = redis.call('ZCARD', name)
  if used < limit then return used, 0 end
  local next_free = redis.call('ZRANGE', name, used - limit, used - limit, 'WITHSCORES')
  return used, tonumber(next_free[2]) + MINUTE - now
end

local function add(name)
  local member = now
  while redis.call('ZADD', name, 'NX', now, string.format('%.0f', member)) == 0 do member = member + 1 end
  redis.call('PEXPIRE', name, 60000)
end

local function time_to_reset(name)
  local last = redis.call('ZRANGE', name, -1, -1, 'WITHSCORES')
  return last[2] and tonumber(last[2]) + MINUTE - now or 0
end

-- Returns {counted, limit, remaining, reset, wait} of the tighter of both limits; a rejected request counts in neither.
local function count_in(account, account_limit, key, key_limit)
  local used, wait, key_used, key_wait = 0, 0, 0, 0
  if account_limit > 0 then used, wait = window_usage(account, account_limit) end
  if key_limit > 0 then key_used, key_wait = window_usage(key, key_limit) end
  local admitted = wait == 0 and key_wait == 0
  if admitted then
    if account_limit > 0 then add(account); used = used + 1 end
    if key_limit > 0 then add(key); key_used = key_used + 1 end
  end
  local name, limit, remaining = account, account_limit, account_limit - used
  if key_limit > 0 and (account_limit == 0 or key_limit - key_used < remaining or key_wait > wait) then
    name, limit, remaining = key, key_limit, key_limit - key_used
  end
  if limit == 0 then return {1, 0, 0, 0, 0} end
  return {1, limit, math.max(remaining, 0), time_to_reset(name), math.max(wait, key_wait)}
end

-- The same, followed by the account's remaining turns. `names`: windows of the account's turns, the key, the account's reads.
local function count(what, names, turn_limit, key_limit, read_limit)
  if what == 'turn' then
    local window = count_in(names[1], turn_limit, names[2], key_limit)
    window[6] = window[3]
    return window
  end
  local window = {1, 0, 0, 0, 0}
  if what == 'read' then window = count_in(names[3], read_limit, names[2], 0) end
  window[6] = turn_limit > 0 and math.max(turn_limit - window_usage(names[1], turn_limit), 0) or -1
  return window
end

local function decode(entry)
  if not entry or entry == '' then return nil end
  local ok, value = pcall(cjson.decode, entry)
  if ok and type(value) == 'table' then return value end
end

if ARGV[1] == 'count' then
  return count(ARGV[2], KEYS, tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]))
end

local entries = redis.call('MGET', KEYS[1], KEYS[2])
local state = decode(entries[1])
local key_limit = 0
local valid = state ~= nil and state[3] == 'active'
if valid and ARGV[1] == 'session' then
  valid = entries[2] == '1' and state[4] == tonumber(ARGV[2])
elseif valid then
  local grant = decode(entries[2])
  valid = grant ~= nil and grant[2] == ARGV[2]
  if valid then
    local expires = grant[6]
    valid = type(expires) ~= 'number' or expires * 1000000 > now
    if type(grant[5]) == 'number' then key_limit = grant[5] end
  end
end
-- A tier that is no longer configured gets the limits of the first one.
local turn_limit, read_limit = tonumber(ARGV[5]), tonumber(ARGV[6])
for at = 4, #ARGV, 3 do
  if valid and ARGV[at] == state[2] then turn_limit, read_limit = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]) end
end
local windows = {KEYS[3], KEYS[4], KEYS[5]}
local window = valid and count(ARGV[3], windows, turn_limit, key_limit, read_limit) or {0, 0, 0, 0, 0, 0}
return {entries[1], entries[2], window[1], window[2], window[3], window[4], window[5], window[6]}
