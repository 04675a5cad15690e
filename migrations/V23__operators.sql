-- What operators ask for over HTTP: commands that the daemon obeys, and runners that rest.

create table operator_commands (
    id bigint generated always as identity primary key,
    kind text not null check (kind in ('disable', 'revive', 'approve', 'retry')),
    -- Id of a strategy, number of a dead letter.
    target text not null check (target <> ''),
    why text not null check (why <> ''),
    actor text not null check (actor <> ''),
    status text not null default 'pending' check (status in ('pending', 'done', 'failed')),
    -- What became of it, in a line.
    outcome text check (outcome <> ''),
    requested_at timestamptz not null default now(),
    finished_at timestamptz,
    check ((status = 'pending') = (finished_at is null)),
    check ((status = 'pending') = (outcome is null))
);
create index operator_commands_pending on operator_commands (id) where status = 'pending';

-- A runner with a row here does nothing until the row is gone.
create table runner_pauses (
    runner text primary key check (runner in ('continuous', 'shadow')),
    actor text not null check (actor <> ''),
    why text not null check (why <> ''),
    since timestamptz not null default now()
);
