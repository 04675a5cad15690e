-- How building blocks scored.
insert into search_scores (market, form, day, sessions, scores)
values ('spot', 'rules', '2025-01-01', 1, '{"real": {"indicator rsi": {"searches": 1, "sum": 2.5, "squares": 6.25}}, "null": {}}');
