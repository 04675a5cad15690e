//! One strategy over one panel: from slot to slot, as the definitions order it (section 7.5).
//!
//! In each slot: orders fill at its open; at its close funding is paid, instruments end, equity is taken, and where the
//! clock says so targets are set, whose orders fill at the open after. Nothing later than that close is looked at. Where
//! fills are at the close ([`FillOn::Close`]), orders fill at the very close at which targets are set, after equity was
//! taken, and those that found no candle are tried at further closes; what that trades counts as the next slot's.

use crate::{
    Execution, Members, Panel, PortfolioTerms, Seat,
    account::{Account, Closed, Fill, Gain},
    across,
    columns::{ColumnError, Columns, Sheet, changes},
    score::{Score, value},
    weights::{self, Ranked},
};
use candles::{Interval, MarketKind, interval, time::DAY_MS};
use engine::{FillOn, Slippage};
use genome::{Expression, Indicator, IndicatorKind, Number, Ranking, Universe};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// An instrument ends once so much of its candles in a row is missing.
const MISSING_MS: i64 = 7 * DAY_MS;
const YEAR_MS: f64 = 365.0 * DAY_MS as f64;

/// The close of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Slot {
    /// Its close (the next slot's open), UTC ms.
    pub time_ms: i64,
    /// Cash and what is held, quote units.
    pub equity: f64,
    /// Sum of the absolute values held, quote units.
    pub gross: f64,
    /// Sum of the values held, short ones negative, quote units.
    pub net: f64,
    /// Instruments held.
    pub names: u32,
    /// What was traded at its open over equity at the decision, both sides.
    pub turnover: f64,
}

/// Targets at a rebalance.
#[derive(Clone, Debug, PartialEq)]
pub struct Rebalance {
    /// When, UTC ms.
    pub time_ms: i64,
    /// Those that are not 0: number of the instrument and target, in byte order of names.
    pub targets: Vec<(u32, f64)>,
    /// Members of the universe then.
    pub members: u32,
    /// Members that had a score.
    pub ranked: u32,
}

/// What a run did.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Slots that opened in the window, in order.
    pub slots: Vec<Slot>,
    /// Rebalances, in order.
    pub rebalances: Vec<Rebalance>,
    /// Stays that ended, in order of their ends.
    pub closed: Vec<Closed>,
    /// Stays that had not ended, as if they ended with the last slot.
    pub open: Vec<Closed>,
    /// What each instrument gave.
    pub gains: BTreeMap<u32, Gain>,
    /// Sum of what was traded over equity at the decision, both sides.
    pub turnover: f64,
    /// Orders that found no candle.
    pub lapsed: u32,
    /// When everything was taken, UTC ms.
    pub liquidated_ms: Option<i64>,
}

/// Why a strategy cannot run over a panel.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RunError {
    #[error("the strategy decides on {strategy} candles but the panel holds {panel} ones")]
    Timeframe { strategy: Interval, panel: Interval },
    #[error("the window is empty: its begin must be before its end")]
    EmptyWindow,
    #[error("the score cannot be computed: {0}")]
    Score(#[from] ColumnError),
    #[error("{0}")]
    Terms(String),
}

struct Order {
    units: f64,
    /// Equity at the decision.
    equity: f64,
    /// Number of the window's slot at whose open it is tried first.
    due: usize,
    tries: u32,
}

