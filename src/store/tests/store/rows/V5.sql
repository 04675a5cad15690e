-- Messages that wait, arrived and were given up; what failed; a feed; a runner.
insert into outbox (event_key, channel, kind, status, delivered_at, attempts, last_error)
values
    ('one', 'discord', 'transition', 'pending', null, 0, null),
    ('one', 'slack', 'transition', 'delivered', now(), 1, null),
    ('two', 'slack', 'transition', 'dead', null, 9, 'HTTP 400');
insert into dead_letters (kind, subject, error, genome, occurrences)
values ('backtest', repeat('c', 64), 'it does not end', '{"n": 3}', 2);
insert into feed_status (market, symbol, interval, newest_close_ms, exchange_time_ms, gaps)
values ('spot', 'BTCUSDT', '15m', 1700179200000, 1700179200500, 3);
insert into runner_status (name, holder, last_started_at, detail) values ('continuous', 'a daemon', now(), '{"n": 1}');
