-- Strategies that rank the market, and what their backtests were.

alter table strategies add column form text not null default 'rules' check (form in ('rules', 'ranking'));
-- One that ranks the market trades its universe: it has no symbols of its own.
alter table strategies drop constraint strategies_symbols_check;
alter table strategies add constraint strategies_symbols_check check (form = 'ranking' or cardinality(symbols) >= 1);
-- Nobody trades it on paper yet.
alter table strategies add constraint strategies_ranking_state check (form = 'rules' or state in ('candidate', 'disabled'));

-- The form belongs to the genome.
create or replace function refuse_illegal_transition() returns trigger language plpgsql as $$
begin
    if new.state <> old.state and (old.state, new.state) not in (
        ('candidate', 'shadow'), ('shadow', 'live'), ('live', 'shadow'), ('candidate', 'disabled'),
        ('shadow', 'disabled'), ('live', 'disabled'), ('disabled', 'candidate')
    ) then
        raise exception 'strategy % cannot go from % to %', old.id, old.state, new.state
            using errcode = 'check_violation', constraint = 'strategies_legal_transition', table = 'strategies';
    end if;
    if new.form <> old.form or new.genome_hash <> old.genome_hash
        or ((new.genome <> old.genome or new.canonical <> old.canonical)
        and not (old.genome ? 'sealed_with') and not (new.genome ? 'sealed_with')) then
        raise exception 'the genome of strategy % cannot change: another genome is another strategy', old.id
            using errcode = 'check_violation', constraint = 'strategies_genome_fixed', table = 'strategies';
    end if;
    new.updated_at := now();
    return new;
end $$;

-- What a portfolio's backtest has beside the figures of every strategy: how orders met the market, hedged figures, days,
-- weights and stays; NULL for strategies of rules.
alter table service_backtests add column portfolio jsonb check (jsonb_typeof(portfolio) = 'object');
