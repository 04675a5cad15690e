-- What strategies of earlier sessions taught a session: beliefs about building blocks. Null where there was nothing to learn from.
create table session_lessons (
    session_id uuid primary key references search_sessions (id) on delete cascade,
    -- Strategies that were looked at.
    strategies integer not null check (strategies >= 0),
    learnt jsonb,
    created_at timestamptz not null default now()
);
