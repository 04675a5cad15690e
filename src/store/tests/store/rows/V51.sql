insert into work_items (kind, code_version, input_digest, input, batch, place)
values ('optimization_slice', '0.1.0', repeat('1', 64), '{}', '0c000000-0000-0000-0000-000000000002', 0);
