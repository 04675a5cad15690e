//! What members want in a block, netted, and what strategies earn by themselves, hedged.
//!
//! Looks at no more of the market than it is handed, and keeps no account.

use crate::{Block, BookError, Member, Netted, netting::net};
use candles::time::DAY_MS;
use genome::{AnyStrategy, Ranking};
use portfolio::{Market, Panel, PortfolioTerms, RunError};

/// Days that members run before a block, so that their targets are smoothed and their returns hedged when it begins.
const LEAD_DAYS: i64 = 150;

/// From when members run, UTC ms.
pub(crate) const fn lead_ms(block: Block) -> i64 {
    block.begin_ms - LEAD_DAYS * DAY_MS
}

/// What members want in a block, netted.
pub(crate) fn wants(
    members: &[Member],
    known: &Panel,
    block: Block,
    terms: PortfolioTerms,
) -> Result<Vec<Netted>, BookError> {
    let rankings: Vec<&Ranking> = members.iter().filter_map(|m| m.strategy.ranking()).collect();
    let market = Market::new(known, lead_ms(block), block.end_ms, terms)?;
    let rebalances = market.targets(&rankings).into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(net(members, &rebalances, known, block))
}

/// Hedged returns of strategies on the days of a block; `None` where one cannot be evaluated.
pub(crate) fn hedged_in<'s>(
    block: Block,
    known: &Panel,
    strategies: impl Iterator<Item = &'s AnyStrategy>,
    terms: PortfolioTerms,
) -> Result<Vec<Option<Vec<f64>>>, BookError> {
    let within = |days: Vec<(i64, f64)>| {
        days.into_iter().filter(|(day_ms, _)| *day_ms >= block.begin_ms).map(|(_, r)| r).collect()
    };
    let all = hedged_days(known, (lead_ms(block), block.end_ms), strategies, terms)?;
    Ok(all.into_iter().map(|days| days.ok().map(within)).collect())
}

/// 00:00 UTC at each day's beginning, ms, and its hedged return.
pub(crate) type HedgedDays = Vec<(i64, f64)>;

/// Hedged daily returns of strategies traded by themselves over a window, UTC ms.
pub(crate) fn hedged_days<'s>(
    known: &Panel,
    (from_ms, to_ms): (i64, i64),
    strategies: impl Iterator<Item = &'s AnyStrategy>,
    terms: PortfolioTerms,
) -> Result<Vec<Result<HedgedDays, RunError>>, BookError> {
    let rankings: Vec<&Ranking> = strategies.filter_map(AnyStrategy::ranking).collect();
    let market = Market::new(known, from_ms, to_ms, terms)?;
    let days = |brief: portfolio::Brief| brief.days.iter().map(|day| (day.day_ms, day.hedged)).collect();
    Ok(market.days(&rankings).into_iter().map(|brief| brief.map(days)).collect())
}
