//! The walk: block after block, freeze, then trade, then go on. Its state is a value.
//!
//! A book's account goes on from block to block; it is traded anew from the walk's beginning for each block, by targets
//! that were frozen, so that nothing but members and days has to be kept.

use crate::{
    Block, Cash, Frozen, Heritage, Member, Netted, Pipeline,
    expectation::Luck,
    freeze, months,
    netting::{net, numbered},
    weighing::deviation,
};
use candles::time::DAY_MS;
use engine::performance;
use genome::{AnyStrategy, Ranking, random::Seed};
use portfolio::{Benchmark, Market, Panel, PanelError, PortfolioTerms, RunError, daily_returns, follow};
use protocol::{NoNull, SeenBefore, SplitPanel, UnseenPanel};
use serde::{Deserialize, Serialize};

/// Days that members run before a block, so that their targets are smoothed and their returns hedged when it begins.
const LEAD_DAYS: i64 = 150;
/// A universe has members once its names were listed for two months and traded for one.
const FIRST_MEMBERS_DAYS: i64 = 90;

/// Why a walk does not go on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum BookError {
    #[error(
        "a book is walked month by month from 00:00 UTC to 00:00 UTC, and the window holds no whole calendar month"
    )]
    NoBlock,
    #[error("candles end before the walk does: the last one closes {missing_days} days before its end")]
    Ends { missing_days: i64 },
    #[error(transparent)]
    Panel(#[from] PanelError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("there is no null market to tell luck by: {0}")]
    NoNull(#[from] NoNull),
    #[error(transparent)]
    Seen(#[from] SeenBefore),
}

/// A day of the book.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Day {
    /// 00:00 UTC at its beginning, ms.
    pub day_ms: i64,
    /// Return after costs.
    pub net: f64,
    /// Of the market; `None` where it has none.
    pub benchmark: Option<f64>,
}

/// A block that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traded {
    /// Which.
    #[serde(flatten)]
    pub block: Block,
    /// Strategies that its search evaluated.
    pub evaluated: u64,
    /// Of them, those that traded enough and unlike each other.
    pub distinct: u32,
    /// What luck did in null searches.
    pub luck: Option<Luck>,
    /// Share of promises that was kept before it.
    pub kept: f64,
    /// Who traded.
    pub members: Vec<Member>,
    /// Why nobody did.
    pub cash: Option<Cash>,
    /// Annual Sharpe ratio, hedged, of each member by itself in the block, in units of its deviation before.
    pub came: Vec<Option<f64>>,
    /// Its days.
    pub days: Vec<Day>,
    /// Sum of what was traded over equity, both sides.
    pub turnover: f64,
    /// Mean over its slots of the sum of absolute values held over equity.
    pub mean_gross: Option<f64>,
    /// Most negative equity / running peak - 1 on candle closes, from the walk's beginning.
    pub max_drawdown: Option<f64>,
}

/// A walk between two blocks: all that is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Walk {
    seed: Seed,
    from_ms: i64,
    to_ms: i64,
    blocks: Vec<Traded>,
    heritage: Heritage,
}

impl Walk {
    /// A walk at its beginning.
    ///
    /// # Errors
    /// [`BookError::NoBlock`].
    pub fn begin(seed: Seed, from_ms: i64, to_ms: i64) -> Result<Self, BookError> {
        months(from_ms, to_ms).ok_or(BookError::NoBlock)?;
        Ok(Self { seed, from_ms, to_ms, blocks: Vec::new(), heritage: Heritage::default() })
    }

    /// Blocks that are over.
    #[must_use]
    pub fn blocks(&self) -> &[Traded] {
        &self.blocks
    }

    /// All blocks.
    #[must_use]
    pub fn plan(&self) -> Vec<Block> {
        months(self.from_ms, self.to_ms).unwrap_or_default()
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.blocks.len() >= self.plan().len()
    }

    /// Days of blocks that are over.
    pub fn days(&self) -> impl Iterator<Item = &Day> {
        self.blocks.iter().flat_map(|block| &block.days)
    }
}

/// A walk on its market. What it keeps beside the state only saves work.
#[derive(Debug)]
pub struct Walker<'a> {
    pipeline: Pipeline<'a>,
    panel: &'a Panel,
    walk: Walk,
    /// What the book wanted in blocks that are over.
    wanted: Vec<Netted>,
}

