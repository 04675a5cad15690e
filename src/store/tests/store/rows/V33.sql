-- What the account of tests holds, and one of a session's best that was not tested.
update online_procedure set test_balance = 0.01, test_at_market_ms = 1700006400000, false_promotions_per_year = 0.05;
insert into untested_candidates (session_id, rank, genome_hash, genome, seen_until_ms, why)
values ('00000000-0000-0000-0000-000000000001', 0, 'abc', '{}', 1700006400000, 'its search found no more than luck');