/// Runs a strategy over the slots that open in `[from_ms, to_ms)`. All of the panel's candles before warm up.
///
/// # Errors
/// When the panel has another timeframe, the window is empty, or the terms are impossible.
pub fn run(
    strategy: &Ranking,
    panel: &Panel,
    from_ms: i64,
    to_ms: i64,
    terms: &PortfolioTerms,
) -> Result<Track, RunError> {
    if strategy.timeframe != panel.interval() {
        return Err(RunError::Timeframe { strategy: strategy.timeframe, panel: panel.interval() });
    }
    if from_ms >= to_ms {
        return Err(RunError::EmptyWindow);
    }
    terms.validate().map_err(RunError::Terms)?;
    let mut columns = Columns::new(panel, strategy.universe);
    let volatility = match strategy.weights.inverse_volatility {
        Some(returns) => Some(columns.sheet(&Expression::Volatility { returns })?),
        None => None,
    };
    if let Some(sheet) = &volatility {
        columns.need(sheet.clone());
    }
    let score = Score::new(&strategy.score, &mut columns)?;
    let atr = match terms.costs.slippage {
        Slippage::Atr { .. } => Some(columns.sheet(&atr_expression()?)?),
        _ => None,
    };
    let first = panel.opens_ms().partition_point(|&open| open < from_ms);
    let end = panel.opens_ms().partition_point(|&open| open < to_ms);
    let window = first..end.max(first);
    let members = Members::of(panel, strategy.universe, window.clone());
    let borrowable = terms.execution.borrowable_members;
    let lent = Universe { top: borrowable, ..strategy.universe };
    let lenders = (borrowable > 0 && panel.market() == MarketKind::Spot).then(|| Members::of(panel, lent, window));
    let runner = Runner { strategy, panel, terms, score, volatility, atr, members, lenders };
    Ok(runner.run(from_ms, to_ms))
}

/// The ATR that slippage is a fraction of.
fn atr_expression() -> Result<Expression, RunError> {
    let period = Number::int(i32::try_from(Slippage::ATR_PERIOD).unwrap_or(i32::MAX));
    let source = Indicator::new(IndicatorKind::Atr, &[period]).map_err(RunError::Terms)?;
    Ok(Expression::Series(genome::Series { source: genome::Source::Indicator(source), timeframe: None, across: None }))
}

struct Runner<'a> {
    strategy: &'a Ranking,
    panel: &'a Panel,
    terms: &'a PortfolioTerms,
    score: Score,
    volatility: Option<Sheet>,
    atr: Option<Sheet>,
    members: Members,
    /// Those whose units can be borrowed, where not all can.
    lenders: Option<Members>,
}

/// What changes from slot to slot.
struct State {
    account: Account,
    /// The last candle of each instrument that has closed.
    last: Vec<Option<usize>>,
    orders: BTreeMap<u32, Order>,
    /// Unsmoothed weights of the last rebalances, the newest last.
    history: VecDeque<Vec<(u32, f64)>>,
    lapsed: u32,
    liquidated_ms: Option<i64>,
}

