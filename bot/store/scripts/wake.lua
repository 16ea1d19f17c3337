-- ARGV: wake id, time in ms
wake(ARGV[1], ARGV[2])
return 1
