-- Books: pipelines that trade many weak strategies on one account, their blocks, their days, and what became of them.

alter type audit_event add value 'book_changed';

create table books (
    id uuid primary key,
    -- Which pipeline of this database: each needs more evidence than the one before.
    number integer not null unique check (number >= 1),
    market text not null check (market in ('spot', 'um')),
    interval text not null check (interval <> ''),
    quote text not null check (quote <> ''),
    -- What makes it this pipeline and no other, by name.
    identity jsonb not null check (jsonb_typeof(identity) = 'object'),
    seed text not null check (seed ~ '^[0-9]{1,20}$'),
    -- Symbols that there were when it began; others count from their listing on. First candle that is looked at, beginning of
    -- its history, and of its life: what is traded from there on nobody could know; UTC ms.
    symbols text[] not null,
    first_ms bigint not null,
    from_ms bigint not null check (from_ms >= first_ms),
    began_ms bigint not null check (began_ms >= from_ms),
    state text not null default 'candidate' check (state in ('candidate', 'shadow', 'live', 'disabled')),
    disable_reason text check (disable_reason in ('deactivated', 'deprecated', 'operator')),
    -- Its walk and that of its placebo, sealed where genomes are; the revision counts what was written.
    walks text not null check (walks <> ''),
    -- Progress, evidence, what is needed to go live and what there is, detectors: what its runner says of it.
    standing jsonb not null default '{}' check (jsonb_typeof(standing) = 'object'),
    revision bigint not null default 0 check (revision >= 0),
    created_at timestamptz not null default now(),
    state_changed_at timestamptz not null default now(),
    constraint books_reason check ((state = 'disabled') = (disable_reason is not null))
);
-- At most one runs.
create unique index books_running on books ((true)) where state <> 'disabled';

-- A calendar month of a book: who trades it, sealed where genomes are, and what came of it so far.
create table book_blocks (
    book_id uuid not null references books (id) on delete cascade,
    is_placebo boolean not null,
    begin_ms bigint not null,
    end_ms bigint not null check (end_ms > begin_ms),
    is_over boolean not null,
    members integer not null check (members >= 0),
    -- Why it holds cash.
    cash text check (cash <> ''),
    body jsonb not null check (jsonb_typeof(body) = 'object'),
    frozen_at timestamptz not null default now(),
    primary key (book_id, is_placebo, begin_ms)
);

create table book_days (
    book_id uuid not null references books (id) on delete cascade,
    is_placebo boolean not null,
    day_ms bigint not null,
    net finite_double not null,
    benchmark finite_double,
    hedged finite_double not null,
    step finite_double not null,
    log_e finite_double,
    bet_log_e finite_double,
    primary key (book_id, is_placebo, day_ms)
);

create table book_transitions (
    id uuid primary key,
    seq bigint not null unique generated always as identity,
    book_id uuid not null references books (id) on delete cascade,
    from_state text not null,
    to_state text not null,
    reason text,
    summary text not null check (summary <> ''),
    -- What was needed, and what there was.
    checks jsonb not null check (jsonb_typeof(checks) = 'array'),
    actor text not null check (actor <> ''),
    at_market_ms bigint not null,
    created_at timestamptz not null default now(),
    check (from_state <> to_state)
);
create index book_transitions_of on book_transitions (book_id, seq);