impl Runner<'_> {
    fn run(&self, from_ms: i64, to_ms: i64) -> Track {
        let timeframe = self.panel.interval();
        let before = self.panel.opens_ms().partition_point(|&open| open < from_ms);
        let last_before =
            |i: &crate::PanelInstrument| i.slots().partition_point(|&s| (s as usize) < before).checked_sub(1);
        let mut state = State {
            account: Account::new(self.terms.initial_capital),
            last: self.panel.instruments().iter().map(last_before).collect(),
            orders: BTreeMap::new(),
            history: VecDeque::new(),
            lapsed: 0,
            liquidated_ms: None,
        };
        let (mut slots, mut rebalances) = (Vec::new(), Vec::new());
        let at_close = self.terms.fill_on == FillOn::Close;
        let mut traded_at_close = 0.0;
        let mut open_ms = interval::first_open_time_ms(timeframe, from_ms);
        while open_ms < to_ms {
            let close_ms = interval::next_open_time_ms(timeframe, open_ms);
            let slot = self.panel.slot_opening_at(open_ms);
            let turnover = if at_close {
                std::mem::take(&mut traded_at_close)
            } else {
                self.fill_orders(&mut state, slots.len(), slot, open_ms)
            };
            let opened = self.close_candles(&mut state, slot);
            self.pay(&mut state, &opened, open_ms, close_ms);
            self.end_instruments(&mut state, slot, close_ms);
            self.liquidate(&mut state, close_ms);
            let account = &state.account;
            slots.push(Slot {
                time_ms: close_ms,
                equity: account.equity(),
                gross: account.gross(),
                net: account.net(),
                names: account.held().len() as u32,
                turnover,
            });
            let on_clock = interval::open_time_ms(self.strategy.rebalance, close_ms) == close_ms;
            if on_clock && close_ms > from_ms && close_ms < to_ms && state.liquidated_ms.is_none() {
                rebalances.push(self.rebalance(&mut state, slots.len(), slot, close_ms));
            }
            if at_close && close_ms < to_ms {
                traded_at_close = self.fill_orders(&mut state, slots.len(), slot, close_ms);
            }
            open_ms = close_ms;
        }
        let slots_turnover = slots.iter().map(|s: &Slot| s.turnover).sum();
        Track {
            open: state.account.open(open_ms),
            closed: state.account.closed().to_vec(),
            gains: state.account.gains().clone(),
            slots,
            rebalances,
            turnover: slots_turnover,
            lapsed: state.lapsed,
            liquidated_ms: state.liquidated_ms,
        }
    }

    /// Orders that are due fill at the open of the candle that opens in this slot, or at the close of that which closed with
    /// it; without one they wait, or lapse. Gives what was traded over equity at the decision.
    fn fill_orders(&self, state: &mut State, number: usize, slot: Option<usize>, time_ms: i64) -> f64 {
        let at_close = self.terms.fill_on == FillOn::Close;
        let mut turnover = 0.0;
        let due: Vec<u32> = state.orders.iter().filter(|(_, o)| o.due <= number).map(|(i, _)| *i).collect();
        for instrument in due {
            let Some(mut order) = state.orders.remove(&instrument) else { continue };
            let candles = self.panel.instruments()[instrument as usize].candles();
            let last = state.last[instrument as usize];
            let candle = if at_close { last.unwrap_or(0) } else { last.map_or(0, |last| last + 1) };
            let slots = self.panel.instruments()[instrument as usize].slots();
            let is_there = slot.is_some() && slots.get(candle).map(|&s| s as usize) == slot;
            if !is_there {
                if order.tries == 0 {
                    state.lapsed += 1;
                } else {
                    order.tries -= 1;
                    state.orders.insert(instrument, order);
                }
                continue;
            }
            let price = if at_close { candles.closes() } else { candles.opens() }[candle];
            let target = in_lots(order.units, price, self.terms.execution.lot_notional);
            let units = target - state.account.units(instrument);
            let value = units.abs() * price;
            let costs = self.terms.costs;
            let known = if at_close { Some(candle) } else { candle.checked_sub(1) };
            let atr = self.atr.as_ref().map_or(0.0, |sheet| known.map_or(f64::NAN, |i| sheet[instrument as usize][i]));
            if (target != 0.0 && value < self.terms.execution.least_notional) || atr.is_nan() {
                continue;
            }
            let slippage_fraction = costs.slippage_fraction(price, units.abs(), atr, candles.volumes()[candle]);
            let fill = Fill { time_ms, units, price, fee_fraction: costs.fee_fraction, slippage_fraction };
            state.account.fill(instrument, &fill);
            turnover += value / order.equity;
        }
        turnover
    }

    /// Takes note of the candles that close with this slot; gives those held whose candle opened in it, with the close
    /// before.
    fn close_candles(&self, state: &mut State, slot: Option<usize>) -> BTreeMap<u32, f64> {
        let mut before = BTreeMap::new();
        for (number, instrument) in self.panel.instruments().iter().enumerate() {
            let (last, closes) = (&mut state.last[number], instrument.candles().closes());
            let next = last.map_or(0, |last| last + 1);
            if slot.is_some() && instrument.slots().get(next).map(|&s| s as usize) == slot {
                if state.account.units(number as u32) != 0.0 {
                    before.extend(last.map(|last| (number as u32, closes[last])));
                    state.account.mark(number as u32, closes[next]);
                }
                *last = Some(next);
            }
        }
        before
    }

    /// Funding that fell due after the slot's open, up to its close; and what borrowed units cost in it.
    fn pay(&self, state: &mut State, closes_before: &BTreeMap<u32, f64>, open_ms: i64, close_ms: i64) {
        for number in state.account.held() {
            let instrument = &self.panel.instruments()[number as usize];
            let funding = instrument.funding();
            let due =
                funding.partition_point(|f| f.time_ms <= open_ms)..funding.partition_point(|f| f.time_ms <= close_ms);
            let Some(last) = state.last[number as usize] else { continue };
            let close = instrument.candles().closes()[last];
            for payment in &funding[due] {
                // The candle of this slot has closed only by its end.
                let known = if payment.time_ms == close_ms { None } else { closes_before.get(&number) };
                state.account.pay_funding(number, payment.rate, known.copied().unwrap_or(close));
            }
            if self.panel.market() == MarketKind::Spot {
                let share_of_year = (close_ms - open_ms) as f64 / YEAR_MS;
                state.account.pay_borrow(number, self.terms.execution.borrow_rate_per_year * share_of_year);
            }
        }
    }

    /// Closes what is held of instruments that end with this slot.
    fn end_instruments(&self, state: &mut State, slot: Option<usize>, close_ms: i64) {
        let Execution { frozen_exit_fraction, .. } = self.terms.execution;
        let cost = self.terms.costs.delisting_fraction.max(frozen_exit_fraction);
        for number in state.account.held() {
            let instrument = &self.panel.instruments()[number as usize];
            let Some(last) = state.last[number as usize] else { continue };
            if slot.is_some_and(|slot| instrument.slots()[last] as usize == slot) {
                continue;
            }
            let is_followed = instrument.next_opens_ms().is_some_and(|next| next < close_ms);
            let last_close_ms = self.panel.close_ms(instrument.slots()[last] as usize);
            let is_gone = close_ms - last_close_ms >= MISSING_MS && close_ms <= self.panel.end_ms();
            if is_followed || is_gone {
                state.account.end(number, close_ms, cost);
                state.orders.remove(&number);
            }
        }
    }

    fn liquidate(&self, state: &mut State, close_ms: i64) {
        let account = &mut state.account;
        let least = self.terms.execution.maintenance_margin_fraction * account.gross();
        if !account.held().is_empty() && account.equity() <= least {
            account.liquidate(close_ms, self.terms.costs.delisting_fraction);
            state.orders.clear();
            state.liquidated_ms = Some(close_ms);
        }
    }

    /// Sets targets and leaves their orders.
    fn rebalance(&self, state: &mut State, next: usize, slot: Option<usize>, time_ms: i64) -> Rebalance {
        let seats = slot.map(|slot| self.members.at(slot)).unwrap_or_default();
        let may = |seat: &Seat| self.volatility.as_ref().is_none_or(|sheet| value(sheet, seat) > 0.0);
        let (left, scores) = self.score.at(seats, may);
        let volatilities: Option<Vec<f64>> =
            self.volatility.as_ref().map(|sheet| left.iter().map(|seat| value(sheet, seat)).collect());
        let betas = self.strategy.weights.beta_neutral.map(|returns| betas(self.panel, &left, returns as usize));
        let ranked = Ranked { scores: &scores, volatilities: volatilities.as_deref(), betas: betas.as_deref() };
        let raw = weights::target(&self.strategy.weights, self.strategy.gross.get(), &ranked);
        state.history.push_back(left.iter().map(|seat| seat.instrument).zip(raw).collect());
        if state.history.len() > self.strategy.weights.smooth as usize {
            state.history.pop_front();
        }
        let mut targets: BTreeMap<u32, f64> = BTreeMap::new();
        for (instrument, weight) in state.history.iter().flatten() {
            *targets.entry(*instrument).or_default() += weight;
        }
        let count = state.history.len() as f64;
        targets.values_mut().for_each(|target| *target /= count);
        // Weights of opposite signs that cancel leave nothing but rounding, which is no target.
        let least = weights::ROUNDING * targets.values().fold(0.0_f64, |most, target| most.max(target.abs()));
        targets.retain(|_, target| target.abs() > least);
        self.hold_to_limits(&mut targets, slot);
        self.order(state, &targets, next);
        let (members, ranked) = (seats.len() as u32, left.len() as u32);
        Rebalance { time_ms, targets: targets.into_iter().collect(), members, ranked }
    }

    /// What cannot be sold short is not, and no more is held than may be.
    fn hold_to_limits(&self, targets: &mut BTreeMap<u32, f64>, slot: Option<usize>) {
        let Execution { greatest_gross, greatest_one_sided_gross, .. } = self.terms.execution;
        if let Some(lenders) = &self.lenders {
            let seats = slot.map(|slot| lenders.at(slot)).unwrap_or_default();
            targets.retain(|instrument, target| *target > 0.0 || seats.iter().any(|s| s.instrument == *instrument));
        }
        let gross: f64 = targets.values().map(|t| t.abs()).sum();
        let one_sided = targets.values().all(|t| *t > 0.0) || targets.values().all(|t| *t < 0.0);
        let limits = [(true, greatest_gross), (one_sided, greatest_one_sided_gross)];
        let most = limits.into_iter().filter(|(holds, most)| *holds && *most > 0.0).map(|(_, most)| most);
        let most = most.fold(f64::INFINITY, f64::min);
        if gross > most {
            targets.values_mut().for_each(|target| *target *= most / gross);
        }
    }

    fn order(&self, state: &mut State, targets: &BTreeMap<u32, f64>, next: usize) {
        let equity = state.account.equity();
        let band = self.strategy.weights.band.map_or(0.0, Number::get);
        state.orders.clear();
        let mut names: Vec<u32> = targets.keys().copied().chain(state.account.held()).collect();
        names.sort_unstable();
        names.dedup();
        for instrument in names {
            let Some(last) = state.last[instrument as usize] else { continue };
            let price = self.panel.instruments()[instrument as usize].candles().closes()[last];
            let target = targets.get(&instrument).copied().unwrap_or(0.0);
            let held = state.account.units(instrument);
            if target != 0.0 && (target - held * price / equity).abs() < band {
                continue;
            }
            let units = target * equity / price;
            if units != held {
                let Execution { delay_candles, retry_candles, .. } = self.terms.execution;
                let due = next + delay_candles as usize;
                state.orders.insert(instrument, Order { units, equity, due, tries: retry_candles });
            }
        }
    }
}

