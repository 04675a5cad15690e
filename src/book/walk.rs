//! The walk: block after block, freeze, then trade, then go on. Its state is a value.
//!
//! A block that is not over is traded as far as there are candles: a walk over history goes on into the present by the same
//! steps, and what a block came to is the same whether it was traded at once or day by day.
//!
//! A book's account goes on from block to block; it is traded anew from the walk's beginning for each block, by targets
//! that were frozen, so that nothing but members and days has to be kept.

use crate::{
    Block, BlockNullFound, BlockSearch, Cash, Chosen, Heritage, Member, Netted, Pipeline, Searched, Weighing,
    blocks::block,
    expectation::Luck,
    freeze::frozen,
    months,
    netting::numbered,
    trading::{HedgedDays, hedged_days, hedged_in, wants},
    weighing::{deviation, weights},
};
use candles::time::DAY_MS;
use engine::performance;
use genome::random::Seed;
use portfolio::{Benchmark, Panel, PanelError, RunError, daily_returns, follow};
use protocol::{NoNull, NullKind, NullPanelError, SearchablePanel, SeenBefore, SeenUntil, SplitPanel, null_panel};
use search::Step;
use serde::{Deserialize, Serialize};

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
    #[error("there is no null search {number} of a block that has {count} of them")]
    NoSuchNull { number: u32, count: u32 },
    #[error("a block needs {needed:?} null searches, and {had:?} were made")]
    NotSearched { needed: Option<u32>, had: Option<u32> },
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
    /// Whether the book holds something, or ends it: known when it begins.
    pub at_risk: bool,
}

/// A block that is over, or as far as it has been traded.
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

/// A walk between two steps: all that is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Walk {
    seed: Seed,
    from_ms: i64,
    /// `None` for a walk that goes on for as long as candles come.
    to_ms: Option<i64>,
    blocks: Vec<Traded>,
    heritage: Heritage,
    /// The book of the block that is not over.
    frozen: Option<Chosen>,
    /// That block, as far as it was traded.
    open: Option<Traded>,
}

impl Walk {
    /// A walk at its beginning.
    ///
    /// # Errors
    /// [`BookError::NoBlock`].
    pub fn begin(seed: Seed, from_ms: i64, to_ms: i64) -> Result<Self, BookError> {
        months(from_ms, to_ms).ok_or(BookError::NoBlock)?;
        Ok(Self { to_ms: Some(to_ms), ..Self::endless(seed, from_ms) })
    }

    /// A walk that goes on for as long as candles come, from the first midnight at or after a time.
    #[must_use]
    pub fn endless(seed: Seed, from_ms: i64) -> Self {
        let from_ms = from_ms + (-from_ms).rem_euclid(DAY_MS);
        Self { seed, from_ms, to_ms: None, blocks: Vec::new(), heritage: Heritage::default(), frozen: None, open: None }
    }

    /// Its beginning, UTC ms.
    #[must_use]
    pub const fn from_ms(&self) -> i64 {
        self.from_ms
    }

    /// Blocks that are over.
    #[must_use]
    pub fn blocks(&self) -> &[Traded] {
        &self.blocks
    }

    /// The block that is not over, as far as it was traded.
    #[must_use]
    pub const fn open(&self) -> Option<&Traded> {
        self.open.as_ref()
    }

    /// What was frozen for the block that is not over.
    #[must_use]
    pub const fn frozen(&self) -> Option<&Chosen> {
        self.frozen.as_ref()
    }

    /// The block that is not over, or comes next; `None` where nothing is left to do.
    #[must_use]
    pub fn next(&self) -> Option<Block> {
        let begin_ms = self.blocks.last().map_or(self.from_ms, |last| last.block.end_ms);
        block(begin_ms, self.to_ms)
    }

    /// Blocks of a walk with an end; those that there are of one without.
    #[must_use]
    pub fn planned(&self) -> usize {
        self.to_ms.and_then(|to_ms| months(self.from_ms, to_ms)).map_or(self.blocks.len(), |all| all.len())
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.next().is_none()
    }

