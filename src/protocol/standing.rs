//! Where a strategy stands: what its search proved, what its hold-out proved, and the capital that shadow goes on with.
//!
//! Stored with the strategy when its session ends and never changed after: shadow is computed anew from its ledger.

use super::{Asked, Candidate, DayBook, Known, Named, Proposed, Searchable, SeenUntil, Test, Unseen};
use candles::{Interval, Symbol, time::DAY_MS};
use engine::{Engine, Ledger, Performance, Terms, Trade, Wanted, Window};
use evidence::marked::{Hedge, Marked, Steps};
use evidence::wealth::{Bets, Stake, Wealth};
use genome::AnyStrategy;
use lifecycle::{EValues, ProtocolEvidence, Thresholds, backtest_misses, results_in_risk};
use portfolio::Hedged;
use search::evaluate_rules;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Move of a price within a step that is reckoned with where the search window's largest was not kept.
const UNKNOWN_MOVE: f64 = 0.1;

/// What a strategy did over candles that nothing which shaped it had seen.
#[derive(Clone, Debug)]
pub enum Did {
    /// Trades of rules, over a window.
    Traded(Ledger, Arc<Window>),
    /// Days of a portfolio.
    Held(Vec<Hedged>),
}

/// Evidence at a day's end: UTC ms, and ln E on results in excess of exposure; `None` once everything is lost (E = 0).
pub type EvidenceDay = (i64, Option<f64>);

/// The bets on a strategy and what they have come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Book {
    /// Of rules, by steps of their candles.
    Steps(StepBook),
    /// Of a ranking, by days.
    Days(DayBook),
}

impl Book {
    /// The same bets, with nothing seen yet.
    #[must_use]
    pub fn anew(&self) -> Self {
        match self {
            Self::Steps(book) => Self::Steps(book.anew()),
            Self::Days(book) => Self::Days(book.anew()),
        }
    }

    /// Bets on what comes next alone, weighted by what the bets have come to.
    #[must_use]
    pub fn succeeding(&self) -> Self {
        match self {
            Self::Steps(book) => Self::Steps(book.succeeding()),
            Self::Days(book) => Self::Days(book.succeeding()),
        }
    }

    /// Takes in what a strategy did since. What another form of strategy does proves nothing, for good.
    pub fn observe(&mut self, did: &Did) {
        match (self, did) {
            (Self::Steps(book), Did::Traded(ledger, window)) => book.observe(ledger, window),
            (Self::Days(book), Did::Held(days)) => book.observe(days),
            (Self::Days(book), Did::Traded(..)) => book.ruin(),
            (Self::Steps(book), Did::Held(_)) => book.ruin(),
        }
    }

    /// The same, with ln E at the end of each day of it.
    pub fn observe_by_day(&mut self, did: &Did) -> Vec<EvidenceDay> {
        match (&mut *self, did) {
            (Self::Steps(book), Did::Traded(ledger, window)) => book.observe_by_day(ledger, window),
            (Self::Days(book), Did::Held(days)) => book.observe_by_day(days),
            _ => {
                self.observe(did);
                Vec::new()
            }
        }
    }

    /// Results one by one, which detectors watch: of trades in units of their risk, of days in deviations.
    #[must_use]
    pub fn results(&self, did: &Did) -> Vec<f64> {
        match (self, did) {
            (Self::Steps(_), Did::Traded(ledger, _)) => results_in_risk(&ledger.trades),
            (Self::Days(book), Did::Held(days)) => book.results(days),
            _ => Vec::new(),
        }
    }

    /// What they have come to.
    #[must_use]
    pub fn values(&self) -> EValues {
        match self {
            Self::Steps(book) => book.values(),
            Self::Days(book) => book.values(),
        }
    }
}

/// The bets on a strategy of rules and what they have come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepBook {
    timeframe: Interval,
    /// Mean exposure to each symbol over the search window, notional over risk; 0 for those that were followed and not
    /// searched.
    exposure: Vec<(Symbol, f64)>,
    /// Largest move against it in a step of the search window, in the order of `exposure`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    moves: Vec<f64>,
    excess: Wealth,
    plain: Wealth,
}

