//! Whole walks over markets, simulated or of shuffled candles, of which it is known what they hold: many weak edges that are born and die,
//! none, or ones that are all gone once a book's life begins.
//!
//! Never writes a file, never prints.

use crate::planting::planted;
use crate::{BookError, Course, DayFigures, Pipeline, Rules, Traded, Walk, Walker, course};
use candles::{Interval, time::DAY_MS};
use engine::performance;
use genome::random::Seed;
use lifecycle::EdgeDecayConfig;
use portfolio::{Panel, PanelError};
use protocol::{NullKind, NullPanelError, null_panel};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp};
use serde::{Deserialize, Serialize};
use simulated::{EdgeKind, EdgeSpec, MarketSpec, SimulatedMarket, SpecError};

/// 2019-01-01, where every simulated market begins.
const START_MS: i64 = 1_546_300_800_000;
/// Candles before a walk begins: two universes' worth of listing and the least that a search needs.
const BEFORE_DAYS: i64 = 270;
/// Annual Sharpe ratio of a planted edge, before costs, for whoever knows it.
const SHARPE: (f64, f64) = (0.3, 1.5);
/// Mean life of an edge, days.
const MEAN_LIFE_DAYS: f64 = 730.0;

/// What the markets hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BookWorld {
    /// Nothing.
    Noise,
    /// Weak edges, born at any time, that live two years in the mean.
    Changing,
    /// Weak edges that are there from the beginning until the book's life begins.
    Dying,
    /// Weak edges for all time.
    Lasting,
}

impl BookWorld {
    /// All.
    pub const ALL: [Self; 4] = [Self::Noise, Self::Changing, Self::Dying, Self::Lasting];

    /// The name on the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Changing => "changing",
            Self::Dying => "dying",
            Self::Lasting => "lasting",
        }
    }
}

/// What markets are made of.
#[derive(Clone, Copy, Debug)]
pub enum MadeOf<'a> {
    /// So many simulated coins, from 2019 on.
    Coins(u32),
    /// Candles that there are, shuffled in time within blocks of a year, with their listings and volumes.
    Candles(&'a Panel),
}

/// How markets are made and walked.
#[derive(Clone, Copy, Debug)]
pub struct BookCalibration<'a> {
    /// Names markets and walks.
    pub seed: Seed,
    /// What the markets are made of.
    pub made_of: MadeOf<'a>,
    /// Edges of each that holds some.
    pub edges: u32,
    /// Years of history, and of life after it.
    pub years: (u32, u32),
    /// How books are chosen and traded.
    pub pipeline: Pipeline<'a>,
    /// What ends a live one.
    pub decay: &'a EdgeDecayConfig,
}

/// What became of one market.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Calibrated {
    pub world: BookWorld,
    pub number: u64,
    /// Annual Sharpe ratio of hedged days, history and life.
    pub hedged_sharpe: Option<f64>,
    pub history_log_e: Option<f64>,
    pub log_e: Option<f64>,
    pub placebo_max_log_e: f64,
    pub live_after_days: Option<i64>,
    pub left_after_days: Option<i64>,
    /// Hedged return between the two, or to the end (fraction).
    pub live_return: f64,
    pub members_mean: Option<f64>,
    /// Mean over members and blocks of the Sharpe ratios that were promised, and that came.
    pub promised: Option<f64>,
    pub came: Option<f64>,
}

