insert into books (id, number, market, interval, quote, identity, seed, symbols, first_ms, from_ms, began_ms, walks)
values ('0b000000-0000-0000-0000-000000000001', 1, 'spot', '4h', 'USDT', '{"seed": "7"}', '7', '{BTCUSDT}', 0, 0, 86400000, '[]');
insert into book_blocks (book_id, is_placebo, begin_ms, end_ms, is_over, members, body)
values ('0b000000-0000-0000-0000-000000000001', false, 0, 86400000, true, 0, '{}');
insert into book_days (book_id, is_placebo, day_ms, net, hedged, step)
values ('0b000000-0000-0000-0000-000000000001', false, 0, 0, 0, 0);
insert into book_transitions (id, book_id, from_state, to_state, summary, checks, actor, at_market_ms)
values ('0b000000-0000-0000-0000-000000000002', '0b000000-0000-0000-0000-000000000001', 'candidate', 'shadow', 'test', '[]', 'book', 86400000);