    /// Days that were traded.
    pub fn days(&self) -> impl Iterator<Item = &Day> {
        self.blocks.iter().chain(&self.open).flat_map(|block| &block.days)
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

/// Nothing stops a search but the signal that ends the program.
const NEVER: fn(Step) -> bool = |_| false;

impl<'a> Walker<'a> {
    /// Ready to go on with any state of a walk of this pipeline over this market.
    ///
    /// # Errors
    /// When the market ends before the walk does, or what was wanted cannot be computed again.
    pub fn new(pipeline: Pipeline<'a>, panel: &'a Panel, walk: Walk) -> Result<Self, BookError> {
        let missing_ms = walk.to_ms.map_or(i64::MIN, |to_ms| to_ms - panel.end_ms());
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

    /// The same with what the book wanted in blocks that are over, as [`Walker::into_parts`] gave it: nothing is computed
    /// again.
    #[must_use]
    pub fn with(pipeline: Pipeline<'a>, panel: &'a Panel, (walk, wanted): (Walk, Vec<Netted>)) -> Self {
        Self { pipeline, panel, walk, wanted }
    }

    /// The state, and what the book wanted in blocks that are over: for when there are new candles.
    #[must_use]
    pub fn into_parts(self) -> (Walk, Vec<Netted>) {
        (self.walk, self.wanted)
    }

    /// The state.
    #[must_use]
    pub const fn walk(&self) -> &Walk {
        &self.walk
    }

    pub(crate) const fn pipeline(&self) -> Pipeline<'a> {
        self.pipeline
    }

    pub(crate) const fn panel(&self) -> &'a Panel {
        self.panel
    }

    /// What the book wanted in blocks that are over.
    pub(crate) fn wanted(&self) -> &[Netted] {
        &self.wanted
    }

    /// One block more; `None` where nothing is left to do.
    ///
    /// # Errors
    /// When it cannot be computed; the state stays as it was.
    pub fn advance(&mut self) -> Result<Option<&Traded>, BookError> {
        let made = self.block_search()?.map(|search| search.all(&NEVER)).transpose()?.flatten();
        self.advance_by(made)
    }

    /// The same by searches of [`Walker::block_search`].
    ///
    /// # Errors
    /// When it cannot be computed, or what is to be searched was not; the state stays as it was.
    pub fn advance_by(&mut self, made: Option<(Searched, Vec<BlockNullFound>)>) -> Result<Option<&Traded>, BookError> {
        let Some(block) = self.walk.next() else { return Ok(None) };
        self.freeze_by(made)?;
        self.trade(block.end_ms)?;
        Ok(self.walk.blocks.last())
    }

    /// Freezes the book of the next block, where its beginning has come and that was not done. Whether it did.
    ///
    /// # Errors
    /// When it cannot be computed; the state stays as it was.
    pub fn freeze(&mut self) -> Result<bool, BookError> {
        let made = self.block_search()?.map(|search| search.all(&NEVER)).transpose()?.flatten();
        self.freeze_by(made)
    }

    /// The block whose book is to be frozen next, where its beginning has come and that was not done.
    fn to_freeze(&self) -> Option<Block> {
        let next = self.walk.next().filter(|block| block.begin_ms <= self.panel.end_ms());
        next.filter(|_| self.walk.frozen.is_none())
    }

    /// What a block may be searched on; `None` where nothing had closed before it.
    fn searchable(&self, block: Block) -> Result<Option<SearchablePanel>, BookError> {
        if self.panel.close_ms(0) > block.begin_ms {
            return Ok(None);
        }
        let split = SplitPanel::cut(self.panel, self.searched_from_ms(block), block.begin_ms, block.end_ms)?;
        Ok(Some(split.searchable))
    }

    /// What is to be searched before [`Walker::freeze_by`]; `None` where that needs no search.
    ///
    /// # Errors
    /// When the market cannot be cut.
    pub fn block_search(&self) -> Result<Option<BlockSearch>, BookError> {
        let Some(block) = self.to_freeze() else { return Ok(None) };
        let searchable = self.searchable(block)?;
        Ok(searchable.and_then(|on| BlockSearch::of(self.pipeline, self.walk.seed, &self.walk.heritage, &on)))
    }

    /// [`Walker::freeze`] by searches of [`Walker::block_search`], made elsewhere or in another order.
    ///
    /// # Errors
    /// When it cannot be computed, or what is to be searched was not; the state stays as it was.
    pub fn freeze_by(&mut self, made: Option<(Searched, Vec<BlockNullFound>)>) -> Result<bool, BookError> {
        let Some(block) = self.to_freeze() else { return Ok(false) };
        let heritage = self.walk.heritage.clone();
        let chosen = if let Some(searchable) = self.searchable(block)? {
            let needed = BlockSearch::of(self.pipeline, self.walk.seed, &heritage, &searchable);
            let (needed, had) = (needed.map(|s| s.nulls().count()), made.as_ref().map(|(_, nulls)| nulls.len() as u32));
            if needed != had {
                return Err(BookError::NotSearched { needed, had });
            }
            frozen(self.pipeline, heritage, &searchable, made)
        } else {
            // Nothing had closed: there is nothing to freeze a book by, and nobody trades.
            let cash = Cash::ShortHistory { days: 0, needed: self.pipeline.book.least_days };
            Chosen::cash(cash, heritage, SeenUntil::stated(block.begin_ms))
        };
        self.walk.frozen = Some(chosen);
        Ok(true)
    }

    /// Trades the block of a frozen book up to a midnight for which there are candles; the block is over where that is
    /// its end. Whether anything is new.
    ///
    /// # Errors
    /// When it cannot be computed; the state stays as it was.
    pub fn trade(&mut self, until_ms: i64) -> Result<bool, BookError> {
        let (Some(frozen), Some(block)) = (&self.walk.frozen, self.walk.next()) else { return Ok(false) };
        let until_ms = until_ms.min(block.end_ms).min(self.panel.end_ms()).div_euclid(DAY_MS) * DAY_MS;
        let done_ms = block.begin_ms + self.walk.open.as_ref().map_or(0, |open| open.days.len() as i64 * DAY_MS);
        if until_ms <= done_ms {
            return Ok(false);
        }
        let so_far = Block { begin_ms: block.begin_ms, end_ms: until_ms };
        let (traded, came, wanted) = self.traded(frozen, block, so_far)?;
        if until_ms < block.end_ms {
            self.walk.open = Some(traded);
            return Ok(true);
        }
        if let Some(chosen) = self.walk.frozen.take() {
            self.walk.heritage = chosen.heritage;
            self.walk.heritage.kept.observe(block.days(), &came);
        }
        self.wanted.extend(wanted);
        self.walk.open = None;
        self.walk.blocks.push(traded);
        Ok(true)
    }

    /// The same walk with the members of each block that is over weighed in another way: all is traded anew, nothing is
    /// searched. Who is a member does not depend on weights.
    ///
    /// # Errors
    /// When it cannot be computed.
    pub fn weighed(&self, weighing: Weighing) -> Result<Walk, BookError> {
        let walk = Walk { to_ms: self.walk.to_ms, ..Walk::endless(self.walk.seed, self.walk.from_ms) };
        let mut other = Self::with(self.pipeline, self.panel, (walk, Vec::new()));
        for traded in &self.walk.blocks {
            let seen = SeenUntil::stated(traded.block.begin_ms);
            let (members, cash) = (self.members_weighed(traded, weighing)?, traded.cash);
            let nothing = Chosen::cash(Cash::NothingMeasured, Heritage::default(), seen);
            other.walk.frozen = Some(Chosen { members, cash, ..nothing });
            other.trade(traded.block.end_ms)?;
        }
        Ok(other.walk)
    }

    fn members_weighed(&self, traded: &Traded, weighing: Weighing) -> Result<Vec<Member>, BookError> {
        let (block, members) = (traded.block, &traded.members);
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let known = self.panel.until(block.begin_ms)?;
        let window = (self.searched_from_ms(block), block.begin_ms);
        let days = hedged_days(&known, window, members.iter().map(|m| &m.strategy), self.pipeline.terms)?;
        let returns = |days: Result<HedgedDays, _>| Ok(days?.into_iter().map(|(_, r)| r).collect());
        let returns: Vec<Vec<f64>> = days.into_iter().map(returns).collect::<Result<_, BookError>>()?;
        let returns: Vec<&[f64]> = returns.iter().map(Vec::as_slice).collect();
        let expected: Vec<f64> = members.iter().map(|m| m.expected_sharpe).collect();
        let shares = weights(weighing, &returns, &expected);
        Ok(members.iter().zip(shares).map(|(m, weight)| Member { weight, ..m.clone() }).collect())
    }

    /// From when on a block's search trades, UTC ms.
    fn searched_from_ms(&self, block: Block) -> i64 {
        let first_ms = self.panel.opens_ms()[0] + FIRST_MEMBERS_DAYS * DAY_MS;
        let first_ms = first_ms.div_euclid(DAY_MS) * DAY_MS;
        let looks_back_ms = i64::from(self.pipeline.book.search_days) * DAY_MS;
        first_ms.max(block.begin_ms - looks_back_ms).min(block.begin_ms)
    }

    /// What a frozen book did in its block, as far as asked, what became of what was promised, and what it wanted.
    #[allow(clippy::type_complexity)]
    fn traded(
        &self,
        frozen: &Chosen,
        block: Block,
        so_far: Block,
    ) -> Result<(Traded, Vec<(f64, f64)>, Vec<Netted>), BookError> {
        let traded = Traded {
            block,
            evaluated: frozen.evaluated,
            distinct: frozen.distinct,
            luck: frozen.luck,
            kept: self.walk.heritage.kept.fraction(),
            members: frozen.members.clone(),
            cash: frozen.cash,
            came: Vec::new(),
            days: Vec::new(),
            turnover: 0.0,
            mean_gross: None,
            max_drawdown: None,
        };
        if self.panel.close_ms(0) > block.begin_ms {
            let known = self.panel.until(so_far.end_ms)?;
            return Ok((self.account(traded, &known, &self.wanted, so_far)?, Vec::new(), Vec::new()));
        }
        // Only what the frozen book has not seen is handed out.
        let split = SplitPanel::cut(self.panel, self.searched_from_ms(block), block.begin_ms, so_far.end_ms)?;
        let (known, ..) = split.unseen.evidence(frozen.seen)?;
        let terms = self.pipeline.terms;
        let wanted = wants(&frozen.members, known, so_far, terms)?;
        let came = if so_far == block {
            let promised = hedged_in(block, known, frozen.considered.iter().map(|(s, ..)| s), terms)?;
            let pairs = frozen.considered.iter().zip(&promised).filter_map(|((_, promised, deviation), days)| {
                let came = performance::mean(days.as_ref()?)? / deviation;
                came.is_finite().then_some((*promised, came))
            });
            pairs.collect()
        } else {
            Vec::new()
        };
        let own = hedged_in(so_far, known, frozen.members.iter().map(|m| &m.strategy), terms)?;
        let traded = Traded { came: own.iter().map(|days| sharpe(days.as_ref()?)).collect(), ..traded };
        let all: Vec<Netted> = self.wanted.iter().chain(&wanted).cloned().collect();
        Ok((self.account(traded, known, &all, so_far)?, came, wanted))
    }

    /// The account over a block, which goes on from the walk's beginning.
    fn account(&self, traded: Traded, known: &Panel, wanted: &[Netted], block: Block) -> Result<Traded, BookError> {
        let terms = self.pipeline.terms;
        let window = (self.walk.from_ms, block.end_ms);
        let track = follow(&numbered(wanted, known), known, window, self.pipeline.book.band, &terms)?;
        let (_, net) = daily_returns(&track.slots, self.walk.from_ms, terms.initial_capital);
        let before = ((block.begin_ms - self.walk.from_ms) / DAY_MS) as usize;
        let benchmark = Benchmark::of(known, block.begin_ms, block.days()).daily_returns;
        // What was held in the block before is sold on the first day.
        let held = self.walk.blocks.last().is_some_and(|before| !before.members.is_empty());
        let holds = !traded.members.is_empty();
        let day = |(k, (net, benchmark)): (i64, (&f64, Option<f64>))| Day {
            day_ms: block.begin_ms + k * DAY_MS,
            net: *net,
            benchmark,
            at_risk: holds || k == 0 && held,
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

/// The null market over which the placebo of a walk with this seed goes: it lasts as candles come.
///
/// # Errors
/// Prices so far apart that a null candle would be none.
pub fn placebo(panel: &Panel, seed: Seed) -> Result<Panel, NullPanelError> {
    null_panel(panel, NullKind::Mirrored, seed.child("placebo", 0))
}

/// Annual ratio of daily returns.
fn sharpe(days: &[f64]) -> Option<f64> {
    let deviation = deviation(days);
    let ratio = performance::mean(days)? / deviation * 365.0_f64.sqrt();
    ratio.is_finite().then_some(ratio)
}
