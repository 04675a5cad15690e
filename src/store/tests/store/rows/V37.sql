-- What a session was taught.
insert into session_lessons (session_id, strategies, learnt)
values ('00000000-0000-0000-0000-000000000001', 0, null);
