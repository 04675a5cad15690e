//! Whether what the database holds can be true: each rule is a query for what breaks it.

use tokio_postgres::Client;

/// Name of the rule, and rows (as text) that break it.
const RULES: &[(&str, &str)] = &[
    (
        "a strategy is in the state that its last transition led to",
        "select s.id::text || ' is ' || s.state || ', last moved to ' || coalesce(t.to_state, 'nothing')
         from strategies s
         left join lateral (select to_state from transitions where strategy_id = s.id order by seq desc limit 1) t on true
         where s.state <> coalesce(t.to_state, 'candidate')",
    ),
    (
        "each transition starts where the one before it ended, the first at candidate, none back in time",
        "select strategy_id::text || ' ' || coalesce(before, 'nothing') || ' then ' || from_state
         from (select strategy_id, from_state, at_market_ms,
                   lag(to_state) over w as before, lag(at_market_ms) over w as before_ms
               from transitions window w as (partition by strategy_id order by seq)) t
         where from_state <> coalesce(before, 'candidate') or at_market_ms < before_ms",
    ),
    (
        "nothing is decided twice: one transition a strategy and market time",
        "select strategy_id::text || ' at ' || at_market_ms from transitions
         group by strategy_id, at_market_ms having count(*) > 1",
    ),
    (
        "sessions of an island are numbered from 1 without gaps",
        "select island || ' has ' || count(*) || ' up to ' || max(number) from search_sessions
         group by island having count(*) <> max(number) or min(number) <> 1",
    ),
    (
        "only the last session of an island may be running",
        "select island || ' ' || number from search_sessions s
         where status = 'running' and exists (select from search_sessions l where l.island = s.island and l.number > s.number)",
    ),
    (
        "generations of a session are 0 to its last one, once each",
        "select s.id::text || ' has ' || count(g.number) || ', says ' || coalesce(s.last_generation, -1)
         from search_sessions s left join generations g on g.session_id = s.id
         group by s.id having count(g.number) <> coalesce(s.last_generation, -1) + 1
             or coalesce(max(g.number), -1) <> coalesce(s.last_generation, -1)",
    ),
    (
        "a running session can be resumed from its last generation, one that ended has nothing to resume",
        "select s.id::text || ' ' || s.status from search_sessions s left join search_states t on t.session_id = s.id
         where case s.status when 'running' then t.generation is distinct from s.last_generation
             else t.session_id is not null end",
    ),
    (
        "a finished session has all its generations and as many strategies as it reports",
        "select s.id::text from search_sessions s
         where s.status = 'finished' and ((s.report ->> 'stored')::int
             <> (select count(*) from strategies where session_id = s.id)
             or s.last_generation + 1 <> (s.config ->> 'generations')::int)",
    ),
    (
        "the ledger of trials sums up the generations",
        "select s.id::text from search_sessions s left join trial_ledger l on l.session_id = s.id
         left join lateral (select count(*) n, coalesce(sum(evaluations), 0) e, coalesce(sum(distinct_strategies), 0) d,
                 coalesce(sum(failures), 0) f from generations where session_id = s.id) g on true
         where (l.generations, l.evaluations, l.distinct_strategies, l.failures) is distinct from (g.n, g.e, g.d, g.f)",
    ),
    (
        "sessions are numbered by the online procedure without gaps, finished ones once each",
        "select session_number::text from (select session_number, row_number() over (order by session_number) r
             from protocol_sessions where not placebo) n where session_number <> r
         union all select id::text from search_sessions s where status = 'finished'
             and not exists (select from protocol_sessions where session_id = s.id and not placebo
                 and candidates is not null)
         union all select 'counts ' || sessions from online_procedure
             where sessions <> (select count(*) from protocol_sessions where not placebo)",
    ),
    (
        "a strategy that the gate let into shadow stands somewhere, and had not seen its hold-out",
        "select s.id::text from strategies s left join strategy_standings t on t.strategy_id = s.id
             join search_sessions e on e.id = s.session_id
         where s.created_by = 'search' and exists (select from transitions where strategy_id = s.id
                 and kind = 'enter_shadow') and (t.level is null or t.level <= 0
             or t.seen_until_ms <> e.holdout_from_ms or s.seen_until_ms <> e.holdout_from_ms and not exists (
                 select from transitions where strategy_id = s.id and kind = 'revive'))",
    ),
    (
        "a placebo session follows a real one that was numbered",
        "select p.session_id::text from protocol_sessions p where placebo and not exists (
             select from protocol_sessions r where r.session_id = p.session_id and not r.placebo
                 and r.session_number = p.session_number)",
    ),
    (
        "a live strategy has one deployment that goes on, any other none",
        "select s.id::text || ' ' || s.state || ' ' || count(d.id) from strategies s
         left join deployments d on d.strategy_id = s.id and d.status <> 'deactivated'
         group by s.id having count(d.id) <> (s.state = 'live')::int",
    ),
    (
        "active deployments together stay within the limit, each within the most of its phase",
        "select phase || ' ' || allocation_pct from deployments where status = 'active'
             and allocation_pct > case phase when 'initial' then 2 when 'growth' then 5 else 10 end
         union all select 'sum ' || sum(allocation_pct) from deployments where status = 'active'
             having sum(allocation_pct) > 50",
    ),
    (
        "a live book has one deployment at most, any other none that goes on; what it changed is on record",
        "select b.number || ' ' || b.state || ' ' || d.status from books b join book_deployments d on d.book_id = b.id
         where (d.status <> 'deactivated') <> (b.state = 'live') or not exists (select from audit_logs
             where event_type = 'deployment_changed' and entity_type = 'book' and entity_id = b.id::text)
         union all select number::text from books where state <> 'disabled' and number < (select max(number) from books)",
    ),
    (
        "each move of a book is in the audit trail once, and starts where the one before it ended",
        "select t.id::text from book_transitions t
         where (select count(*) from audit_logs where correlation_id = t.id and event_type = 'book_changed') <> 1
         union all select book_id::text || ' ' || from_state from (select book_id, from_state,
                 lag(to_state) over (partition by book_id order by seq) as before from book_transitions) m
             where from_state <> coalesce(before, 'candidate')",
    ),
    (
        "a deployment that has grown, or no longer waits for its first share, was changed on record",
        "select d.id::text from deployments d where (d.phase <> 'initial' or d.status = 'active' or (d.status = 'paused'
             and d.paused_until is distinct from to_timestamp(d.started_market_ms / 1000.0)))
             and not exists (select from audit_logs where event_type = 'deployment_changed' and entity_id = d.id::text)",
    ),
    (
        "an open drift alert belongs to a deployment that goes on, or that has just ended",
        "select a.id::text from drift_alerts a join deployments d on d.id = a.deployment_id
         where a.closed_at is null and d.ended_at < now() - interval '1 hour'",
    ),
    (
        "there is a deployment for each time that a strategy went live",
        "select s.id::text from strategies s
         where (select count(*) from deployments where strategy_id = s.id)
             <> (select count(*) from transitions where strategy_id = s.id and kind = 'go_live')",
    ),
    (
        "a shadow or live strategy has one open paper run of that phase, any other none",
        "select s.id::text || ' ' || s.state || ' ' || count(r.id) from strategies s
         left join paper_runs r on r.strategy_id = s.id and r.ended_at is null
         group by s.id having count(r.id) <> (s.state in ('shadow', 'live'))::int
             or (count(r.id) = 1 and min(r.phase) <> s.state)",
    ),
    (
        "there is a paper run for each time that a strategy entered shadow or live, begun at that time",
        "select s.id::text from strategies s
         where array(select from_ms || phase from paper_runs where strategy_id = s.id order by 1)
             <> array(select at_market_ms || to_state from transitions
                 where strategy_id = s.id and to_state in ('shadow', 'live') order by 1)",
    ),
    (
        "a strategy makes a paper trade once, whatever its runs",
        "select strategy_id::text || ' ' || symbol || ' ' || entry_time_ms from paper_trades
         group by strategy_id, symbol, entry_time_ms, side having count(*) > 1",
    ),
    (
        "no paper trade is outside its run, and there are as many as the run counts",
        "select r.id::text || ' counts ' || r.closed_trades || ', has ' || count(t.id) from paper_runs r
         left join (select run_id, id, entry_time_ms, exit_time_ms from paper_trades
             union all
             select p.id, n, (stay ->> 'entry_time_ms')::bigint, (stay ->> 'exit_time_ms')::bigint
                 from paper_runs p, jsonb_array_elements(p.portfolio -> 'stays') with ordinality e (stay, n)
                 where not (stay ->> 'open')::boolean) t on t.run_id = r.id
         group by r.id having count(t.id) <> r.closed_trades or min(t.entry_time_ms) < r.from_ms
             or max(t.exit_time_ms) > r.to_ms",
    ),
    (
        "a strategy decided on by the deployment manager left its run where the decision stands",
        "select r.id::text from paper_runs r join transitions t on t.strategy_id = r.strategy_id
             and t.from_state = r.phase and t.at_market_ms >= r.from_ms and r.ended_at is not null
         where not exists (select from paper_runs later where later.strategy_id = r.strategy_id
                 and later.from_ms > r.from_ms and later.from_ms < t.at_market_ms)
             and t.at_market_ms <> r.to_ms",
    ),
    (
        "each told transition is in the outbox once a channel, and nothing else of its kind is",
        "with told as (
             select case kind when 'go_live' then 'promotion' when 'demote' then 'demotion' else 'disabled' end
                 || ':' || strategy_id || ':' || at_market_ms as key
             from transitions where kind in ('go_live', 'demote') or (kind = 'disable' and from_state <> 'candidate')
             union all
             select case to_state when 'live' then 'promotion' else 'disabled' end || ':' || book_id || ':' || at_market_ms
             from book_transitions where to_state = 'live' or reason = 'deactivated'),
         wanted as (select key, channel from told, unnest(array['discord', 'slack']) channel),
         had as (select event_key, channel from outbox where kind in ('promotion', 'demotion', 'disabled'))
         select coalesce(event_key, key) || ' ' || coalesce(h.channel, w.channel)
         from had h full join wanted w on (event_key, h.channel) = (key, w.channel)
         where event_key is null or key is null",
    ),
    (
        "a book and its placebo have each day once from the beginning of its history on",
        "select book_id || ' ' || is_placebo from book_days d join books b on b.id = d.book_id
         group by book_id, is_placebo, from_ms
         having min(day_ms) <> from_ms or max(day_ms) - min(day_ms) <> (count(*) - 1) * 86400000",
    ),
    ("no notification was given up", "select event_key || ': ' || coalesce(last_error, '') from outbox where status = 'dead'"),
    (
        "parents are stored strategies, and not of a later session",
        "select s.id::text || ' of ' || p.id from strategies s cross join unnest(s.parent_ids) p(id)
         left join strategies f on f.id = p.id where f.id is null or f.created_at > s.created_at or f.id = s.id",
    ),
    (
        "candidates carry what was measured of them",
        "select s.id::text from strategies s where s.created_by = 'search'
         and (select count(*) from strategy_stats where strategy_id = s.id and source in ('backtest', 'holdout')) <> 2",
    ),
    (
        "what the search found has its run, with the trades that its figures count",
        "select s.id::text from strategies s left join backtest_runs r on r.strategy_id = s.id and r.session_id = s.session_id
         where s.created_by = 'search' and (r.id is null or (r.status = 'completed'
             -- What ranks the market has stays, which a run does not list.
             and ((select count(*) from backtest_trades t where t.run_id = r.id and segment = 'train')
                     <> case s.form when 'rules' then (r.results #>> '{backtest,total_trades}')::int else 0 end
                 or (select count(*) from backtest_trades t where t.run_id = r.id and segment = 'test')
                     <> case s.form when 'rules' then (r.results #>> '{holdout,total_trades}')::int else 0 end
                 or (select count(*) from walk_forward_windows w where w.run_id = r.id) <> r.window_count)))",
    ),
    (
        "the newest score of a strategy is one, and a session that ended is an optimisation",
        "select s.id::text from search_sessions s where s.status <> 'running'
             and (select count(*) from optimization_runs where session_id = s.id) <> 1
         union all select strategy_id::text from strategy_scores group by 1 having count(*) filter (where is_latest) <> 1",
    ),
    (
        "each transition is in the audit trail once",
        "select t.id::text from transitions t
         where (select count(*) from audit_logs where correlation_id = t.id and event_type = 'strategy_transition') <> 1",
    ),
    ("nothing failed", "select kind || ' ' || subject || ': ' || error from dead_letters"),
];

/// Asserts every rule, in one snapshot.
#[track_caller]
pub(crate) fn check(client: &mut Client) -> impl Future<Output = ()> {
    check_but(client, &[])
}

/// Asserts every rule but those named.
#[track_caller]
pub(crate) fn check_but(client: &mut Client, left_out: &[&str]) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let snapshot = client
            .build_transaction()
            .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .unwrap();
        let mut broken = Vec::new();
        for (rule, query) in RULES.iter().filter(|(rule, _)| !left_out.contains(rule)) {
            let rows = snapshot.query(*query, &[]).await.unwrap_or_else(|error| panic!("{rule}: {error:?}"));
            let rows: Vec<String> = rows.iter().take(5).map(|row| row.get(0)).collect();
            if !rows.is_empty() {
                broken.push(format!("{rule}: {rows:?}"));
            }
        }
        assert!(broken.is_empty(), "{caller}: the books do not hold:\n{}", broken.join("\n"));
    }
}

/// A number from a query.
pub(crate) async fn count(client: &Client, query: &str) -> i64 {
    client.query_one(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error:?}")).get(0)
}

#[tokio::test]
async fn every_rule_is_a_query_that_runs_and_an_empty_book_breaks_none() {
    let (database, _store) = super::support::database().await;
    check(&mut database.client().await).await;
}
