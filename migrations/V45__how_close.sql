-- What the gate was asked last about a paper run: evidence beside its threshold, each requirement, when it may be met, and
-- ln E by day. NULL before the first pass that was asked, and for runs that ended before this was kept.
alter table paper_runs add column progress jsonb check (jsonb_typeof(progress) = 'object');

-- Where the candles came from that results in this database rest on. One simulated source is enough to say so everywhere:
-- nothing that rests on it says anything about real money.
create table market_sources (
    source text primary key check (length(source) between 1 and 500),
    simulated boolean not null,
    first_used_at timestamptz not null default now()
);
