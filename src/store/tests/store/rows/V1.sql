-- What a daemon wrote at version 1: a finished session, and one that runs.
insert into leases (name, token, holder) values ('work', 1, 'a daemon');
insert into search_sessions (id, island, number, seed, status, symbols, market, timeframe, window_from_ms,
    holdout_from_ms, window_to_ms, data_version, code_version, last_generation, report, ended_at)
values
    ('00000000-0000-0000-0000-000000000001', 'main', 1, '18446744073709551615', 'finished', '{BTCUSDT,ETHUSDT}', 'spot',
        '15m', 1692230400000, 1697414400000, 1700006400000, 'data', '0.1.0', 7, '{"best": 60.5}', now()),
    ('00000000-0000-0000-0000-000000000002', 'main', 2, '2', 'running', '{BTCUSDT}', 'um', '15m', 1692230400000,
        1697414400000, 1700006400000, 'data', '0.1.0', null, null, null);
insert into search_states (session_id, generation, state)
values ('00000000-0000-0000-0000-000000000002', 3, decode('00ff', 'hex'));
insert into generations (session_id, number, best_fitness, evaluations, distinct_strategies, failures, archive_size,
    duration_ms)
values ('00000000-0000-0000-0000-000000000001', 0, 60.5, 100, 90, 0, 10, 1234);
insert into trial_ledger (session_id, island, session_number, window_from_ms, window_to_ms, data_version, evaluations)
values ('00000000-0000-0000-0000-000000000001', 'main', 1, 1692230400000, 1700006400000, 'data', 100);