impl StepBook {
    /// Bets that the search window's ledger suggests; nothing won or lost yet.
    #[must_use]
    pub fn open(strategy: &AnyStrategy, ledger: &Ledger, window: &Window) -> Self {
        let timeframe = strategy.timeframe();
        let marked = Marked::new(ledger, window, timeframe);
        let hedges = marked.hedges();
        let steps = marked.steps(&hedges, hedges.len()).each;
        let suggested = |value: fn(&evidence::marked::Step) -> f64| {
            Wealth::new(Bets::suggested_by(&steps.iter().map(value).collect::<Vec<_>>()))
        };
        let names = window.symbols().iter().map(|s| s.symbol.clone());
        Self {
            timeframe,
            excess: suggested(|s| s.excess_r),
            plain: suggested(|s| s.result_r),
            moves: hedges.iter().map(|h| h.move_against).collect(),
            exposure: names.zip(hedges.iter().map(|h| h.exposure)).collect(),
        }
    }

    /// The same bets, with nothing seen yet.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self { excess: self.excess.anew(), plain: self.plain.anew(), ..self.clone() }
    }

    /// Bets on what comes next alone, weighted by what the bets have come to.
    #[must_use]
    pub fn succeeding(&self) -> Self {
        Self { excess: self.excess.succeeding(), plain: self.plain.succeeding(), ..self.clone() }
    }

    /// Takes a ledger in that follows what was seen so far. Of symbols that were not searched nothing is taken away, since
    /// nothing was known of their exposure: the bets have to hold out against every drift on all of it.
    pub fn observe(&mut self, ledger: &Ledger, window: &Window) {
        let steps = self.steps(ledger, window);
        self.excess.observe(steps.excess());
        self.plain.observe(steps.plain());
    }

    fn steps(&mut self, ledger: &Ledger, window: &Window) -> Steps {
        let hedges: Vec<Hedge> = window.symbols().iter().map(|s| self.hedge(&s.symbol)).collect();
        Marked::new(ledger, window, self.timeframe).steps(&hedges, self.exposure.len())
    }

    fn observe_by_day(&mut self, ledger: &Ledger, window: &Window) -> Vec<EvidenceDay> {
        let steps = self.steps(ledger, window);
        self.plain.observe(steps.plain());
        let mut days: Vec<EvidenceDay> = Vec::new();
        let ends = steps.each.iter().map(|step| step.end_ms);
        let mut next = ends.clone().skip(1);
        for (end_ms, stake) in ends.zip(steps.excess()) {
            self.excess.observe([stake]);
            // What ends at midnight belongs to the day before.
            let day = |ms: i64| (ms - 1).div_euclid(DAY_MS);
            if next.next().is_none_or(|next| day(next) != day(end_ms)) {
                days.push((end_ms, self.excess.log_e()));
            }
        }
        days
    }

    /// What is no step of rules proves nothing, for good.
    fn ruin(&mut self) {
        let broken = Stake { result: f64::NAN, ..Stake::default() };
        self.excess.observe([broken]);
        self.plain.observe([broken]);
    }

    fn hedge(&mut self, symbol: &Symbol) -> Hedge {
        let known = self.exposure.iter().position(|(name, _)| name == symbol);
        let at = known.unwrap_or_else(|| {
            self.exposure.push((symbol.clone(), 0.0));
            self.exposure.len() - 1
        });
        let move_against = self.moves.get(at).copied().unwrap_or(UNKNOWN_MOVE);
        Hedge { exposure: self.exposure[at].1, move_against, symbol: at }
    }

    /// What they have come to.
    #[must_use]
    pub fn values(&self) -> EValues {
        EValues { log_excess: self.excess.log_e(), log_plain: self.plain.log_e() }
    }
}