impl<'a> Walker<'a> {
    /// Ready to go on with any state of a walk of this pipeline over this market.
    ///
    /// # Errors
    /// When the market ends before the walk does, or what was wanted cannot be computed again.
    pub fn new(pipeline: Pipeline<'a>, panel: &'a Panel, walk: Walk) -> Result<Self, BookError> {
        let missing_ms = walk.to_ms - panel.end_ms();
        if missing_ms > 0 {
            return Err(BookError::Ends { missing_days: missing_ms.div_euclid(DAY_MS).max(1) });
        }
        let mut wanted = Vec::new();
        for traded in &walk.blocks {
            let known = panel.until(traded.block.end_ms)?;
            wanted.extend(wants(&traded.members, &known, traded.block, pipeline.terms)?);
        }
        Ok(Self { pipeline, panel, walk, wanted })
    }

    /// The state.
    #[must_use]
    pub const fn walk(&self) -> &Walk {
        &self.walk
    }

    /// One block more; `None` where nothing is left to do.
    ///
    /// # Errors
    /// When it cannot be computed; the state stays as it was.
    pub fn advance(&mut self) -> Result<Option<&Traded>, BookError> {
        let Some(&block) = self.walk.plan().get(self.walk.blocks.len()) else { return Ok(None) };
        let first_ms = self.panel.opens_ms()[0] + FIRST_MEMBERS_DAYS * DAY_MS;
        let first_ms = first_ms.div_euclid(DAY_MS) * DAY_MS;
        let looks_back_ms = i64::from(self.pipeline.book.search_days) * DAY_MS;
        let from_ms = first_ms.max(block.begin_ms - looks_back_ms).min(block.begin_ms);
        let (frozen, traded, wanted) = if self.panel.close_ms(0) > block.begin_ms {
            // Nothing had closed: there is nothing to freeze a book by, and nobody trades.
            let known = self.panel.until(block.end_ms)?;
            let needed = self.pipeline.book.least_days;
            (None, self.nobody(block, &known, Cash::ShortHistory { days: 0, needed })?, Vec::new())
        } else {
            let split = SplitPanel::cut(self.panel, from_ms, block.begin_ms, block.end_ms)?;
            let seed = self.walk.seed.child("block", block.begin_ms.cast_unsigned());
            let frozen = freeze(self.pipeline, seed, self.walk.heritage.clone(), &split.searchable)?;
            let (traded, wanted) = self.trade(&frozen, &split.unseen, block)?;
            (Some(frozen), traded, wanted)
        };
        if let Some((frozen, came)) = frozen.map(|frozen| (frozen, &traded.1)) {
            self.walk.heritage = frozen.heritage;
            self.walk.heritage.kept.observe(block.days(), came);
        }
        self.wanted.extend(wanted);
        self.walk.blocks.push(traded.0);
        Ok(self.walk.blocks.last())
    }

    /// A block through which nobody trades, and no promises.
    fn nobody(&self, block: Block, known: &Panel, cash: Cash) -> Result<(Traded, Vec<(f64, f64)>), BookError> {
        let nobody = Traded {
            block,
            evaluated: 0,
            distinct: 0,
            luck: None,
            kept: self.walk.heritage.kept.fraction(),
            members: Vec::new(),
            cash: Some(cash),
            came: Vec::new(),
            days: Vec::new(),
            turnover: 0.0,
            mean_gross: None,
            max_drawdown: None,
        };
        Ok((self.account(nobody, known, &self.wanted)?, Vec::new()))
    }

