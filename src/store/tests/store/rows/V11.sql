insert into data_revisions (market, symbol, interval, month, old_sha256, new_sha256, candles, first_open_ms,
    last_open_ms, detail)
values ('spot', 'BTCUSDT', '15m', '2023-09', repeat('0', 64), repeat('1', 64), 1, 1694000000000, 1694000000000, '[]');
insert into data_revision_uses (revision_id, strategy_id, source, window_from_ms, window_to_ms, deployment_id,
    old_performance)
select id, '00000000-0000-0000-0000-00000000000a', 'backtest', 1692230400000, 1697414400000,
    '00000000-0000-0000-0000-000000000021', 'PERFORMANCE'
from data_revisions;
