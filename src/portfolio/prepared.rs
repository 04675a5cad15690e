//! What strategies look at over one window of a panel, computed for all of them together.
//!
//! Members are chosen once for each universe and clock, parts of scores computed once for all scores that have them, and
//! their values kept where somebody decides by them: one a seat. Trades nothing.

use crate::{
    Benchmark, Members, Panel, PortfolioTerms, RunError,
    betas::Betas,
    columns::{ColumnError, Kept, Source, compute, compute_with},
    field::{Column, Field},
    formulas::{Formulas, Id},
    members::{Volumes, volumes},
    score::{Score, Scores},
    seating::Seating,
};
use candles::{MarketKind, interval};
use engine::Slippage;
use genome::{Expression, Indicator, IndicatorKind, Number, Ranking, Timeframe, Universe};
use rayon::prelude::*;
use std::{collections::HashMap, ops::Deref, sync::Arc};

/// One strategy, ready to trade.
pub(crate) struct Ready {
    pub(crate) scores: Scores,
    pub(crate) members: Arc<Members>,
    /// Those whose units can be borrowed, where not all can.
    pub(crate) lenders: Option<Arc<Members>>,
    pub(crate) atr: Option<Arc<Atr>>,
    /// Slopes that weights are neutralised by, where several strategies share them.
    pub(crate) betas: Option<Arc<Betas>>,
}

/// The average true range that slippage is a fraction of, at every candle.
#[derive(Debug)]
pub(crate) struct Atr {
    field: Arc<Field>,
    columns: Vec<Column>,
}

impl Atr {
    /// At a candle of an instrument; NaN where undefined.
    pub(crate) fn at(&self, instrument: u32, candle: usize) -> f64 {
        self.field.place(instrument).map_or(f64::NAN, |(group, lane)| self.columns[group].at(candle, lane))
    }
}

/// A window of a panel and what was found out about it.
#[derive(Debug)]
pub(crate) struct Ground<P> {
    panel: P,
    from_ms: i64,
    to_ms: i64,
    volumes: HashMap<u32, Arc<Volumes>>,
    members: HashMap<(Universe, Clock), Arc<Members>>,
    /// By universe and returns, with the round in which they were asked for last.
    betas: HashMap<(Universe, u32), (Arc<Betas>, u64)>,
    round: u64,
    /// What is left for later populations, in bytes at most.
    most_bytes: usize,
    formulas: Formulas,
    field: Option<Arc<Field>>,
    /// Where members stand in it.
    seatings: HashMap<(Universe, Clock), Arc<Seating>>,
    looked_at: Vec<bool>,
    kept: Kept,
}

/// Slopes that are left for later populations at most, in bytes.
pub(crate) const MOST_SLOPES: usize = 64 << 20;

/// Formulas that are remembered at most.
const MOST_FORMULAS: usize = 20_000;

/// Slots at whose closes members are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Clock {
    /// Those of the window at which candles of a timeframe close.
    Of(Timeframe),
    /// Every slot of the panel.
    Every,
}

/// A score, numbers of its parts and of its volatility, and of the seating.
type Plan = (Score, Vec<usize>, Option<usize>, usize);

/// Where the values of a part are wanted.
struct Part {
    formula: Id,
    seating: usize,
}

impl<P: Deref<Target = Panel> + Sync> Ground<P> {
    /// Of what it computes at most `most_bytes` are left for later populations.
    pub(crate) fn new(panel: P, from_ms: i64, to_ms: i64, most_bytes: usize) -> Self {
        let looked_at = vec![false; panel.instruments().len()];
        Self {
            panel,
            from_ms,
            to_ms,
            volumes: HashMap::new(),
            members: HashMap::new(),
            betas: HashMap::new(),
            round: 0,
            most_bytes,
            formulas: Formulas::default(),
            field: None,
            seatings: HashMap::new(),
            looked_at,
            kept: Kept::default(),
        }
    }

