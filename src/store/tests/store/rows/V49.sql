insert into work_items (kind, code_version, input_digest, input, batch, place)
values ('null_search', '0.1.0', repeat('0', 64), '{}', '0c000000-0000-0000-0000-000000000001', 0);
insert into work_workers (name, code_version, slots, host) values ('one', '0.1.0', 1, 'host');
