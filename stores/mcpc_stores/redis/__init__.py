"""`redis:` and `rediss:`: one store for many processes, in Redis (6.2 or later) or Valkey (7.2 or later).

Needs `coredis` (the extra `mcpc[redis]`). What is distributed is the server's: each step of the store is one script,
and scripts run one at a time; logs are streams; bells are pub/sub. Keys of one channel carry one hash tag, so each
script touches one slot of a cluster.
"""

from mcpc_stores.redis.opening import RedisStores
from mcpc_stores.redis.store import RedisStore

__all__ = ["RedisStore", "RedisStores"]
