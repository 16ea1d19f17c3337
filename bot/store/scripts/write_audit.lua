-- ARGV: operation, app, retention ms, line
if earlier_answer(ARGV[1]) then return 0 end
append_audit(ARGV[2], tonumber(ARGV[3]), ARGV[4])
remember_answer(ARGV[1], '1')
return 1
