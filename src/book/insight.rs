//! What a book is made of: who of its members earned what, how alike they are, which names gave it, what it held and traded
//! day by day. For people: nothing here decides, and nothing of it is part of a walk.

use crate::{
    Block, BookError, Walker,
    netting::numbered,
    trading::{hedged_days, lead_ms, wants},
    weighing::correlation,
};
use candles::time::DAY_MS;
use engine::performance;
use portfolio::{Results, Slot, follow};
use serde::{Deserialize, Serialize};

/// Common days below which nothing is said of likeness.
const LEAST_DAYS: usize = 30;
/// Names that are told of, from either end.
const NAMES: usize = 12;

/// What the newest block is made of, and the account since the walk's beginning. Fractions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Insight {
    /// 00:00 UTC at the end of the newest day, ms.
    pub until_ms: i64,
    /// The newest block, as far as it was traded.
    #[serde(flatten)]
    pub block: Block,
    /// Members of it, in order.
    pub members: Vec<MemberInsight>,
    /// Days that correlations are of: those of the block, and of the run-up to it, which the search has seen in part.
    pub correlation_days: usize,
    /// Of hedged daily returns, member by member; `None` where they do not vary.
    pub correlations: Vec<Vec<Option<f64>>>,
    /// What the account gave since the walk began.
    pub all: Sources,
    /// What an account that began with the book's life gave; `None` before it has.
    pub life: Option<Sources>,
    /// A day each.
    pub days: Vec<Exposure>,
}

/// A member in the newest block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberInsight {
    /// SHA-256 of its canonical text.
    pub hash: String,
    /// Its family.
    pub niche: String,
    /// Share of the book's equity that its targets are of.
    pub weight: f64,
    /// Annual Sharpe ratio that was promised.
    pub expected_sharpe: f64,
    /// What came in the block, by itself; `None` before there are two days.
    pub sharpe: Option<f64>,
    /// Sum of its hedged daily returns in the block.
    pub hedged: f64,
    /// The same times its weight: its part of the book. Netting makes the book a little better than the sum.
    pub contribution: f64,
}

/// Where gains came from, as fractions of the first capital.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sources {
    /// When the account began, UTC ms.
    pub from_ms: i64,
    /// Of what was held long, after costs.
    pub long: f64,
    /// Of what was held short.
    pub short: f64,
    /// Names that gave or took most, the greatest gain first.
    pub names: Vec<Source>,
    /// How many names there are beside them, and what they gave together.
    pub others: (usize, f64),
}

/// One name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Source {
    pub name: String,
    pub total: f64,
    pub long: f64,
    pub short: f64,
    pub costs: f64,
}

/// What was held at the end of a day, over equity, and what was traded on it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exposure {
    /// 00:00 UTC at its beginning, ms.
    pub day_ms: i64,
    /// Sum of absolute values.
    pub gross: f64,
    /// Long less short.
    pub net: f64,
    /// Both sides.
    pub turnover: f64,
    /// Return of BTCUSDT; `None` where it has no candle at an end.
    pub btc: Option<f64>,
}

