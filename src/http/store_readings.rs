//! Snapshots from the store: five short reads at once.

use super::snapshot::{
    AUDIT_RUNNER, Audit, Book, Deployment, Feed, Island, Model, Move, Passed, Protocol, Readings, Runner,
    STREAM_RUNNER, Snapshot, Stream, Tests, Trials,
};
use async_trait::async_trait;
use candles::MarketKind;
use candles::tail::TailState;
use evidence::{placebo::PlaceboComparison, volatility_regime::VolatilityRegime};
use std::time::Duration;
use store::{AssetRegime, BookLine, FeedStatus, GenerationRow, ModelLine, ProtocolTotals, RunnerStatus, Store};

/// A calendar month has no fixed length.
const LONGEST_MONTH_MS: i64 = 31 * 86_400_000;

/// Whoever works and was heard of within that time counts as there.
const HEARD_OF: Duration = Duration::from_secs(60);

#[async_trait]
impl Readings for Store {
    async fn snapshot(&self) -> Result<Snapshot, String> {
        let read = tokio::try_join!(
            self.overview(),
            self.feeds(),
            self.runners(),
            self.monitoring_snapshot(),
            self.work_status(HEARD_OF)
        );
        let (overview, feeds, runners, snapshot, work) = read.map_err(|error| error.to_string())?;
        let newest = overview.last_generations.iter().map(|row| row.created_at.timestamp_millis()).max();
        let promoted = overview.transitions.get("go_live").copied().unwrap_or(0);
        let regime = |AssetRegime { asset, regime }: AssetRegime| {
            let place = VolatilityRegime::ALL.iter().position(|one| *one == regime)?;
            Some((asset, u8::try_from(place).ok()?))
        };
        let open = |severity: &str| snapshot.open_drift_alerts.get(severity).copied().unwrap_or(0);
        Ok(Snapshot {
            lacks_room: self.lacks_room().map(ToOwned::to_owned),
            cache_lacks_room: None,
            protocol: protocol(overview.protocol, promoted),
            drift_alerts: [open("warning"), open("critical")],
            deployments: snapshot
                .deployments
                .into_iter()
                .map(|d| Deployment { strategy: d.strategy, total_return: d.total_return })
                .collect(),
            moves: snapshot
                .moves
                .into_iter()
                .map(|m| Move {
                    strategy_id: m.strategy_id.to_string(),
                    strategy: m.strategy,
                    kind: m.kind,
                    at_ms: m.at.timestamp_millis(),
                })
                .collect(),
            moved_lately: snapshot.moved_lately,
            allocated: snapshot.allocated_pct / 100.0,
            shadow_win_rate: median(snapshot.shadow_win_rates),
            shadow_evidence: snapshot.shadow_evidence,
            shadow_trades: snapshot.shadow_trades,
            queues: [
                ("backtests", snapshot.backtests_waiting),
                ("candidates", snapshot.candidates_waiting),
                ("notifications", overview.outbox.pending),
            ]
            .into(),
            regimes: snapshot.regimes.into_iter().filter_map(regime).collect(),
            last_review_ms: snapshot.last_review_at.map(|at| at.timestamp_millis()),
            work,
            book: snapshot.book.map(book).transpose()?,
            models: snapshot.models.into_iter().map(model).collect(),
            audit: runners.iter().find(|r| r.name == AUDIT_RUNNER).and_then(audit),
            last_generation_ms: newest,
            shadow_profit_factor: median(overview.shadow_profit_factors.into_values().collect()),
            simulated: overview.simulated,
            strategies: overview.strategies,
            by_form: overview.by_form,
            reached: overview.reached,
            transitions: overview.transitions,
            disabled: overview.disabled,
            islands: overview.last_generations.into_iter().map(island).collect(),
            trials: Trials {
                sessions: overview.trials.sessions,
                generations: overview.trials.generations,
                evaluations: overview.trials.evaluations,
                failures: overview.trials.failures,
            },
            open_dead_letters: overview.open_dead_letters,
            outbox_pending: overview.outbox.pending,
            outbox_dead: overview.outbox.dead,
            feeds: feeds.into_iter().map(feed).collect(),
            stream: runners.iter().find(|r| r.name == STREAM_RUNNER).and_then(stream),
            // The tail is told of by itself.
            runners: runners.into_iter().filter(|r| r.name != STREAM_RUNNER).map(runner).collect(),
        })
    }
}

/// What a failure said, without what addresses in it say of users.
fn shown(error: &str) -> String {
    telemetry::without_user_info(error).into_owned()
}