/// Why a market could not be walked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum BookCalibrationError {
    #[error(transparent)]
    Market(#[from] SpecError),
    #[error(transparent)]
    Panel(#[from] PanelError),
    /// The candles do not last as long as history and life.
    #[error(
        "the candles end after {has} days, and a book of {years} years of history and life needs {needs}; ask for less \
         history, or download more"
    )]
    TooShort {
        /// Days that there are.
        has: i64,
        /// Years that are asked for.
        years: u32,
        /// Days that they need.
        needs: i64,
    },
    #[error(transparent)]
    Null(#[from] NullPanelError),
    #[error(transparent)]
    Walk(#[from] BookError),
    #[error("it was told to stop")]
    Stopped,
}

impl BookCalibration<'_> {
    /// Walks the market with this number, and its placebo, and follows what becomes of the book.
    ///
    /// # Errors
    /// When it cannot be made or walked; [`BookCalibrationError::Stopped`] where `stop` says so before.
    pub fn run(
        &self,
        world: BookWorld,
        number: u64,
        stop: &dyn Fn() -> bool,
    ) -> Result<Calibrated, BookCalibrationError> {
        let seed = self.seed.child(world.name(), number);
        let start_ms = self.start_ms()?;
        let from_ms = start_ms + BEFORE_DAYS * DAY_MS;
        let began_ms = from_ms + i64::from(self.years.0) * 365 * DAY_MS;
        let to_ms = began_ms + i64::from(self.years.1) * 365 * DAY_MS;
        let panel = self.market(world, seed, (start_ms, began_ms, to_ms))?;
        let (days, blocks) = self.walked(&panel, seed, (from_ms, to_ms), stop)?;
        let placebo = crate::placebo(&panel, seed)?;
        let (placebo, _) = self.walked(&placebo, seed, (from_ms, to_ms), stop)?;
        let rules =
            Rules { book: self.pipeline.book, decay: self.decay, pipeline: 1, began_ms, seed: seed.child("course", 0) };
        let Course { live_ms, left_ms, .. } = course(&days, Some(&placebo), rules);
        let hedged: Vec<f64> = days.iter().map(|day| day.hedged).collect();
        let history = days.iter().take_while(|day| day.day_ms < began_ms).last();
        let live = |day: &&DayFigures| {
            live_ms.is_some_and(|live| day.day_ms >= live) && left_ms.is_none_or(|left| day.day_ms < left)
        };
        let of_members =
            |of: fn(&Traded) -> Vec<f64>| performance::mean(&blocks.iter().flat_map(of).collect::<Vec<_>>());
        let members: Vec<f64> = blocks.iter().map(|block| block.members.len() as f64).collect();
        Ok(Calibrated {
            world,
            number,
            hedged_sharpe: performance::sharpe_ratio(&hedged),
            history_log_e: history.and_then(|day| day.bet_log_e),
            log_e: days.last().and_then(|day| day.bet_log_e),
            placebo_max_log_e: placebo.iter().filter_map(|day| day.bet_log_e).fold(0.0, f64::max),
            live_after_days: live_ms.map(|live| (live - began_ms) / DAY_MS),
            left_after_days: live_ms.zip(left_ms).map(|(live, left)| (left - live) / DAY_MS),
            live_return: days.iter().filter(live).fold(1.0, |equity, day| equity * (1.0 + day.hedged)) - 1.0,
            members_mean: performance::mean(&members),
            promised: of_members(|block| block.members.iter().map(|m| m.expected_sharpe).collect()),
            came: of_members(|block| block.came.iter().copied().flatten().collect()),
        })
    }

    fn walked(
        &self,
        panel: &Panel,
        seed: Seed,
        (from_ms, to_ms): (i64, i64),
        stop: &dyn Fn() -> bool,
    ) -> Result<(Vec<DayFigures>, Vec<Traded>), BookCalibrationError> {
        let walk = Walk::begin(seed.child("walk", 0), from_ms, to_ms)?;
        let mut walker = Walker::new(self.pipeline, panel, walk)?;
        loop {
            let search = walker.block_search()?;
            let made =
                search.map(|search| search.all(&|_| stop())?.ok_or(BookCalibrationError::Stopped)).transpose()?;
            if walker.advance_by(made)?.is_none() {
                break;
            }
        }
        Ok((walker.walk().day_figures(), walker.walk().blocks().to_vec()))
    }

    /// When markets begin: the first whole day, UTC ms.
    ///
    /// # Errors
    /// [`BookCalibrationError::TooShort`].
    pub fn start_ms(&self) -> Result<i64, BookCalibrationError> {
        let MadeOf::Candles(panel) = self.made_of else { return Ok(START_MS) };
        let first = panel.opens_ms().first().map_or(0, |ms| (ms + DAY_MS - 1).div_euclid(DAY_MS));
        let last = panel.opens_ms().len().checked_sub(1).map_or(0, |slot| panel.close_ms(slot).div_euclid(DAY_MS));
        let years = self.years.0 + self.years.1;
        let (has, needs) = (last - first, BEFORE_DAYS + i64::from(years) * 365);
        if has < needs { Err(BookCalibrationError::TooShort { has, years, needs }) } else { Ok(first * DAY_MS) }
    }

    fn market(
        &self,
        world: BookWorld,
        seed: Seed,
        (start_ms, began_ms, to_ms): (i64, i64, i64),
    ) -> Result<Panel, BookCalibrationError> {
        let mut rng = seed.stream("edges", 0);
        let count = if world == BookWorld::Noise { 0 } else { self.edges };
        let edges = (0..count).map(|_| edge(world, (start_ms, began_ms, to_ms), &mut rng)).collect();
        match self.made_of {
            MadeOf::Coins(coins) => {
                let days = u32::try_from((to_ms - start_ms) / DAY_MS).unwrap_or(u32::MAX);
                let spec = MarketSpec::coins(seed.child("market", 0), start_ms, coins, days)?;
                let market = SimulatedMarket::new(MarketSpec { edges, ..spec })?;
                Ok(protocol::calibration::panel(&market, start_ms, to_ms)?)
            }
            MadeOf::Candles(panel) => {
                let shuffled = null_panel(&panel.until(to_ms)?, NullKind::Time, seed.child("market", 0))?;
                Ok(planted(&shuffled, &edges)?)
            }
        }
    }
}

/// One of the customary kinds, of any strength and horizon.
fn edge(world: BookWorld, (start_ms, began_ms, to_ms): (i64, i64, i64), rng: &mut impl Rng) -> EdgeSpec {
    let kind = match rng.random_range(0..3) {
        0 => EdgeKind::RankMomentum { days: rng.random_range(3..=40) },
        1 => EdgeKind::RankReversal { days: rng.random_range(1..=5) },
        _ => EdgeKind::RankVolume { days: rng.random_range(1..=5), against: rng.random_range(15..=60) },
    };
    let sharpe = rng.random_range(SHARPE.0..SHARPE.1);
    let born_ms = rng.random_range(start_ms..to_ms) / DAY_MS * DAY_MS;
    let life = Exp::new(1.0 / MEAN_LIFE_DAYS).map_or(MEAN_LIFE_DAYS, |life| life.sample(rng));
    // One that was there when the market began had been born before it.
    let born_ms = if rng.random_bool(0.5) { start_ms } else { born_ms };
    let (start_ms, end_ms) = match world {
        BookWorld::Changing => (born_ms, Some(born_ms + (life * DAY_MS as f64) as i64)),
        BookWorld::Dying => (start_ms, Some(began_ms)),
        BookWorld::Noise | BookWorld::Lasting => (start_ms, None),
    };
    EdgeSpec { interval: Interval::D1, start_ms, end_ms, ..EdgeSpec::lasting(kind, Vec::new(), sharpe) }
}
