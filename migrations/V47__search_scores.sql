-- How building blocks scored in the searches that ended, real and null ones apart: one row for each day on which the candles that
-- they looked at ended.
create table search_scores (
    market text not null check (market in ('spot', 'um')),
    form text not null check (form in ('rules', 'ranking')),
    -- End of what was searched, rounded up to a day.
    day date not null,
    sessions bigint not null check (sessions > 0),
    -- By building block: searches, sum and sum of squares of what each said.
    scores jsonb not null,
    primary key (market, form, day)
);