/// Units rounded toward 0 to whole multiples of the greatest power of ten that is worth at most `lot_notional`.
fn in_lots(units: f64, price: f64, lot_notional: f64) -> f64 {
    if lot_notional == 0.0 {
        return units;
    }
    let exponent = (lot_notional / price).log10().floor() as i32;
    let per_unit = 10.0_f64.powi(-exponent);
    // 1e-9 of a lot: 3 lots that are 2.9999999999 after arithmetic are 3.
    let lots = units * per_unit;
    (lots + 1e-9 * lots.signum()).trunc() / per_unit
}

/// Slope of each member's last `n` returns between neighbouring own closes on the equal-weight mean return of the
/// members in the same slots; NaN for a member with fewer, or where the mean does not vary.
fn betas(panel: &Panel, seats: &[Seat], n: usize) -> Vec<f64> {
    let own = |seat: &Seat| &panel.instruments()[seat.instrument as usize];
    let first = |seat: &Seat| (seat.candle as usize + 1).checked_sub(n).filter(|&first| first > 0);
    let earliest = seats.iter().filter_map(|seat| Some(own(seat).slots()[first(seat)?])).min();
    let Some(earliest) = earliest else { return vec![f64::NAN; seats.len()] };
    // Returns of each member from the earliest slot on that any member looks back to.
    let mut by_slot: BTreeMap<u32, (f64, usize)> = BTreeMap::new();
    let returns: Vec<(usize, Vec<f64>)> = seats
        .iter()
        .map(|seat| {
            let slots = own(seat).slots();
            let from = slots.partition_point(|&s| s < earliest).max(1).min(seat.candle as usize + 1);
            let closes = &own(seat).candles().closes()[from - 1..=seat.candle as usize];
            let values = changes(closes, true)[1..].to_vec();
            for (slot, value) in slots[from..].iter().zip(&values) {
                let entry = by_slot.entry(*slot).or_default();
                *entry = (entry.0 + value, entry.1 + 1);
            }
            (from, values)
        })
        .collect();
    let slope = |(seat, (from, values)): (&Seat, &(usize, Vec<f64>))| {
        let Some(first) = first(seat) else { return f64::NAN };
        let y = &values[first - from..];
        let x: Vec<f64> = own(seat).slots()[first..=seat.candle as usize]
            .iter()
            .map(|slot| by_slot.get(slot).map_or(f64::NAN, |(sum, count)| sum / *count as f64))
            .collect();
        across::slope(&x, y).unwrap_or(f64::NAN)
    };
    seats.iter().zip(&returns).map(slope).collect()
}