    /// What a frozen book does in its block, and what became of what was promised.
    #[allow(clippy::type_complexity)]
    fn trade(
        &self,
        frozen: &Frozen,
        unseen: &UnseenPanel,
        block: Block,
    ) -> Result<((Traded, Vec<(f64, f64)>), Vec<Netted>), BookError> {
        let (known, ..) = unseen.evidence(frozen.seen)?;
        let wanted = wants(&frozen.members, known, block, self.pipeline.terms)?;
        let promised = hedged_in(block, known, frozen.considered.iter().map(|(s, ..)| s), self.pipeline.terms)?;
        let pairs = frozen.considered.iter().zip(&promised).filter_map(|((_, promised, deviation), days)| {
            let came = performance::mean(days.as_ref()?)? / deviation;
            came.is_finite().then_some((*promised, came))
        });
        let own = hedged_in(block, known, frozen.members.iter().map(|m| &m.strategy), self.pipeline.terms)?;
        let traded = Traded {
            block,
            evaluated: frozen.evaluated,
            distinct: frozen.distinct,
            luck: frozen.luck,
            kept: self.walk.heritage.kept.fraction(),
            members: frozen.members.clone(),
            cash: frozen.cash,
            came: own.iter().map(|days| sharpe(days.as_ref()?)).collect(),
            days: Vec::new(),
            turnover: 0.0,
            mean_gross: None,
            max_drawdown: None,
        };
        let all: Vec<Netted> = self.wanted.iter().chain(&wanted).cloned().collect();
        Ok(((self.account(traded, known, &all)?, pairs.collect()), wanted))
    }

    /// The account over the block, which goes on from the walk's beginning.
    fn account(&self, traded: Traded, known: &Panel, wanted: &[Netted]) -> Result<Traded, BookError> {
        let (terms, block) = (self.pipeline.terms, traded.block);
        let window = (self.walk.from_ms, block.end_ms);
        let track = follow(&numbered(wanted, known), known, window, self.pipeline.book.band, &terms)?;
        let (_, net) = daily_returns(&track.slots, self.walk.from_ms, terms.initial_capital);
        let before = ((block.begin_ms - self.walk.from_ms) / DAY_MS) as usize;
        let benchmark = Benchmark::of(known, block.begin_ms, block.days()).daily_returns;
        let day = |(k, (net, benchmark)): (i64, (&f64, Option<f64>))| Day {
            day_ms: block.begin_ms + k * DAY_MS,
            net: *net,
            benchmark,
        };
        let days = (0..).zip(net.iter().skip(before).zip(benchmark)).map(day).collect();
        let slots = &track.slots[track.slots.partition_point(|s| s.time_ms <= block.begin_ms)..];
        let gross: Vec<f64> = slots.iter().map(|s| s.gross / s.equity).filter(|g| g.is_finite()).collect();
        let equity = track.slots.iter().map(|s| s.equity);
        Ok(Traded {
            days,
            turnover: slots.iter().map(|s| s.turnover).sum(),
            mean_gross: performance::mean(&gross),
            max_drawdown: performance::max_drawdown(terms.initial_capital, equity),
            ..traded
        })
    }
}

/// Annual ratio of daily returns.
fn sharpe(days: &[f64]) -> Option<f64> {
    let deviation = deviation(days);
    let ratio = performance::mean(days)? / deviation * 365.0_f64.sqrt();
    ratio.is_finite().then_some(ratio)
}

/// From when members run, UTC ms.
const fn lead_ms(block: Block) -> i64 {
    block.begin_ms - LEAD_DAYS * DAY_MS
}

/// What members want in a block, netted.
fn wants(members: &[Member], known: &Panel, block: Block, terms: PortfolioTerms) -> Result<Vec<Netted>, BookError> {
    let rankings: Vec<&Ranking> = members.iter().filter_map(|m| m.strategy.ranking()).collect();
    let market = Market::new(known, lead_ms(block), block.end_ms, terms)?;
    let rebalances = market.targets(&rankings).into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(net(members, &rebalances, known, block))
}

/// Hedged returns of strategies on the days of a block; `None` where one cannot be evaluated.
fn hedged_in<'s>(
    block: Block,
    known: &Panel,
    strategies: impl Iterator<Item = &'s AnyStrategy>,
    terms: PortfolioTerms,
) -> Result<Vec<Option<Vec<f64>>>, BookError> {
    let rankings: Vec<&Ranking> = strategies.filter_map(AnyStrategy::ranking).collect();
    let market = Market::new(known, lead_ms(block), block.end_ms, terms)?;
    let within = |brief: portfolio::Brief| {
        brief.days.iter().filter(|day| day.day_ms >= block.begin_ms).map(|day| day.hedged).collect()
    };
    Ok(market.days(&rankings).into_iter().map(|brief| brief.ok().map(within)).collect())
}
