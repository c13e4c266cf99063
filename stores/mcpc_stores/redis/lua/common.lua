-- What every script of a channel begins with: its keys, its clock, and the two steps that several share.
-- All keys hold the same {channel}, so they are in one slot of a cluster.
local META, LOG, KEPT, DATA, EXPIRY, TASKS, STARTS, SESSIONS, TASK, SIGNALS =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]

-- Milliseconds by the server's clock: the only clock that leases and times to live know.
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function int(text) return string.format('%.0f', text) end

local function number(key, field) return tonumber(redis.call('HGET', key, field) or '0') or 0 end

local function ring(prefix, name, bell)
  if name and name ~= '' then
    redis.call('PUBLISH', prefix .. 'inbox:' .. name, bell)
  else
    redis.call('PUBLISH', prefix .. 'ring', bell)
  end
end

-- The head is below a number that somebody knows: it jumps there, and what is between is a gap.
local function jump(known)
  if known > number(META, 'head') then
    redis.call('HSET', META, 'head', int(known), 'oldest', int(known + 1))
  end
end

-- Adds `count` messages, of which the last `stored` are in `data`; gives the number of the first.
local function add(count, stored, data, max_messages, max_bytes)
  local head = number(META, 'head')
  local first = head + 1
  if count == 0 then return first end
  head = head + count
  redis.call('XADD', LOG, int(head) .. '-0', 'n', int(stored), 'd', data)
  local size = number(META, 'size') + #data
  local floor = math.max(number(META, 'floor'), head - max_messages + 1, head - stored + 1 == first and 0 or head - stored + 1)
  while true do
    local oldest = redis.call('XRANGE', LOG, '-', '+', 'COUNT', 1)[1]
    local last = tonumber(string.match(oldest[1], '^%d+'))
    if last >= head or (size <= max_bytes and last >= floor) then break end
    size = size - #oldest[2][4]
    redis.call('XDEL', LOG, oldest[1])
    floor = math.max(floor, last + 1)
  end
  local whole = math.max(number(META, 'oldest'), floor)
  redis.call('HSET', META, 'head', int(head), 'size', int(size), 'floor', int(floor), 'oldest', int(whole),
    'touched', int(now()))
  return first
end

-- Whether the holder of `token` may act for the task: nil, or why not.
local function barred(token)
  local found = redis.call('HMGET', TASK, 'status', 'token')
  if not found[1] then return 'F' end
  if found[1] == 'complete' or found[1] == 'failed' then return 'E' end
  if found[1] ~= 'running' or found[2] ~= token then return 'F' end
  return nil
end

local function touch_task() redis.call('HSET', TASK, 'updated', int(now())) end

-- The task ends with the newest message of the log, if `data` is not empty.
local function finish(status, data, state, ttl, max_kept)
  local at, head = now(), number(META, 'head')
  if data ~= '' then
    local name = int(head)
    redis.call('ZADD', KEPT, name, name)
    redis.call('HSET', DATA, name, data)
    redis.call('ZADD', EXPIRY, int(at + ttl), name)
    -- Those that were sent, and that the log has let go of, make room; the others stay for their time.
    local over = redis.call('ZCARD', KEPT) - max_kept
    if over > 0 then
      local cursor, oldest = number(META, 'cursor'), number(META, 'oldest')
      for _, each in ipairs(redis.call('ZRANGE', KEPT, 0, over - 1)) do
        local n = tonumber(each)
        if n <= cursor and n < oldest then
          redis.call('ZREM', KEPT, each)
          redis.call('HDEL', DATA, each)
          redis.call('ZREM', EXPIRY, each)
        end
      end
    end
  end
  redis.call('HSET', TASK, 'status', status, 'state', state, 'expires', int(at + ttl), 'updated', int(at),
    'end', data ~= '' and int(head) or '0', 'runner', '')
  redis.call('HDEL', TASK, 'arguments', 'checkpoint', 'interrupted')
  redis.call('DEL', SIGNALS)
  redis.call('HINCRBY', META, 'running', -1)
end

local function queue(prefix, task_id)
  redis.call('HSET', TASK, 'status', 'queued', 'runner', '', 'updated', int(now()))
  redis.call('HINCRBY', TASK, 'token', 1)
  ring(prefix, '', 't' .. task_id)
end
