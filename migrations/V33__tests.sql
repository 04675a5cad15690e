-- Tests of candidates are bought from an account that earns with market time. What is there, in expected false promotions,
-- as of a market time; null until the first session asks. The placebo island has its own.
alter table online_procedure
    add column test_balance double precision,
    add column test_at_market_ms bigint,
    add column placebo_balance double precision,
    add column placebo_at_market_ms bigint,
    -- As the last session was set.
    add column false_promotions_per_year double precision;

-- The best of sessions that were not tested: what the next session begins with, and why there was no test.
create table untested_candidates (
    session_id uuid not null references search_sessions (id) on delete cascade,
    rank integer not null check (rank >= 0),
    genome_hash text not null,
    genome jsonb not null,
    seen_until_ms bigint not null,
    why text not null,
    primary key (session_id, rank)
);
