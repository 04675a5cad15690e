insert into daily_reviews (day, status, steps, finished_at)
values ('2023-11-16', 'missed', '{}', null), ('2023-11-17', 'finished', '{"summary": {}}', now());