impl Walker<'_> {
    /// What the book is made of at a midnight up to which it was traded. `life_ms` is when its life began.
    ///
    /// # Errors
    /// When it cannot be computed.
    pub fn insight(&self, life_ms: i64) -> Result<Option<Insight>, BookError> {
        let walk = self.walk();
        let Some(traded) = walk.open().or_else(|| walk.blocks().last()) else { return Ok(None) };
        let Some(until_ms) = traded.days.last().map(|day| day.day_ms + DAY_MS) else { return Ok(None) };
        if self.panel().close_ms(0) > traded.block.begin_ms {
            return Ok(None);
        }
        let terms = self.pipeline().terms;
        let known = self.panel().until(until_ms)?;
        let block = Block { begin_ms: traded.block.begin_ms, end_ms: until_ms };
        let mut wanted = self.wanted().to_vec();
        if walk.open().is_some() {
            wanted.extend(wants(&traded.members, &known, block, terms)?);
        }
        let targets = numbered(&wanted, &known);
        let account = |from_ms: i64| {
            let track = follow(&targets, &known, (from_ms, until_ms), self.pipeline().book.band, &terms)?;
            let results = Results::of(&track, &known, from_ms, until_ms, &terms);
            Ok::<_, BookError>((track, results))
        };
        let (track, results) = account(walk.from_ms())?;
        let life = (life_ms < until_ms && life_ms > walk.from_ms()).then(|| account(life_ms)).transpose()?;
        let strategies = traded.members.iter().map(|m| &m.strategy);
        let days = hedged_days(&known, (lead_ms(block), until_ms), strategies, terms)?;
        let days = days.into_iter().collect::<Result<Vec<_>, _>>()?;
        let member = |(m, days): (&crate::Member, &Vec<(i64, f64)>)| {
            let own: Vec<f64> = days.iter().filter(|(day, _)| *day >= block.begin_ms).map(|(_, r)| *r).collect();
            let hedged: f64 = own.iter().sum();
            MemberInsight {
                hash: m.strategy.hash().to_string(),
                niche: m.niche.clone(),
                weight: m.weight,
                expected_sharpe: m.expected_sharpe,
                sharpe: performance::sharpe_ratio(&own),
                hedged: short(hedged),
                contribution: short(m.weight * hedged),
            }
        };
        let members = traded.members.iter().zip(&days).map(member).collect();
        let returns: Vec<Vec<f64>> = days.iter().map(|days| days.iter().map(|(_, r)| *r).collect()).collect();
        let correlation_days = returns.iter().map(Vec::len).min().unwrap_or(0);
        let row = |a: &Vec<f64>| {
            let one = |b: &Vec<f64>| correlation(a, b).filter(|_| correlation_days >= LEAST_DAYS).map(short);
            returns.iter().map(one).collect()
        };
        Ok(Some(Insight {
            until_ms,
            block,
            members,
            correlation_days,
            correlations: returns.iter().map(row).collect(),
            all: sources(&results, walk.from_ms()),
            life: life.map(|(_, results)| sources(&results, life_ms)),
            days: exposures(&track.slots, &results, walk.from_ms(), until_ms),
        }))
    }
}

/// Six digits are enough for people.
fn short(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn sources(results: &Results, from_ms: i64) -> Sources {
    let figures = &results.figures;
    let all = &figures.attribution;
    let told = |at: usize| at < NAMES || at + NAMES >= all.len();
    let (mut names, mut others) = (Vec::new(), (0, 0.0));
    for (at, a) in all.iter().enumerate() {
        if told(at) {
            names.push(Source {
                name: a.instrument.to_string(),
                total: short(a.total),
                long: short(a.long),
                short: short(a.short),
                costs: short(a.costs),
            });
        } else {
            others = (others.0 + 1, others.1 + a.total);
        }
    }
    Sources {
        from_ms,
        long: short(figures.long_gain),
        short: short(figures.short_gain),
        names,
        others: (others.0, short(others.1)),
    }
}

fn exposures(slots: &[Slot], results: &Results, from_ms: i64, until_ms: i64) -> Vec<Exposure> {
    let day = |(n, day_ms): (usize, i64)| {
        // A slot belongs to the day in which it closes, that at midnight to the day that ends.
        let begin = slots.partition_point(|slot| slot.time_ms <= day_ms);
        let end = slots.partition_point(|slot| slot.time_ms <= day_ms + DAY_MS);
        let last = end.checked_sub(1).map(|last| &slots[last]).filter(|slot| slot.equity > 0.0);
        Exposure {
            day_ms,
            gross: short(last.map_or(0.0, |slot| slot.gross / slot.equity)),
            net: short(last.map_or(0.0, |slot| slot.net / slot.equity)),
            turnover: short(slots[begin..end].iter().map(|slot| slot.turnover).sum()),
            btc: results.btc_daily.get(n).copied().flatten().map(short),
        }
    };
    (0..).zip((from_ms..until_ms).step_by(DAY_MS as usize)).map(day).collect()
}
