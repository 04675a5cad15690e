insert into engine_meanings (strategy_id, meaning, cause, results, decision)
values ('00000000-0000-0000-0000-00000000000b', 2, 'engine meaning 2: statistics count whole days', '[]', 'it stays');