/// What is known of a strategy when its session ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// By maximum statistic over null searches; `None` where nobody searched.
    pub p_value: Option<f64>,
    /// Null searches that it rests on.
    pub null_searches: u32,
    /// What shaped it.
    pub seen_until_ms: i64,
    /// Chance of going live that it was given, should it have no edge, fraction: the price of its test.
    pub level: f64,
    /// The same, should its edge have died when shadow began.
    #[serde(default = "former_shadow_level")]
    pub shadow_level: f64,
    /// Over the hold-out.
    pub holdout: EValues,
    /// The same at the end of each day of it; empty in what was stored before this was kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holdout_days: Vec<EvidenceDay>,
    /// After the hold-out.
    pub book: Book,
}

/// What every strategy was given before tests were shared out in a session.
const fn former_shadow_level() -> f64 {
    0.2
}

impl Standing {
    /// For the candidate gate.
    #[must_use]
    pub fn evidence(&self) -> ProtocolEvidence {
        ProtocolEvidence {
            p_value: self.p_value,
            null_searches: self.null_searches,
            holdout: Some(self.holdout),
            shadow: None,
            total: Some(self.holdout),
            level: Some(self.level),
            shadow_level: Some(self.shadow_level),
        }
    }

    /// For the gate of shadow, with what the strategy did in shadow so far.
    ///
    /// The e-value of shadow alone is that of bets whose weights are what the hold-out left them, which was known when
    /// shadow began: they have learned how much to bet.
    #[must_use]
    pub fn since(&self, did: &Did) -> ProtocolEvidence {
        let (mut book, mut alone) = (self.book.clone(), self.book.succeeding());
        book.observe(did);
        alone.observe(did);
        ProtocolEvidence { shadow: Some(alone.values()), total: Some(book.values()), ..self.evidence() }
    }

    /// ln E of hold-out and what followed at the end of each day since; after a demotion (`first` is false) of what followed
    /// alone.
    #[must_use]
    pub fn days_since(&self, did: &Did, first: bool) -> Vec<EvidenceDay> {
        if first { self.book.clone() } else { self.book.succeeding() }.observe_by_day(did)
    }

    /// The same after the candles of the hold-out were revised: what the strategy did there is taken in anew. The bets
    /// stay what they were: they were known before the hold-out began.
    #[must_use]
    pub fn revised(&self, did: &Did) -> Self {
        let mut book = self.book.anew();
        let holdout_days = book.observe_by_day(did);
        Self { holdout: book.values(), holdout_days, book, ..self.clone() }
    }
}

/// A strategy measured on both sides of the split.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Over what the search saw.
    pub backtest: Performance,
    /// Over the hold-out.
    pub holdout: Performance,
    /// Trades over what the search saw, in order of entry.
    pub backtest_trades: Vec<Trade>,
    /// Trades over the hold-out; those of a ranking are stays that nobody lists here.
    pub holdout_trades: Vec<Trade>,
    /// Results of the hold-out one by one, which detectors are calibrated by.
    pub holdout_results: Vec<f64>,
    /// What was proved.
    pub standing: Standing,
}

/// A strategy whose test was bought.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct UnderTest {
    pub strategy: AnyStrategy,
    /// Of its search; `None` where nobody searched.
    pub p_value: Option<f64>,
    pub null_searches: u32,
    pub seen: SeenUntil,
    pub test: Test,
}

impl UnderTest {
    /// One of a session's best.
    #[must_use]
    pub fn candidate(candidate: &Candidate, test: Test) -> Self {
        Self {
            strategy: candidate.individual.strategy.clone(),
            p_value: Some(candidate.p_value),
            null_searches: candidate.null_searches,
            seen: candidate.seen,
            test,
        }
    }
}

/// Performance and daily net returns of each strategy over what a search saw; `None` where it cannot be evaluated.
fn searched_outcomes(
    strategies: &[AnyStrategy],
    searchable: &Searchable,
    engine: &Engine,
    terms: &Terms,
) -> Vec<Option<(Performance, Vec<f64>)>> {
    let outcomes = evaluate_rules(engine, strategies, searchable.window(), terms, Wanted::default());
    outcomes.into_iter().map(|outcome| outcome.ok().map(|o| (o.performance, o.daily_returns))).collect()
}

