-- Counts one request in a sliding minute, in the same round trip as the reading of its caller.
--
-- KEYS: account entry, session or key entry, then three windows: the account's turns, the key's, the account's reads
-- (as auth_cache and rate_limit write them). ARGV: kind, what the credential claims, what the request counts as
-- (turn, read or none), then triples of tier, turns a minute and reads a minute (0: unlimited).
--   session: claim is the access token's version     key: claim is the owner's id, in hex
-- or, where the caller is known already ("count"): KEYS only the windows, ARGV kind, what the request counts as, and
-- the limits of the account's turns, of the key and of the account's reads.
--
-- Returns {entry, entry, counted, limit, remaining, reset, wait, turns left}: `counted` 0 where the credential is not
-- good (or not known here), so that nobody uses up an account's window with one that is refused; `limit` 0 where
-- there is none; `wait` is above 0 where the request is refused; `turns left` is -1 without a limit. Times in
-- microseconds. A key's limit counts with turns.

local MINUTE = 60000000
local SLACK = 1000000
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

-- Room in a window: how many requests it holds, and when the next one may come (0: now).
local function look(name, limit)
  redis.call('ZREMRANGEBYSCORE', name, '-inf', now - MINUTE)
  -- What seems to come was counted before the clock was set back: it would fill the window until then.
  redis.call('ZREMRANGEBYSCORE', name, now + SLACK, '+inf')
  local used = redis.call('ZCARD', name)
  if used < limit then return used, 0 end
  local leaving = redis.call('ZRANGE', name, used - limit, used - limit, 'WITHSCORES')
  return used, tonumber(leaving[2]) + MINUTE - now
end

local function enter(name)
  local at = now
  while redis.call('ZADD', name, 'NX', now, string.format('%.0f', at)) == 0 do at = at + 1 end
  redis.call('PEXPIRE', name, 60000)
end

local function newest(name)
  local last = redis.call('ZRANGE', name, -1, -1, 'WITHSCORES')
  return last[2] and tonumber(last[2]) + MINUTE - now or 0
end

-- {counted, limit, remaining, reset, wait} of the tighter of both limits; a refused request is in neither.
local function count_in(account, account_limit, key, key_limit)
  local used, wait, key_used, key_wait = 0, 0, 0, 0
  if account_limit > 0 then used, wait = look(account, account_limit) end
  if key_limit > 0 then key_used, key_wait = look(key, key_limit) end
  local admitted = wait == 0 and key_wait == 0
  if admitted then
    if account_limit > 0 then enter(account); used = used + 1 end
    if key_limit > 0 then enter(key); key_used = key_used + 1 end
  end
  local name, limit, left = account, account_limit, account_limit - used
  if key_limit > 0 and (account_limit == 0 or key_limit - key_used < left or key_wait > wait) then
    name, limit, left = key, key_limit, key_limit - key_used
  end
  if limit == 0 then return {1, 0, 0, 0, 0} end
  return {1, limit, math.max(left, 0), newest(name), math.max(wait, key_wait)}
end

-- The same, and how many turns are left to the account. `names`: windows of the account's turns, the key, its reads.
local function count(what, names, turn_limit, key_limit, read_limit)
  if what == 'turn' then
    local window = count_in(names[1], turn_limit, names[2], key_limit)
    window[6] = window[3]
    return window
  end
  local window = {1, 0, 0, 0, 0}
  if what == 'read' then window = count_in(names[3], read_limit, names[2], 0) end
  window[6] = turn_limit > 0 and math.max(turn_limit - look(names[1], turn_limit), 0) or -1
  return window
end

local function list(entry)
  if not entry or entry == '' then return nil end
  local good, value = pcall(cjson.decode, entry)
  if good and type(value) == 'table' then return value end
end

if ARGV[1] == 'count' then
  return count(ARGV[2], KEYS, tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]))
end

local entries = redis.call('MGET', KEYS[1], KEYS[2])
local state = list(entries[1])
local key_limit = 0
local good = state ~= nil and state[3] == 'active'
if good and ARGV[1] == 'session' then
  good = entries[2] == '1' and state[4] == tonumber(ARGV[2])
elseif good then
  local grant = list(entries[2])
  good = grant ~= nil and grant[2] == ARGV[2]
  if good then
    local expires = grant[6]
    good = type(expires) ~= 'number' or expires * 1000000 > now
    if type(grant[5]) == 'number' then key_limit = grant[5] end
  end
end
-- A tier that has left the configuration has the limits of the first.
local turn_limit, read_limit = tonumber(ARGV[5]), tonumber(ARGV[6])
for at = 4, #ARGV, 3 do
  if good and ARGV[at] == state[2] then turn_limit, read_limit = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]) end
end
local windows = {KEYS[3], KEYS[4], KEYS[5]}
local window = good and count(ARGV[3], windows, turn_limit, key_limit, read_limit) or {0, 0, 0, 0, 0, 0}
return {entries[1], entries[2], window[1], window[2], window[3], window[4], window[5], window[6]}
