-- ARGV: release id
return free_locks(ARGV[1])
