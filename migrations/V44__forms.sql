-- Which form of strategy a session searched: monitoring counts by it, and should not unpack settings for that.
alter table search_sessions add column form text not null
    generated always as (coalesce(config -> 'search' ->> 'form', 'rules')) stored;
-- The same of strategies: from the index alone, as their counts by state were.
create index strategies_form_state on strategies (form, state);
