"""What the bus does in Redis in one step each, as Lua. All its keys share one slot.

Of each group: a stream `queue:<group>` that holds what is not finished and nothing else, read by
the consumer group `workers` (it counts deliveries), and a sorted set `due:<group>`: when, in ms by
Redis's clock, something that was taken or postponed is to be delivered again. Of all: a hash
`groups` (name to a JSON list of what it wants) and a stream `dead`.
"""

from __future__ import annotations

from storage.redis.script import Script

FORGET = """
local function forget(stream, due, ids)
  if #ids == 0 then return end
  redis.call('XACK', stream, 'workers', unpack(ids))
  redis.call('XDEL', stream, unpack(ids))
  redis.call('ZREM', due, unpack(ids))
end
"""

BURYING = (
    FORGET
    + """
local function bury(stream, due, dead, name, entries, reason, at, most)
  local ids = {}
  for _, entry in ipairs(entries) do
    local seen = redis.call('XPENDING', stream, 'workers', entry[1], entry[1], 1)
    local attempts = seen[1] and seen[1][4] or 0
    redis.call('XADD', dead, 'MAXLEN', '~', most, '*',
      'g', name, 'f', entry[2][2], 'n', attempts, 'r', reason, 't', at)
    ids[#ids + 1] = entry[1]
  end
  forget(stream, due, ids)
end
"""
)

# KEYS: groups, dead. ARGV: what keys begin with, most waiting, most dead, now, then name and fact.
# 1,000 at most go over the edge at a time, so that Redis is not held up. Returns the groups.
PUBLISH = Script(
    BURYING
    + """
local function wanted(name, wants)
  for _, want in ipairs(wants) do
    if want == name then return true end
    if string.sub(want, -1) == '*' and
       string.sub(name, 1, #want - 1) == string.sub(want, 1, -2) then return true end
  end
  return false
end
local groups = redis.call('HGETALL', KEYS[1])
for g = 1, #groups, 2 do
  local stream, wants = ARGV[1] .. 'queue:' .. groups[g], cjson.decode(groups[g + 1])
  for i = 5, #ARGV, 2 do
    if wanted(ARGV[i], wants) then redis.call('XADD', stream, '*', 'f', ARGV[i + 1]) end
  end
  local over = redis.call('XLEN', stream) - ARGV[2]
  if over > 0 then
    local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', math.min(over, 1000))
    bury(stream, ARGV[1] .. 'due:' .. groups[g], KEYS[2], groups[g], oldest,
      'overflow', ARGV[4], ARGV[3])
  end
end
return groups
"""
)

# KEYS: groups, queue. ARGV: name, wants as JSON, ms after which an idle consumer is forgotten.
# A queue holds only what is not finished, so its group begins at 0. Returns 1 if anything is new.
JOIN = Script("""
local before = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if type(redis.pcall('XINFO', 'GROUPS', KEYS[2])[1]) ~= 'table' then
  redis.call('XGROUP', 'CREATE', KEYS[2], 'workers', '0', 'MKSTREAM')
end
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[2], 'workers')) do
  local told = {}
  for i = 1, #consumer, 2 do told[consumer[i]] = consumer[i + 1] end
  if told.pending == 0 and told.idle > tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[2], 'workers', told.name)
  end
end
return before == ARGV[2] and 0 or 1
""")

# KEYS: queue, due. ARGV: consumer, limit, lease in ms. Returns {id, attempts, fact, ...}, and if
# there is nothing: ms until something is due (-1: nothing is) and the id after which to wait.
TAKE = Script("""
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local limit, out, leases = tonumber(ARGV[2]), {}, {}
local function hand(entry, attempts)
  out[#out + 1], out[#out + 2], out[#out + 3] = entry[1], attempts, entry[2][2]
  leases[#leases + 1], leases[#leases + 2] = now + ARGV[3], entry[1]
end
local ids = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, limit)
if #ids > 0 then
  redis.call('ZREM', KEYS[2], unpack(ids))
  for _, entry in ipairs(redis.call('XCLAIM', KEYS[1], 'workers', ARGV[1], 0, unpack(ids))) do
    if entry then
      hand(entry, redis.call('XPENDING', KEYS[1], 'workers', entry[1], entry[1], 1)[1][4])
    end
  end
end
local left = limit - #leases / 2
if left > 0 then
  local new = redis.call('XREADGROUP', 'GROUP', 'workers', ARGV[1], 'COUNT', left,
    'STREAMS', KEYS[1], '>')
  if new then
    for _, entry in ipairs(new[1][2]) do hand(entry, 1) end
  end
end
if #leases > 0 then
  redis.call('ZADD', KEYS[2], unpack(leases))
  return {out, -1, ''}
end
local next_due = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local told = {}
local group = redis.call('XINFO', 'GROUPS', KEYS[1])[1]
for i = 1, #group, 2 do told[group[i]] = group[i + 1] end
return {out, next_due and next_due - now or -1, told['last-delivered-id']}
""")

# KEYS: queue, due. ARGV: ids.
DONE = Script(
    FORGET
    + """
if redis.call('EXISTS', KEYS[1]) == 1 then forget(KEYS[1], KEYS[2], ARGV) end
return 1
"""
)

# KEYS: due. ARGV: delay in ms and id, of each. What is finished is not there and stays away.
POSTPONE = Script("""
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for i = 1, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], 'XX', now + ARGV[i], ARGV[i + 1])
end
return 1
""")

# KEYS: queue, due, dead. ARGV: group, reason, now, most dead, then ids.
BURY = Script(
    BURYING
    + """
local entries = {}
for i = 5, #ARGV do
  local entry = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1]
  if entry then entries[#entries + 1] = entry end
end
bury(KEYS[1], KEYS[2], KEYS[3], ARGV[1], entries, ARGV[2], ARGV[3], ARGV[4])
return #entries
"""
)

# KEYS: groups, dead. ARGV: what keys begin with, then ids. Returns how many went.
REPLAY = Script("""
local count = 0
for i = 2, #ARGV do
  local entry = redis.call('XRANGE', KEYS[2], ARGV[i], ARGV[i])[1]
  if entry and redis.call('HEXISTS', KEYS[1], entry[2][2]) == 1 then
    redis.call('XADD', ARGV[1] .. 'queue:' .. entry[2][2], '*', 'f', entry[2][4])
    count = count + redis.call('XDEL', KEYS[2], ARGV[i])
  end
end
return count
""")

# KEYS: groups. ARGV: what keys begin with.
WAITING = Script("""
local out = {}
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  out[#out + 1], out[#out + 2] = name, redis.call('XLEN', ARGV[1] .. 'queue:' .. name)
end
return out
""")
