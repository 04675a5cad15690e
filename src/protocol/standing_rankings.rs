//! The same questions of strategies that rank the market: what is asked before a test, and what the hold-out proves.

use super::standing::{Book, Judged, Searched, Standing, UnderTest, asked_of};
use super::{Asked, DayBook, Known, Named, Proposed, SearchablePanel, SplitPanel};
use genome::{AnyStrategy, Ranking};
use lifecycle::Thresholds;
use portfolio::{Brief, Market, Panel, PortfolioTerms};
use std::ops::Deref;

/// Performance and days of each strategy; why not, of one that does not rank or cannot be evaluated.
pub(super) fn days_of<P: Deref<Target = Panel> + Clone + Send + Sync>(
    strategies: &[AnyStrategy],
    market: &Market<P>,
) -> Vec<Result<Brief, String>> {
    let rankings: Vec<&Ranking> = strategies.iter().filter_map(AnyStrategy::ranking).collect();
    let mut found = market.days(&rankings).into_iter();
    let one = |strategy: &AnyStrategy| match strategy {
        AnyStrategy::Ranking(_) => match found.next() {
            Some(found) => found.map_err(|error| error.to_string()),
            None => Err("it was not evaluated".to_owned()),
        },
        AnyStrategy::Rules(_) => Err("it trades by rules and ranks no market".to_owned()),
    };
    strategies.iter().map(one).collect()
}

/// As [`super::asked`], by hedged daily returns.
#[must_use]
pub fn asked_rankings(
    (found, known): (&[Proposed], &[Named]),
    searchable: &SearchablePanel,
    terms: PortfolioTerms,
    limits: &Thresholds,
) -> (Vec<Asked>, Vec<Known>) {
    let (from_ms, to_ms) = searchable.window_ms();
    let market = Market::new(&**searchable.panel(), from_ms, to_ms, terms);
    let of = |strategies: Vec<AnyStrategy>| -> Vec<Searched> {
        let Ok(market) = &market else { return vec![None; strategies.len()] };
        let hedged = |brief: Brief| (brief.performance, brief.days.iter().map(|day| day.hedged).collect());
        days_of(&strategies, market).into_iter().map(|brief| brief.ok().map(hedged)).collect()
    };
    let outcomes = of(found.iter().map(|(strategy, _)| strategy.clone()).collect());
    let others = of(known.iter().map(|(_, strategy)| strategy.clone()).collect());
    asked_of(found, outcomes, known, others, limits)
}

/// As [`super::judge`]: bets on days are suggested by the search window and won or lost on the hold-out.
#[must_use]
pub fn judge_rankings(
    candidates: &[UnderTest],
    split: &SplitPanel,
    terms: PortfolioTerms,
) -> Vec<Result<Judged, String>> {
    let strategies: Vec<AnyStrategy> = candidates.iter().map(|c| c.strategy.clone()).collect();
    let (searchable, unseen) = (&split.searchable, &split.unseen);
    let all = |why: String| vec![Err(why); candidates.len()];
    let (from_ms, to_ms) = searchable.window_ms();
    let searched = match Market::new(&**searchable.panel(), from_ms, to_ms, terms) {
        Ok(market) => days_of(&strategies, &market),
        Err(error) => return all(error.to_string()),
    };
    // Whoever has seen too much is left out below; the others are evaluated together.
    let holdout = match unseen.evidence(searchable.seen_until()) {
        Ok((panel, from_ms, to_ms)) => match Market::new(&**panel, from_ms, to_ms, terms) {
            Ok(market) => days_of(&strategies, &market),
            Err(error) => return all(error.to_string()),
        },
        Err(seen) => return all(seen.to_string()),
    };
    let measured = searched.into_iter().zip(holdout).zip(candidates);
    measured
        .map(|((backtest, holdout), UnderTest { p_value, null_searches, seen, test, .. })| {
            unseen.evidence(*seen).map_err(|seen| seen.to_string())?;
            let (backtest, holdout) = (backtest?, holdout?);
            let mut book = DayBook::open(&backtest.days)
                .ok_or_else(|| "its days over what the search saw do not vary".to_owned())?;
            let holdout_days = book.observe_by_day(&holdout.days);
            let holdout_results = book.results(&holdout.days);
            let standing = Standing {
                p_value: *p_value,
                null_searches: *null_searches,
                seen_until_ms: seen.ms(),
                level: test.level,
                shadow_level: test.shadow_level,
                holdout: book.values(),
                holdout_days,
                book: Book::Days(book),
            };
            Ok(Judged {
                backtest: backtest.performance,
                holdout: holdout.performance,
                backtest_trades: Vec::new(),
                holdout_trades: Vec::new(),
                holdout_results,
                standing,
            })
        })
        .collect()
}
