-- ARGV: operation, app, retention ms, release id, line, its SHA-256, the words beside it
if earlier_answer(ARGV[1]) then return 0 end
append_audit(ARGV[2], tonumber(ARGV[3]), ARGV[5], ARGV[6], ARGV[7], ARGV[4])
remember_answer(ARGV[1], '1')
return 1
