insert into service_backtests (strategy_id, from_ms, to_ms, parameters, data_version, candles, missing_candles,
    performance, daily_equity, trades, duration_ms)
values ('00000000-0000-0000-0000-00000000000b', 1692230400000, 1700006400000, '{"fee": 0.0004}', 'data', 8640, 0,
    'PERFORMANCE', '[]', '[]', 40);
