-- Optimisations of one strategy's numbers: a row a run here, and a row a point in optimization_runs, beside searches.

create table optimizations (
    id uuid primary key,
    -- Of the strategy whose numbers are varied; it need not be stored.
    genome_hash text not null check (genome_hash <> ''),
    name text check (name <> ''),
    -- Its text, what is varied, and what the run says tell rules: sealed where genomes are.
    canonical text not null check (canonical <> ''),
    settings jsonb not null check (jsonb_typeof(settings) = 'object'),
    report jsonb check (jsonb_typeof(report) = 'object'),
    method text not null check (method in ('grid', 'random', 'genetic')),
    objectives text[] not null check (cardinality(objectives) >= 1),
    -- Market, symbols, costs, capital, warm-up: what a replay needs.
    parameters jsonb not null check (jsonb_typeof(parameters) = 'object'),
    from_ms bigint not null,
    to_ms bigint not null,
    data_version text not null check (data_version <> ''),
    status text not null default 'running' check (status in ('running', 'completed')),
    -- Points that are to be looked at, those that were, and those of them that could be evaluated: trials, for ever.
    budget bigint not null check (budget >= 1),
    points bigint not null default 0 check (points between 0 and budget),
    evaluations bigint not null default 0 check (evaluations >= 0),
    best_objective finite_double,
    best_point integer check (best_point >= 0),
    code_version text not null check (code_version <> ''),
    seed text not null check (seed ~ '^[0-9]{1,20}$'),
    started_at timestamptz not null default now(),
    completed_at timestamptz,
    check (from_ms < to_ms),
    constraint optimizations_ended check ((status = 'running') = (completed_at is null) and completed_at >= started_at)
);
create index optimizations_started_at on optimizations (started_at desc);

-- A point has no session; its parameters are values in the order of the run's axes, whose names are in its settings.
alter table optimization_runs
    add column optimization_id uuid references optimizations (id) on delete cascade,
    add column point integer check (point >= 0),
    add column figures jsonb check (jsonb_typeof(figures) = 'object'),
    add constraint optimization_runs_point
        check ((optimization_id is null) = (point is null) and (optimization_id is null or session_id is null));
create unique index optimization_runs_points on optimization_runs (optimization_id, point);
-- Lists of searches do not wade through points.
create index optimization_runs_searches on optimization_runs (started_at desc, id desc) where optimization_id is null;