/// What is asked of each strategy before a test of it is bought: of those with their p-values, and of those that were
/// tested before.
#[must_use]
pub fn asked(
    (found, known): (&[Proposed], &[Named]),
    searchable: &Searchable,
    (engine, terms): (&Engine, &Terms),
    limits: &Thresholds,
) -> (Vec<Asked>, Vec<Known>) {
    let of = |strategies: Vec<AnyStrategy>| searched_outcomes(&strategies, searchable, engine, terms);
    let outcomes = of(found.iter().map(|(strategy, _)| strategy.clone()).collect());
    let others = of(known.iter().map(|(_, strategy)| strategy.clone()).collect());
    asked_of(found, outcomes, known, others, limits)
}

/// Performance and daily returns over the search window, where a strategy has them.
pub(super) type Searched = Option<(Performance, Vec<f64>)>;

pub(super) fn asked_of(
    found: &[Proposed],
    outcomes: Vec<Searched>,
    known: &[Named],
    others: Vec<Searched>,
    limits: &Thresholds,
) -> (Vec<Asked>, Vec<Known>) {
    let one = |((_, p_value), outcome): (&Proposed, Searched)| match outcome {
        Some((performance, returns)) => {
            Asked { p_value: *p_value, returns, refused: backtest_misses(limits, &performance) }
        }
        None => Asked {
            p_value: *p_value,
            returns: Vec::new(),
            refused: Some("it cannot be evaluated over what the search saw".to_owned()),
        },
    };
    let known = known.iter().zip(others).map(|((name, _), outcome)| Known {
        name: name.clone(),
        returns: outcome.map(|(_, returns)| returns).unwrap_or_default(),
    });
    (found.iter().zip(outcomes).map(one).collect(), known.collect())
}

/// Measures strategies on what the search saw and on what it did not; or says why one cannot be evaluated: it fails,
/// or it has seen the hold-out.
#[must_use]
pub fn judge(
    candidates: &[UnderTest],
    (searchable, unseen): (&Searchable, &Unseen),
    engine: &Engine,
    terms: &Terms,
) -> Vec<Result<Judged, String>> {
    let strategies: Vec<AnyStrategy> = candidates.iter().map(|c| c.strategy.clone()).collect();
    let seen = candidates.iter().map(|c| c.seen).max().unwrap_or(searchable.seen_until());
    let wanted = Wanted { ledger: true, ..Wanted::default() };
    let on = |window: &Window| evaluate_rules(engine, &strategies, window, terms, wanted);
    let searched = on(searchable.window());
    // Whoever has seen too much is left out below; the others are evaluated together.
    let open = unseen.evidence(seen).or_else(|_| unseen.evidence(searchable.seen_until()));
    let window = match open {
        Ok(window) => window,
        Err(seen) => return vec![Err(seen.to_string()); candidates.len()],
    };
    let measured = searched.into_iter().zip(on(window)).zip(candidates);
    measured
        .map(|((backtest, holdout), UnderTest { strategy, p_value, null_searches, seen, test })| {
            unseen.evidence(*seen).map_err(|seen| seen.to_string())?;
            let (backtest, holdout) = (backtest.map_err(|e| e.to_string())?, holdout.map_err(|e| e.to_string())?);
            let (before, after) = (backtest.ledger.unwrap_or_default(), holdout.ledger.unwrap_or_default());
            let mut book = StepBook::open(strategy, &before, searchable.window());
            let holdout_days = book.observe_by_day(&after, window);
            let book = Book::Steps(book);
            let standing = Standing {
                p_value: *p_value,
                null_searches: *null_searches,
                seen_until_ms: seen.ms(),
                level: test.level,
                shadow_level: test.shadow_level,
                holdout: book.values(),
                holdout_days,
                book,
            };
            Ok(Judged {
                backtest: backtest.performance,
                holdout: holdout.performance,
                backtest_trades: before.trades,
                holdout_results: results_in_risk(&after.trades),
                holdout_trades: after.trades,
                standing,
            })
        })
        .collect()
}
