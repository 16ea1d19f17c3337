-- ARGV: id, ms. The card's edit is due in that many ms.
if redis.call('EXISTS', release_key(ARGV[1])) == 0 then return 0 end
redis.call('HSET', release_key(ARGV[1]), 'card_booked', whole(now + tonumber(ARGV[2])), 'card_booked_at', whole(now))
return 1
