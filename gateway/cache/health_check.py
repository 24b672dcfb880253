"""Health check with every kind of command in use, and remedies for errors."""

from __future__ import annotations

import re
from typing import Final, Literal

from redis.exceptions import ResponseError

# `refusing`: it answers with errors; callers then behave as if it were down.
ValkeyState = Literal["up", "refusing", "down"]

# Keys of several slots, as in the admission script: a cluster node refuses them (CROSSSLOT).
_KEYS: Final = ("probe:string", "probe:hash", "probe:list", "probe:stream", "probe:window")
_SCRIPT: Final = """
redis.call('DEL', unpack(KEYS))
redis.call('SET', KEYS[1], '1', 'PX', 10000)
redis.call('GET', KEYS[1])
redis.call('MGET', KEYS[1])
redis.call('HSET', KEYS[2], 'a', '1')
redis.call('HGETALL', KEYS[2])
redis.call('LPUSH', KEYS[3], '1')
redis.call('LTRIM', KEYS[3], 0, 0)
redis.call('XADD', KEYS[4], '*', 'b', '1')
redis.call('ZADD', KEYS[5], 1, '1')
redis.call('ZREMRANGEBYSCORE', KEYS[5], 0, 1)
redis.call('UNLINK', unpack(KEYS))
redis.call('PUBLISH', 'gateway:probe', '')
return redis.call('TIME')
"""
HEALTH_CHECK_COMMAND: Final = ("EVAL", _SCRIPT, len(_KEYS), *_KEYS)

_CODE = re.compile(r"[A-Z][A-Z_]{2,39}\b")
# redis-py strips the code from these replies and raises a class of its own.
_BY_CLASS: Final = {
    "ClusterCrossSlotError": "CROSSSLOT",
    "NoPermissionError": "NOPERM",
    "ReadOnlyError": "READONLY",
    "OutOfMemoryError": "OOM",
    "MovedError": "MOVED",
    "AskError": "ASK",
    "ClusterDownError": "CLUSTERDOWN",
    "MasterDownError": "MASTERDOWN",
    "TryAgainError": "TRYAGAIN",
}
_CLUSTER: Final = (
    "It runs in cluster mode, which the gateway does not support: use a single Valkey or Redis (with a "
    "replica, if it has to be highly available)."
)
_REMEDIES: Final = {
    "MISCONF": "Its last snapshot could not be saved, so it refuses writes: free space on its disk, check "
    "`dir` and `dbfilename`, or turn snapshots off (save '').",
    "CROSSSLOT": _CLUSTER,
    "MOVED": _CLUSTER,
    "CLUSTERDOWN": _CLUSTER,
    "NOPERM": "The user of REDIS_URL lacks permissions: allow it all keys, all channels and all commands "
    "but the administrative ones (+@all -@dangerous +info ~* &*).",
    "READONLY": "It is a read-only replica: point REDIS_URL at the primary.",
    "OOM": "It is full: raise maxmemory, or set maxmemory-policy to volatile-lru.",
}


def error_code(error: ResponseError) -> str:
    """Return the code of an error reply (MISCONF, CROSSSLOT …) or its class name."""
    by_class = _BY_CLASS.get(type(error).__name__)
    if by_class is not None:
        return by_class
    # A pipeline prefixes the command; older servers prefix a script's error with text of their own.
    text = str(error).rpartition(" of pipeline caused error: ")[2]
    found = [match.group() for match in map(_CODE.match, text.split(": ")) if match]
    code = next((code for code in found if code != "ERR"), type(error).__name__)
    return "NOPERM" if code == "ACL" else code  # "ACL failure in script"


def remedy_for(code: str) -> str:
    """Return what an operator can do about replies with this code."""
    return _REMEDIES.get(code, "See its own log. The gateway works without it until this is fixed.")
