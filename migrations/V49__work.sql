-- Work that any machine of the same build may do. A row is what is to be done, who has it, and what it came to: its result is
-- stored once, however often it is done.

create table work_items (
    id bigint primary key generated always as identity,
    kind text not null check (kind in ('null_search', 'book_null_search', 'calibration_market')),
    -- Another build might come to other numbers: it takes none of these.
    code_version text not null check (code_version <> ''),
    -- SHA-256 of the input; the same work is posted once.
    input_digest text not null check (input_digest ~ '^[0-9a-f]{64}$'),
    input text not null check (input <> ''),
    -- What it is part of, and in which order it is wanted.
    batch uuid not null,
    place integer not null check (place >= 0),
    state text not null default 'waiting' check (state in ('waiting', 'taken', 'done', 'failed', 'cancelled')),
    -- How often it was taken, and how often whoever had it was not heard of any more.
    attempts integer not null default 0 check (attempts >= 0),
    lost integer not null default 0 check (lost >= 0),
    worker text,
    -- Up to then nobody else takes it.
    leased_until timestamptz,
    -- Not before then, after a failure.
    not_before timestamptz not null default '-infinity',
    output text,
    output_digest text check (output_digest ~ '^[0-9a-f]{64}$'),
    -- Results that were not those stored: never, unless two machines compute differently.
    disagreements integer not null default 0 check (disagreements >= 0),
    error text,
    created_at timestamptz not null default now(),
    taken_at timestamptz,
    finished_at timestamptz,
    constraint work_items_once unique (kind, code_version, input_digest),
    constraint work_items_result check ((state = 'done') = (output is not null) and (output is null) = (output_digest is null)),
    constraint work_items_lease check ((state = 'taken') = (leased_until is not null))
);
create index work_items_open on work_items (code_version, id) where state in ('waiting', 'taken');
create index work_items_batch on work_items (batch, place);
create index work_items_finished_at on work_items (finished_at) where finished_at is not null;

-- Who does work, and when it was last heard of.
create table work_workers (
    name text primary key check (name <> ''),
    code_version text not null check (code_version <> ''),
    -- Of the machine that it runs on, where that has a name.
    host text check (host <> ''),
    slots integer not null check (slots >= 1),
    done bigint not null default 0 check (done >= 0),
    started_at timestamptz not null default now(),
    seen_at timestamptz not null default now()
);
