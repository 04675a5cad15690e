//! A snapshot as mirrored metrics: what the database holds, in Prometheus's text format. Pure.

use super::snapshot::{Book, Model, Snapshot, age_s};
use genome::StrategyForm;
use lifecycle::State;
use std::collections::BTreeSet;
use store::{ModelState, WorkStatus};
use telemetry::metrics::{self as m, Exposition};

/// Writes the mirrored metrics; without a snapshot only that the database is down.
#[must_use]
pub(super) fn render(snapshot: Option<&Snapshot>, now_ms: i64) -> String {
    let mut out = Exposition::default();
    out.write(&m::BUILD_INFO, [([env!("CARGO_PKG_VERSION")], 1.0)]);
    out.write(&m::DATABASE_UP, [([], if snapshot.is_some() { 1.0 } else { 0.0 })]);
    let Some(s) = snapshot else { return out.finish() };

    let count = |map: &std::collections::BTreeMap<String, u64>, key: &str| map.get(key).copied().unwrap_or(0) as f64;
    let in_state = |state: State| ([state.name()], s.strategies.get(&state).copied().unwrap_or(0) as f64);
    out.write(&m::STRATEGIES_TOTAL, State::ALL.map(in_state));
    let of_form = |(form, counts): (&StrategyForm, &std::collections::BTreeMap<State, u64>)| {
        let form = form.name();
        let in_state = |state: State| ([state.name(), form], counts.get(&state).copied().unwrap_or(0) as f64);
        State::ALL.map(in_state)
    };
    out.write(&m::STRATEGIES, s.by_form.iter().flat_map(of_form));
    let promotions = [("shadow", "enter_shadow"), ("live", "go_live")];
    out.write(&m::PROMOTIONS_TOTAL, promotions.map(|(status, kind)| ([status], count(&s.transitions, kind))));
    out.write(&m::DEMOTIONS_TOTAL, [([], count(&s.transitions, "demote"))]);
    out.write(&m::DISABLINGS_TOTAL, [([], count(&s.transitions, "disable"))]);
    out.write(&m::SHADOW_PF, s.shadow_profit_factor.map(|factor| ([], factor)));

    let fitness = |i: &'_ super::snapshot::Island| i.best_fitness.unwrap_or(f64::NAN);
    out.write(
        &m::GENERATION_FITNESS,
        s.islands.iter().map(|i| (["latest", i.name.as_str(), i.form.name()], fitness(i))),
    );
    out.write(&m::LAST_GENERATION_TIMESTAMP, s.last_generation_ms.map(|at| ([], at as f64 / 1000.0)));
    out.write(&m::GENERATIONS_TOTAL, [([], s.trials.generations as f64)]);
    out.write(&m::EVALUATIONS_TOTAL, [([], s.trials.evaluations as f64)]);

    let markets = [("real", s.protocol.real), ("placebo", s.protocol.placebo)];
    let by_form = |(market, p): (&'static str, super::snapshot::Passed)| {
        let rules = p.sessions.saturating_sub(p.ranking_sessions);
        let forms = [(StrategyForm::Rules, rules), (StrategyForm::Ranking, p.ranking_sessions)];
        forms.map(|(form, sessions)| ([market, form.name()], sessions as f64))
    };
    out.write(&m::PROTOCOL_SESSIONS_TOTAL, markets.into_iter().flat_map(by_form));
    out.write(&m::PROTOCOL_SELECTED_TOTAL, markets.map(|(market, p)| ([market], p.selected as f64)));
    out.write(&m::PROTOCOL_ENTERED_TOTAL, markets.map(|(market, p)| ([market], p.entered as f64)));
    out.write(&m::PROTOCOL_PROMOTED_TOTAL, markets.map(|(market, p)| ([market], p.promoted as f64)));
    out.write(&m::NULL_EVALUATIONS_TOTAL, [([], s.protocol.null_evaluations as f64)]);
    out.write(&m::PLACEBO_P_VALUE, s.protocol.p_value.map(|p| ([], p)));
    let tests = s.protocol.tests.as_ref();
    out.write(&m::TESTS_SPENT_RATIO, tests.map(|t| ([], t.spent_last_year / t.allowed_per_year)));
    out.write(&m::PROMOTION_THRESHOLD, tests.and_then(|t| Some(([], t.promotion_threshold?))));
    out.write(&m::PROMOTIONS_FROZEN, [([], f64::from(u8::from(s.protocol.frozen)))]);

    out.write(&m::DEAD_LETTERS, [([], s.open_dead_letters as f64)]);
    out.write(&m::OUTBOX_PENDING, [([], s.outbox_pending as f64)]);
    out.write(&m::OUTBOX_DEAD, [([], s.outbox_dead as f64)]);

    let feed_age = |f: &'_ super::snapshot::Feed| f.behind_s().unwrap_or(0.0) + f.refresh_age_s(now_ms);
    let mut feeds: Vec<_> = s.feeds.iter().collect();
    // One series a symbol: of several intervals the finest.
    feeds.sort_by(|a, b| (&a.name, a.interval_ms).cmp(&(&b.name, b.interval_ms)));
    feeds.dedup_by(|later, earlier| later.name == earlier.name);
    out.write(&m::DATA_AGE_SECONDS, feeds.iter().map(|f| ([f.name.as_str()], feed_age(f))));
    out.write(&m::DATA_GAPS, feeds.iter().map(|f| ([f.name.as_str()], f.gaps as f64)));

    let severities = ["warning", "critical"];
    out.write(&m::DRIFT_ALERTS, severities.iter().zip(s.drift_alerts).map(|(name, n)| ([*name], n as f64)));
    let profit = |d: &'_ super::snapshot::Deployment| d.total_return.unwrap_or(f64::NAN);
    // Names are for people and may be had twice; a series may not. The largest deployment comes first.
    let mut named = BTreeSet::new();
    let deployments = s.deployments.iter().filter(|d| named.insert(d.strategy.as_str()));
    out.write(&m::LIVE_PROFIT_RATIO, deployments.map(|d| ([d.strategy.as_str()], profit(d))));
    let moved = |m: &'_ super::snapshot::Move| m.at_ms as f64 / 1000.0;
    out.write(
        &m::STRATEGY_MOVED_TIMESTAMP_SECONDS,
        s.moves.iter().map(|m| ([m.strategy.as_str(), m.strategy_id.as_str(), m.kind.as_str()], moved(m))),
    );
    out.write(&m::ALLOCATED_RATIO, [([], s.allocated)]);
    out.write(&m::SHADOW_EVIDENCE_RATIO, s.shadow_evidence.map(|share| ([], share)));
    out.write(&m::SHADOW_WIN_RATE, s.shadow_win_rate.map(|rate| ([], rate)));
    out.write(&m::SHADOW_TRADES, [([], s.shadow_trades as f64)]);
    out.write(&m::QUEUE_DEPTH, s.queues.iter().map(|(name, n)| ([*name], *n as f64)));
    out.write(&m::MARKET_REGIME, s.regimes.iter().map(|(asset, place)| ([asset.as_str()], f64::from(*place))));
    out.write(&m::LAST_REVIEW_TIMESTAMP_SECONDS, s.last_review_ms.map(|at| ([], at as f64 / 1000.0)));
    out.write(&m::AUDIT_CHAIN_VALID, s.audit.map(|a| ([], if a.holds { 1.0 } else { 0.0 })));
    out.write(&m::AUDIT_VERIFIED_TIMESTAMP_SECONDS, s.audit.map(|a| ([], a.verified_ms as f64 / 1000.0)));
    let exchange = s.feeds.iter().filter_map(|f| f.exchange_time_ms).max();
    out.write(&m::EXCHANGE_TIMESTAMP_SECONDS, exchange.map(|at| ([], at as f64 / 1000.0)));
    let refreshed = s.feeds.iter().map(|f| f.refresh_age_s(now_ms)).min_by(f64::total_cmp);
    out.write(&m::FEED_REFRESH_AGE_SECONDS, refreshed.map(|age| ([], age)));

    let tail = s.stream.as_ref();
    out.write(&m::STREAM_CONNECTED, tail.map(|t| ([], f64::from(u8::from(t.connected)))));
    let told = tail.and_then(|t| t.last_candle_ms);
    out.write(&m::STREAM_LAST_CANDLE_TIMESTAMP_SECONDS, told.map(|at| ([], at as f64 / 1000.0)));
    out.write(&m::STREAM_RECONNECTS_TOTAL, tail.map(|t| ([], t.reconnects as f64)));

    if let Some(b) = &s.book {
        book(&mut out, b);
    }

    models(&mut out, &s.models);
    work(&mut out, &s.work);

    let success = |at: i64| at as f64 / 1000.0;
    let succeeded = s.runners.iter().filter_map(|r| Some(([r.name.as_str()], success(r.last_success_ms?))));
    out.write(&m::RUNNER_LAST_SUCCESS_TIMESTAMP_SECONDS, succeeded);
    let failures = s.runners.iter().map(|r| ([r.name.as_str()], f64::from(r.consecutive_failures)));
    out.write(&m::RUNNER_CONSECUTIVE_FAILURES, failures);
    out.write(
        &m::RUNNER_HEARTBEAT_AGE_SECONDS,
        s.runners.iter().map(|r| ([r.name.as_str()], age_s(now_ms, r.heartbeat_ms))),
    );
    out.finish()
}

