-- Two items of one family, which was tried; a strategy of the first was judged.
insert into media_families (signature, tried_at) values ('{0.6, 0.8}', '2023-11-15T00:00:00Z');
insert into media_items (id, family_id, digest, item, embeddings, embedding_dim, features)
values
    (42, 1, repeat('a', 64), '{"keyword_hits": [], "transcripts": []}', '{3, 4, 6, 8}', 2, '{"has_rsi": 1}'),
    (43, 1, repeat('b', 64), '{"keyword_hits": [], "transcripts": []}', '{3, 4}', 2, '{"has_rsi": 0}');
insert into media_strategies (media_item_id, digest, kind, strategy_id, backtest_id, status, reason)
select 42, repeat('a', 64), 'features', '00000000-0000-0000-0000-00000000000b', max(id), 'not_promoted', 'no trade'
from service_backtests;
