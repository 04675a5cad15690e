-- Strategies that rank the market are judged by sessions and traded on paper like any other.
alter table strategies drop constraint strategies_ranking_state;
-- What such a run has beside the figures of every run: figures, days, weights and stays; NULL for strategies of rules, whose
-- trades are rows of their own.
alter table paper_runs add column portfolio jsonb check (jsonb_typeof(portfolio) = 'object');
-- Results of its hold-out one by one, in deviations of a day of the search window: what its detectors are calibrated by.
-- NULL for strategies of rules, whose trades say it.
alter table strategy_standings add column holdout_results double precision[];