fn models(out: &mut Exposition, all: &[Model]) {
    let each = |value: fn(&Model) -> Option<f64>| {
        all.iter().filter_map(move |model| Some(([model.name.as_str()], value(model)?)))
    };
    out.write(&m::MODEL_PREDICTED_TIMESTAMP_SECONDS, each(|m| m.predicted_ms.map(|at_ms| at_ms as f64 / 1000.0)));
    out.write(&m::MODEL_LOG_LOSS_GAIN, each(|m| m.gain));
    out.write(&m::MODEL_CALIBRATION_ERROR_RATIO, each(|m| m.calibration_error));
    out.write(&m::MODEL_DRIFT_EVIDENCE_RATIO, each(|m| m.drift));
    out.write(&m::MODEL_DRIFTING, each(|m| Some(f64::from(u8::from(m.state == ModelState::Drifting)))));
    out.write(&m::MODEL_FAILING, each(|m| Some(f64::from(u8::from(m.state == ModelState::Failing)))));
    out.write(&m::MODEL_FAILED_FITS, each(|m| Some(m.failed_fits as f64)));
    out.write(&m::MODEL_WATCHED_TIMESTAMP_SECONDS, each(|m| Some(m.watched_ms as f64 / 1000.0)));
}

fn work(out: &mut Exposition, w: &WorkStatus) {
    let states = [("waiting", w.waiting), ("taken", w.taken), ("failed", w.failed)];
    out.write(&m::WORK_JOBS, states.map(|(state, n)| ([state], n as f64)));
    out.write(&m::WORK_QUEUE_DEPTH, [([], w.waiting as f64)]);
    out.write(&m::WORK_OLDEST_SECONDS, w.oldest_s.map(|oldest_s| ([], oldest_s)));
    out.write(&m::WORK_WORKERS, [([], w.workers.iter().filter(|w| w.is_there).count() as f64)]);
    out.write(&m::WORK_DONE_PER_SECOND, [([], w.done_per_second)]);
    out.write(&m::WORK_LOST, [([], w.lost as f64)]);
    out.write(&m::WORK_DISAGREEMENTS, [([], w.disagreements as f64)]);
}

