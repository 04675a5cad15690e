insert into data_verdicts (data_version, market, symbols, interval, window_from_ms, window_to_ms, fit, reason, detail)
values ('data', 'spot', '{BTCUSDT,ETHUSDT}', '15m', 1692230400000, 1700006400000, false, 'a gap of a day', '{}');
