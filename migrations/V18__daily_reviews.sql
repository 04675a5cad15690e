-- The daily review: one row a day of market time, so that a day is reviewed once however often the daemon is killed.

create table daily_reviews (
    day date primary key,
    -- A missed day fell due while nobody was there: the newest one is reviewed, those before it are not.
    status text not null check (status in ('running', 'finished', 'missed')),
    -- What each step found, by its name. A step that is here is not done again.
    steps jsonb not null default '{}' check (jsonb_typeof(steps) = 'object'),
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    check ((status = 'finished') = (finished_at is not null)),
    check (finished_at >= started_at),
    check (status <> 'missed' or steps = '{}')
);
create index daily_reviews_finished_at on daily_reviews (finished_at desc);