fn protocol(totals: ProtocolTotals, promoted: u64) -> Protocol {
    let t = totals;
    let compared = PlaceboComparison::of(t.real_tested, t.real_passed, t.placebo_tested, t.placebo_passed);
    let placebo = Passed {
        sessions: t.placebo_sessions,
        ranking_sessions: t.placebo_ranking_sessions,
        selected: t.placebo_selected,
        entered: t.placebo_passed,
        promoted: t.placebo_promoted,
    };
    Protocol {
        real: Passed {
            sessions: t.real_sessions,
            ranking_sessions: t.real_ranking_sessions,
            selected: t.real_selected,
            entered: t.real_passed,
            promoted,
        },
        placebo,
        null_searches: t.null_searches,
        null_evaluations: t.null_evaluations,
        p_value: compared.p_value,
        frozen: compared.frozen,
        tests: t.tests.map(|t| Tests {
            balance: t.balance,
            bought_last_year: t.bought_last_year,
            spent_last_year: t.spent_last_year,
            allowed_per_year: t.false_promotions_per_year,
            promotion_threshold: t.promotion_threshold,
            least_threshold: t.least_threshold,
            sells_ms: t.sells_ms,
            full_ms: t.full_ms,
        }),
    }
}

fn island(row: GenerationRow) -> Island {
    Island {
        name: row.island,
        form: row.form,
        session: row.session_number,
        generation: row.number,
        best_fitness: row.best_fitness,
        mean_fitness: row.mean_fitness,
        stored_ms: row.created_at.timestamp_millis(),
    }
}

fn feed(status: FeedStatus) -> Feed {
    let name = match status.market {
        MarketKind::Spot => status.symbol.to_string(),
        MarketKind::Um => format!("um:{}", status.symbol),
    };
    Feed {
        name,
        interval: status.interval.to_string(),
        interval_ms: status.interval.fixed_ms().unwrap_or(LONGEST_MONTH_MS),
        newest_close_ms: status.newest_close_ms,
        exchange_time_ms: status.exchange_time_ms,
        refreshed_ms: status.refreshed_at.timestamp_millis(),
        gaps: status.gaps,
        error: status.error.as_deref().map(shown),
    }
}

fn audit(status: &RunnerStatus) -> Option<Audit> {
    Some(Audit {
        holds: status.detail.get("holds")?.as_bool()?,
        verified_ms: status.last_succeeded_at?.timestamp_millis(),
    })
}

fn stream(status: &RunnerStatus) -> Option<Stream> {
    let state: TailState = serde_json::from_value(status.detail.clone()).ok()?;
    Some(Stream {
        connected: state.connected,
        last_candle_ms: state.last_candle_ms,
        reconnects: state.reconnects,
        error: state.error.as_deref().map(shown),
        last_connected_ms: status.last_succeeded_at.map(|at| at.timestamp_millis()),
        heartbeat_ms: status.heartbeat_at.timestamp_millis(),
    })
}

fn runner(status: RunnerStatus) -> Runner {
    Runner {
        name: status.name,
        last_success_ms: status.last_succeeded_at.map(|at| at.timestamp_millis()),
        last_error: status.last_error.as_deref().map(shown),
        consecutive_failures: status.consecutive_failures,
        heartbeat_ms: status.heartbeat_at.timestamp_millis(),
    }
}

/// The middle value, or the mean of the two in the middle; `None` for none.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = if values.len().is_multiple_of(2) { values[values.len() / 2 - 1] } else { upper };
    Some((lower + upper) / 2.0)
}

fn model(line: ModelLine) -> Model {
    Model {
        name: line.model,
        state: line.state,
        reason: line.reason,
        watched_ms: line.watched_at.timestamp_millis(),
        predicted_ms: line.predicted_ms,
        gain: line.gain,
        calibration_error: line.calibration_error,
        drift: line.drift,
        failed_fits: line.failed_fits,
    }
}

fn book(line: BookLine) -> Result<Book, String> {
    Ok(Book {
        state: line.state.parse()?,
        log_e: line.log_e,
        needed_log_e: line.needed_log_e,
        life_log_e: line.life_log_e,
        hedged_sharpe: line.hedged_sharpe,
        max_drawdown: line.max_drawdown,
        members: line.members,
        block_end_ms: line.block_end_ms,
        day_end_ms: line.day_end_ms,
        stepped_ms: line.stepped_at.timestamp_millis(),
        allocated: line.allocated_pct / 100.0,
    })
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    }
}
