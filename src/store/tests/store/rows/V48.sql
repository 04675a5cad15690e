insert into book_members (book_id, begin_ms, place, genome_hash, niche, weight, expected_sharpe, false_discovery)
values ('0b000000-0000-0000-0000-000000000001', 0, 0, repeat('0', 64), 'test', 1, 1, 0);
insert into book_deployments (book_id, phase, phase_market_ms, status, allocation_pct, started_market_ms)
values ('0b000000-0000-0000-0000-000000000001', 'initial', 0, 'active', 1, 0);