fn book(out: &mut Exposition, b: &Book) {
    let seconds = |at: Option<i64>| at.map(|at| ([], at as f64 / 1000.0));
    let pairs = |values: [Option<f64>; 2]| {
        ["real", "placebo"].into_iter().zip(values).filter_map(|(market, value)| Some(([market], value?)))
    };
    out.write(&m::BOOK_STATE, State::ALL.map(|state| ([state.name()], f64::from(u8::from(state == b.state)))));
    out.write(&m::BOOK_LOG_E, pairs(b.log_e));
    out.write(&m::BOOK_NEEDED_LOG_E, b.needed_log_e.map(|value| ([], value)));
    out.write(&m::BOOK_LIFE_LOG_E, b.life_log_e.map(|value| ([], value)));
    out.write(&m::BOOK_HEDGED_SHARPE_RATIO, pairs(b.hedged_sharpe));
    out.write(&m::BOOK_MAX_DRAWDOWN_RATIO, b.max_drawdown.map(|value| ([], value)));
    out.write(&m::BOOK_MEMBERS, [([], f64::from(b.members))]);
    out.write(&m::BOOK_ALLOCATED_RATIO, [([], b.allocated)]);
    out.write(&m::BOOK_BLOCK_END_TIMESTAMP_SECONDS, seconds(b.block_end_ms));
    out.write(&m::BOOK_DAY_TIMESTAMP_SECONDS, seconds(b.day_end_ms));
    out.write(&m::BOOK_STEP_TIMESTAMP_SECONDS, seconds(Some(b.stepped_ms)));
}
