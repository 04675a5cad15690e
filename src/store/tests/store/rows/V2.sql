-- A strategy that was found, with a name that tells its family, and its child, which somebody wrote.
insert into strategies (id, name, genome, canonical, genome_hash, type, generation, island, session_id, symbols, market,
    timeframe, seen_until_ms, created_by)
values ('00000000-0000-0000-0000-00000000000a', 'trend-0a1b2c3d', '{"n": 1}', 'long entry close > 1', repeat('a', 64),
    'evolved', 7, 'main', '00000000-0000-0000-0000-000000000001', '{BTCUSDT}', 'spot', '15m', 1700006400000, 'search');
insert into strategies (id, name, genome, canonical, genome_hash, type, parent_ids, parent_hashes, symbols, market,
    timeframe, created_by)
values ('00000000-0000-0000-0000-00000000000b', 'by hand', '{"n": 2}', 'long entry close > 2', repeat('b', 64), 'manual',
    '{00000000-0000-0000-0000-00000000000a}', array[repeat('a', 64)], '{BTCUSDT}', 'um', '1h', 'somebody');
update strategies set state = 'disabled', disable_reason = 'rejected'
where id = '00000000-0000-0000-0000-00000000000b';
insert into strategy_stats (strategy_id, source, window_from_ms, window_to_ms, data_version, performance)
values
    ('00000000-0000-0000-0000-00000000000a', 'backtest', 1692230400000, 1697414400000, 'data', 'PERFORMANCE'),
    ('00000000-0000-0000-0000-00000000000a', 'holdout', 1697414400000, 1700006400000, null, 'PERFORMANCE');
insert into backtest_results (strategy_id, backtest_id, metrics, parameters, period_start, period_end)
values ('00000000-0000-0000-0000-00000000000a', 'first', '{"sharpe_ratio": 1.75}', '{"fee": 0.0004}', '2023-08-17T00:00:00Z',
    '2023-10-16T00:00:00Z');
