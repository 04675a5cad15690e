-- Strategies that rank the market, and what their backtests were.

alter table strategies add column form text not null default 'rules' check (form in ('rules', 'ranking'));
-- One that ranks the market trades its universe: it has no symbols of its own.
alter table strategies drop constraint strategies_symbols_check;
alter table strategies add constraint strategies_symbols_check check (form = 'ranking' or cardinality(symbols) >= 1);
-- Nobody trades it on paper yet.
alter table strategies add constraint strategies_ranking_state check (form = 'rules' or state in ('candidate', 'disabled'));

-- What a portfolio's backtest has beside the figures of every strategy: how orders met the market, hedged figures, days,
-- weights and stays; NULL for strategies of rules.
alter table service_backtests add column portfolio jsonb check (jsonb_typeof(portfolio) = 'object');