    /// The instruments that anybody has looked at so far, those of these members included.
    fn field<'m>(&mut self, members: impl Iterator<Item = &'m Arc<Members>>) -> Arc<Field> {
        let mut grown = false;
        for seat in members.flat_map(|members| members.seats()) {
            grown |= !std::mem::replace(&mut self.looked_at[seat.instrument as usize], true);
        }
        if grown || self.field.is_none() {
            // Columns of other groups are of no use.
            self.kept = Kept::default();
            self.seatings.clear();
            self.field = Some(Arc::new(Field::new(&self.panel, |instrument| self.looked_at[instrument as usize])));
        }
        self.field.clone().unwrap_or_else(|| Arc::new(Field::new(&self.panel, |_| false)))
    }

    fn slots(&self, clock: Clock) -> Vec<usize> {
        let opens = self.panel.opens_ms();
        let Clock::Of(timeframe) = clock else { return (0..opens.len()).collect() };
        let first = opens.partition_point(|&open| open < self.from_ms);
        let on_clock = |slot: &usize| {
            let close_ms = self.panel.close_ms(*slot);
            close_ms > self.from_ms && close_ms < self.to_ms && interval::open_time_ms(timeframe, close_ms) == close_ms
        };
        (first..opens.len()).filter(on_clock).collect()
    }

    fn members(&self, universe: Universe, clock: Clock) -> Option<Arc<Members>> {
        self.members.get(&(universe, clock)).cloned()
    }

    /// Where the members of a universe stand in the field.
    fn seating(&mut self, field: &Field, key: (Universe, Clock), members: &Members) -> Arc<Seating> {
        self.seatings.entry(key).or_insert_with(|| Arc::new(Seating::new(members, field))).clone()
    }

    /// Chooses the members of what is not known yet.
    fn choose(&mut self, asked: Vec<(Universe, Clock)>) {
        let mut missing: Vec<_> = asked.into_iter().filter(|key| !self.members.contains_key(key)).collect();
        missing.sort_unstable();
        missing.dedup();
        for (universe, _) in &missing {
            let days = universe.volume_days;
            self.volumes.entry(days).or_insert_with(|| Arc::new(volumes(&self.panel, days)));
        }
        let found: Vec<_> = missing
            .into_par_iter()
            .map(|(universe, clock)| {
                let volumes = &self.volumes[&universe.volume_days];
                let members = Members::at_slots(&self.panel, universe, self.slots(clock), volumes);
                ((universe, clock), Arc::new(members))
            })
            .collect();
        self.members.extend(found);
    }

    /// The slopes that a strategy's weights are neutralised by, those of others with the same universe and returns. Where
    /// nothing is left for others there are none.
    fn betas(&mut self, strategy: &Ranking) -> Option<Arc<Betas>> {
        let returns = strategy.weights.beta_neutral.filter(|_| self.most_bytes > 0)?;
        let slots = self.panel.opens_ms().len();
        let new = || (Arc::new(Betas::new(returns, slots)), 0);
        let (betas, round) = self.betas.entry((strategy.universe, returns)).or_insert_with(new);
        *round = self.round;
        Some(betas.clone())
    }

    /// Drops slopes that nobody asked for in this round and the longest before, until few are left.
    fn forget_betas(&mut self) {
        self.round += 1;
        let mut bytes: usize = self.betas.values().map(|(betas, _)| betas.bytes()).sum();
        if bytes <= MOST_SLOPES {
            return;
        }
        let mut oldest: Vec<_> = self.betas.iter().map(|(key, (betas, round))| (*round, *key, betas.bytes())).collect();
        oldest.sort_unstable();
        for (_, key, own) in oldest {
            if bytes <= MOST_SLOPES {
                break;
            }
            self.betas.remove(&key);
            bytes -= own;
        }
    }

    /// Each strategy with what it looks at.
    pub(crate) fn prepare(&mut self, strategies: &[&Ranking], terms: &PortfolioTerms) -> Vec<Result<Ready, RunError>> {
        self.forget_betas();
        let betas: Vec<Option<Arc<Betas>>> = strategies.iter().map(|strategy| self.betas(strategy)).collect();
        let lends = terms.execution.borrowable_members > 0 && self.panel.market() == MarketKind::Spot;
        let lent = |universe| Universe { top: terms.execution.borrowable_members, ..universe };
        let mut formulas = std::mem::take(&mut self.formulas);
        if formulas.len() > MOST_FORMULAS {
            (formulas, self.kept) = (Formulas::default(), Kept::default());
        }
        let mut plans: Vec<Plan> = Vec::with_capacity(strategies.len());
        let (mut seatings, mut parts): (Vec<(Universe, Clock)>, Vec<Part>) = (Vec::new(), Vec::new());
        let mut known: HashMap<(Id, usize), usize> = HashMap::new();
        for strategy in strategies {
            let seat = (strategy.universe, Clock::Of(strategy.rebalance));
            let seating = seatings.iter().position(|s| *s == seat).unwrap_or_else(|| {
                seatings.push(seat);
                seatings.len() - 1
            });
            let sight = (strategy.universe, strategy.weights.inverse_volatility);
            let mut part = |formula| {
                *known.entry((formula, seating)).or_insert_with(|| {
                    parts.push(Part { formula, seating });
                    parts.len() - 1
                })
            };
            let volatility = sight.1.map(|returns| part(formulas.volatility(returns)));
            let mut own = Vec::new();
            let score = Score::new(&strategy.score, &mut |expression| {
                own.push(part(formulas.add(expression, sight)));
                own.len() - 1
            });
            plans.push((score, own, volatility, seating));
        }
        let atr = match terms.costs.slippage {
            Slippage::Atr { .. } => atr_expression().map(|atr| Some(formulas.add(&atr, (Benchmark::UNIVERSE, None)))),
            _ => Ok(None),
        };
        let lenders = seatings.iter().filter(|_| lends).map(|(universe, clock)| (lent(*universe), *clock));
        let sights = formulas.sights.iter().map(|(universe, _)| (*universe, Clock::Every));
        self.choose(seatings.iter().copied().chain(lenders).chain(sights).collect());
        let everywhere: Vec<Arc<Members>> =
            formulas.sights.iter().filter_map(|(universe, _)| self.members(*universe, Clock::Every)).collect();
        let members: Vec<Arc<Members>> =
            seatings.iter().filter_map(|(universe, clock)| self.members(*universe, *clock)).collect();
        let field = self.field(members.iter().chain(&everywhere));
        let mut kept = std::mem::take(&mut self.kept);
        let seated: Vec<Arc<Seating>> =
            seatings.iter().zip(&members).map(|(key, members)| self.seating(&field, *key, members)).collect();
        let sights = formulas.sights.iter().zip(&everywhere);
        let everywhere: Vec<Arc<Seating>> =
            sights.map(|((universe, _), all)| self.seating(&field, (*universe, Clock::Every), all)).collect();
        let source = Source { panel: &self.panel, field: &field, formulas: &formulas, everywhere: &everywhere };
        let values = taken(source, (&mut kept, self.most_bytes), &parts, &seated);
        let atr = atr.map_err(RunError::Terms).and_then(|atr| match atr {
            None => Ok(None),
            Some(id) => {
                let columns = compute(source, &[id], |_, _, column| column.clone()).into_iter().flatten();
                let columns: Result<Vec<Column>, ColumnError> = columns.collect();
                Ok(Some(Arc::new(Atr { field: field.clone(), columns: columns? })))
            }
        });
        let ready = |((score, own, volatility, seating), betas): (Plan, Option<Arc<Betas>>)| {
            let value = |part: usize| values[part].as_ref().map(Arc::clone).map_err(|error| error.clone());
            let (universe, clock) = seatings[seating];
            Ok(Ready {
                scores: Scores {
                    score,
                    parts: own.into_iter().map(value).collect::<Result<_, _>>()?,
                    volatility: volatility.map(value).transpose()?,
                },
                members: members[seating].clone(),
                lenders: if lends { self.members(lent(universe), clock) } else { None },
                atr: atr.as_ref().map_err(Clone::clone)?.clone(),
                betas,
            })
        };
        let ready = plans.into_iter().zip(betas).map(ready).collect();
        (self.formulas, self.kept) = (formulas, kept);
        ready
    }
}

