-- The evidence protocol: what the online procedure counts, what null searches said, and where strategies stand.

-- How often luck was tried beside the sessions' own searches, and the statistic's first two moments.
alter table trial_ledger
    add column t_count bigint not null default 0 check (t_count >= 0),
    add column t_sum finite_double not null default 0,
    add column t_sum_of_squares finite_double not null default 0 check (t_sum_of_squares >= 0),
    add column compared_evaluations bigint not null default 0 check (compared_evaluations >= 0),
    add column null_searches bigint not null default 0 check (null_searches >= 0),
    add column null_evaluations bigint not null default 0 check (null_evaluations >= 0),
    add column null_distinct bigint not null default 0 check (null_distinct >= 0),
    add column null_t_count bigint not null default 0 check (null_t_count >= 0),
    add column null_t_sum finite_double not null default 0,
    add column null_t_sum_of_squares finite_double not null default 0 check (null_t_sum_of_squares >= 0);

-- Sessions that were ever counted, and those of them whose search beat its null searches: never reset.
create table online_procedure (
    the_one boolean primary key default true check (the_one),
    sessions bigint not null default 0 check (sessions >= 0),
    selected bigint not null default 0 check (selected between 0 and sessions)
);
insert into online_procedure default values;

-- What searches said, a row a session, and one for the placebo island's own after it. Outlives the sessions.
create table protocol_sessions (
    session_id uuid not null,
    placebo boolean not null,
    island text not null,
    -- Market time at which its candidates were judged: the end of its hold-out.
    at_market_ms bigint not null,
    -- Numbers of the online procedure that its candidates were given; a placebo's are those of its session.
    session_number bigint not null check (session_number >= 1),
    selected_number bigint not null check (selected_number >= 1),
    promotions bigint not null check (promotions >= 0),
    p_value finite_double not null check (p_value > 0 and p_value <= 1),
    null_searches bigint not null check (null_searches >= 0),
    as_good bigint not null check (as_good between 0 and null_searches),
    -- NULL until the session has ended.
    candidates bigint check (candidates >= 0),
    entered bigint check (entered between 0 and candidates),
    -- Of a placebo: null strategies that went live; real ones are in the transitions.
    promoted bigint check (promoted >= 0),
    detail jsonb not null default '{}' check (jsonb_typeof(detail) = 'object'),
    created_at timestamptz not null default now(),
    primary key (session_id, placebo)
);
create index protocol_sessions_at on protocol_sessions (at_market_ms desc);
create unique index protocol_sessions_number on protocol_sessions (session_number) where not placebo;

-- What was proved of a strategy when its session ended; shadow goes on from there.
create table strategy_standings (
    strategy_id uuid primary key references strategies (id) on delete cascade,
    session_id uuid not null,
    p_value finite_double check (p_value > 0 and p_value <= 1),
    null_searches bigint not null check (null_searches >= 0),
    level finite_double not null check (level >= 0 and level <= 1),
    seen_until_ms bigint not null,
    holdout_log_e finite_double,
    standing jsonb not null check (jsonb_typeof(standing) = 'object'),
    created_at timestamptz not null default now()
);