/// The values of parts at the seats where they are wanted.
fn taken(
    source: Source<'_>,
    kept: (&mut Kept, usize),
    parts: &[Part],
    seatings: &[Arc<Seating>],
) -> Vec<Result<Arc<Vec<f64>>, ColumnError>> {
    let wanted: Vec<Id> = parts.iter().map(|part| part.formula).collect();
    let found =
        compute_with(source, kept, &wanted, |group, at, column| seatings[parts[at].seating].of_group(group, column));
    let of_part = |(at, part): (usize, &Part)| {
        let groups: Result<Vec<&Vec<f64>>, &ColumnError> = found.iter().map(|group| group[at].as_ref()).collect();
        let groups = groups.map_err(Clone::clone)?;
        Ok(Arc::new(seatings[part.seating].joined(groups.into_iter().map(Vec::as_slice))))
    };
    parts.par_iter().enumerate().map(of_part).collect()
}

/// The ATR that slippage is a fraction of.
fn atr_expression() -> Result<Expression, String> {
    let period = Number::int(i32::try_from(Slippage::ATR_PERIOD).unwrap_or(i32::MAX));
    let source = Indicator::new(IndicatorKind::Atr, &[period])?;
    Ok(Expression::Series(genome::Series { source: genome::Source::Indicator(source), timeframe: None, across: None }))
}
