//! The price path: one day of base candles for every symbol from the state at its start.
//!
//! Pure: (spec, day, state) -> (candles, state). Each day has random streams of its own, so a day can be made
//! again from its state alone. Without an edge every price, highs and lows included, is a martingale:
//! - a step's return is symmetric around zero, and simple returns (not log returns) have mean zero;
//! - the extremes inside a step are those of a Brownian bridge, so a stop or target filled at its level is what
//!   a continuous path would have given;
//! - a close is put on the price grid by unbiased random rounding, and the path goes on from there.

use super::base_candle::{BaseCandle, QUOTE_SCALE};
use super::edge::{EdgeSpec, EdgeState};
use super::ranks::{self, DayTotals};
use super::spec::{MarketSpec, SymbolSpec, VolatilitySpec};
use candles::time::DAY_MS;
use genome::random::Seed;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_distr::{ChiSquared, Distribution, StandardNormal};
use std::{collections::VecDeque, sync::Arc};

const YEAR_MS: f64 = 365.0 * 86_400_000.0;
/// A step never has a standard deviation above this fraction of the price: prices stay positive.
const MAX_STEP_DEVIATION: f64 = 0.04;
/// Mean quote value of one trade, for trade counts.
const TRADE_VALUE: f64 = 900.0;

/// State at the start of a day: all that the past leaves to the future.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    /// Common part of log-volatility.
    common: f64,
    symbols: Vec<SymbolState>,
    /// The days before, the newest last, a value a symbol: as many as edges of the cross-section look at.
    days: VecDeque<Arc<[DayTotals]>>,
}

#[derive(Clone, Debug, PartialEq)]
struct SymbolState {
    price: f64,
    slow: f64,
    fast: f64,
    volume: f64,
    /// Base candles so far in which an edge drifted it.
    drifted: u64,
    /// What edges added to its returns so far, a sum of fractions.
    expected: f64,
    edges: Vec<EdgeState>,
}

/// One day's candles: a vector a symbol.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Day {
    pub(crate) symbols: Vec<Vec<BaseCandle>>,
}

/// A planted edge as the path uses it.
#[derive(Clone, Debug)]
struct PlantedEdge {
    spec: EdgeSpec,
    interval_ms: i64,
    /// Drift of one step in units of the step's current standard deviation, at full strength.
    step_drift: f64,
}

#[derive(Clone, Debug)]
struct SymbolModel {
    spec: SymbolSpec,
    seed: Seed,
    /// Standard deviation of a step at mean variance.
    step_deviation: f64,
    edges: Vec<PlantedEdge>,
}

/// An edge of the cross-section: whom it ranks.
#[derive(Clone, Debug)]
struct RankedEdge {
    spec: EdgeSpec,
    /// Number of each symbol that has it, and of the edge among that symbol's.
    ranked: Vec<(usize, usize)>,
}

/// One AR(1) process in steps of a base candle.
#[derive(Clone, Copy, Debug)]
struct Ar1 {
    keep: f64,
    shock: f64,
}

impl Ar1 {
    fn new(sd: f64, hours: f64, step_ms: i64) -> Self {
        let keep = (-(step_ms as f64) / (hours * 3_600_000.0)).exp();
        Self { keep, shock: sd * (1.0 - keep * keep).sqrt() }
    }
    fn next(self, value: f64, rng: &mut ChaCha8Rng) -> f64 {
        self.keep * value + self.shock * normal(rng)
    }
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    rng.sample(StandardNormal)
}

/// Uniform in (0, 1].
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (f64::from(rng.next_u32()) + 1.0) / 4_294_967_296.0
}

/// The market's law of motion.
#[derive(Clone, Debug)]
pub(crate) struct PathModel {
    seed: Seed,
    start_ms: i64,
    base_ms: i64,
    per_day: usize,
    steps: usize,
    factor_share: f64,
    volatility: VolatilitySpec,
    common: Ar1,
    slow: Ar1,
    fast: Ar1,
    volume: Ar1,
    symbols: Vec<SymbolModel>,
    rankings: Vec<RankedEdge>,
    /// Days that the state remembers.
    days: usize,
}

/// Standard deviation of the slow part of log-volume.
const VOLUME_SD: f64 = 0.35;
/// Standard deviation of log-volume from one candle to the next.
const VOLUME_NOISE: f64 = 0.35;

impl PathModel {
    /// The model of a validated spec; `drifts` holds each edge's drift in standard deviations of its candle; of an edge of
    /// the cross-section that of a day, a unit of tilt.
    pub(crate) fn new(spec: &MarketSpec, drifts: &[f64]) -> Self {
        let base_ms = spec.base.fixed_ms().unwrap_or(DAY_MS);
        let steps = spec.steps_per_candle as usize;
        let v = spec.volatility;
        let symbols = spec.symbols.iter().map(|s| SymbolModel {
            spec: s.clone(),
            seed: spec.seed.child(s.symbol.as_str(), 0),
            step_deviation: s.annual_volatility * (base_ms as f64 / YEAR_MS / steps as f64).sqrt(),
            edges: spec
                .edges
                .iter()
                .zip(drifts)
                .filter(|(edge, _)| edge.is_on(&s.symbol))
                .map(|(edge, drift)| {
                    let interval_ms =
                        if edge.kind.ranks() { DAY_MS } else { edge.interval.fixed_ms().unwrap_or(DAY_MS) };
                    let steps_per_edge_candle = (interval_ms / base_ms) as f64 * steps as f64;
                    PlantedEdge { spec: edge.clone(), interval_ms, step_drift: drift / steps_per_edge_candle.sqrt() }
                })
                .collect(),
        });
        let before = |number: usize, symbol: &SymbolSpec| {
            spec.edges[..number].iter().filter(|edge| edge.is_on(&symbol.symbol)).count()
        };
        let ranked = |number: usize, edge: &EdgeSpec| {
            let with = spec.symbols.iter().enumerate().filter(|(_, s)| edge.is_on(&s.symbol));
            with.map(|(at, s)| (at, before(number, s))).collect()
        };
        let rankings = spec.edges.iter().enumerate().filter(|(_, edge)| edge.kind.ranks());
        let rankings = rankings.map(|(n, edge)| RankedEdge { spec: edge.clone(), ranked: ranked(n, edge) }).collect();
        Self {
            seed: spec.seed,
            start_ms: spec.start_ms,
            base_ms,
            per_day: (DAY_MS / base_ms) as usize,
            steps,
            factor_share: spec.common_factor_share,
            volatility: v,
            common: Ar1::new(v.common_sd, v.common_hours, base_ms),
            slow: Ar1::new(v.slow_sd, v.slow_hours, base_ms),
            fast: Ar1::new(v.fast_sd, v.fast_hours, base_ms),
            volume: Ar1::new(VOLUME_SD, 3.0, base_ms),
            symbols: symbols.collect(),
            rankings,
            days: spec.edges.iter().map(|edge| edge.kind.days() as usize).max().unwrap_or(0),
        }
    }

    pub(crate) fn per_day(&self) -> usize {
        self.per_day
    }

    /// The state at the market's start: every process drawn from its stationary law.
    pub(crate) fn initial_state(&self) -> State {
        let v = &self.volatility;
        let symbols = self.symbols.iter().map(|s| {
            let mut rng = s.seed.stream("initial", 0);
            SymbolState {
                price: s.spec.on_grid(s.spec.initial_price),
                slow: v.slow_sd * normal(&mut rng),
                fast: v.fast_sd * normal(&mut rng),
                volume: VOLUME_SD * normal(&mut rng),
                drifted: 0,
                expected: 0.0,
                edges: vec![EdgeState::default(); s.edges.len()],
            }
        });
        let common = v.common_sd * normal(&mut self.seed.stream("initial", 0));
        State { common, symbols: symbols.collect(), days: VecDeque::new() }
    }

    /// Day number `day` (0 is the market's first) from the state at its start, and the state at its end.
    pub(crate) fn day(&self, day: u64, state: &State) -> (Day, State) {
        let (symbols, state, _) = self.run(day, state, self.per_day, 0, None);
        (Day { symbols }, state)
    }

    /// The same candles of one symbol alone.
    pub(crate) fn day_of(&self, day: u64, state: &State, index: usize) -> Vec<BaseCandle> {
        self.run(day, state, self.per_day, 0, Some(index)).0.pop().unwrap_or_default()
    }

    /// What of a symbol's base candle number `candle` of a day has happened after `steps` of its steps.
    pub(crate) fn partial(
        &self,
        day: u64,
        state: &State,
        candle: usize,
        steps: usize,
        index: usize,
    ) -> Option<BaseCandle> {
        self.run(day, state, candle, steps.min(self.steps), Some(index)).2.pop()
    }

    /// The symbols at the start of a day, with what edges of the cross-section make of the days before.
    fn ranked(&self, day: u64, state: &State) -> Vec<SymbolState> {
        let mut symbols = state.symbols.clone();
        let now_ms = self.start_ms + day as i64 * DAY_MS;
        for edge in &self.rankings {
            let (scores, members) = self.scores(edge, state, now_ms);
            let deviations: Vec<f64> = members.iter().map(|at| self.symbols[at.0].step_deviation).collect();
            for (symbol, number) in &edge.ranked {
                symbols[*symbol].edges[*number].direction = 0.0;
            }
            for ((symbol, number), tilt) in members.iter().zip(ranks::tilts(&scores, &deviations, self.factor_share)) {
                symbols[*symbol].edges[*number].direction = tilt;
            }
        }
        symbols
    }

    /// Scores of the members of an edge of the cross-section at `now_ms`, a 00:00 UTC, and which they are: those listed
    /// for long enough that have candles to the last.
    fn scores(&self, edge: &RankedEdge, state: &State, now_ms: i64) -> (Vec<f64>, Vec<(usize, usize)>) {
        let kind = edge.spec.kind;
        if state.days.len() < kind.days() as usize {
            return (Vec::new(), Vec::new());
        }
        let since_ms = now_ms - i64::from(kind.listed_days()) * DAY_MS;
        let is_member = |&&(symbol, _): &&(usize, usize)| {
            let spec = &self.symbols[symbol].spec;
            spec.listed_ms.unwrap_or(self.start_ms) <= since_ms && spec.delisted_ms.is_none_or(|end| end >= now_ms)
        };
        let members: Vec<(usize, usize)> = edge.ranked.iter().filter(is_member).copied().collect();
        let score =
            |&(symbol, _): &(usize, usize)| ranks::score(kind, |back| state.days[state.days.len() - 1 - back][symbol]);
        (members.iter().map(score).collect(), members)
    }

    /// Weights of the ideal strategy of the first edge of the cross-section through a day: number of the symbol and weight.
    pub(crate) fn ideal(&self, day: u64, state: &State) -> Vec<(usize, f64)> {
        let Some(edge) = self.rankings.first() else { return Vec::new() };
        let (scores, members) = self.scores(edge, state, self.start_ms + day as i64 * DAY_MS);
        members.into_iter().map(|at| at.0).zip(ranks::weights(&scores)).collect()
    }

    /// Steps in one base candle.
    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    /// Runs a day's first `candles` base candles, then `extra` steps of the next one; of one symbol, or of all. The state at
    /// the end is that of a whole day only where all ran.
    fn run(
        &self,
        day: u64,
        state: &State,
        candles: usize,
        extra: usize,
        only: Option<usize>,
    ) -> (Vec<Vec<BaseCandle>>, State, Vec<BaseCandle>) {
        let all = candles + usize::from(extra > 0);
        let tails = Tails::new(self.volatility.tail_degrees);
        // The common factor: its log-volatility a candle, its shocks a step, and the scale of its shocks.
        let mut rng = self.seed.stream("factor", day);
        let mut common = state.common;
        let mut factor = Vec::with_capacity(all);
        let mut shocks = Vec::with_capacity(all * self.steps);
        for _ in 0..all {
            common = self.common.next(common, &mut rng);
            let scale = tails.scale(&mut rng);
            factor.push((common, scale));
            shocks.extend((0..self.steps).map(|_| scale * normal(&mut rng)));
        }
        let mut out = Vec::with_capacity(self.symbols.len());
        let mut partials = Vec::new();
        let mut end = State { common, symbols: Vec::with_capacity(self.symbols.len()), days: state.days.clone() };
        let starts = self.symbols.iter().zip(self.ranked(day, state)).enumerate();
        for (_, (model, mut state)) in starts.filter(|(at, _)| only.is_none_or(|only| only == *at)) {
            let mut rng = model.seed.stream("day", day);
            let mut row = Vec::with_capacity(candles);
            for i in 0..all {
                let open_ms = self.start_ms + day as i64 * DAY_MS + i as i64 * self.base_ms;
                let shocks = &shocks[i * self.steps..(i + 1) * self.steps];
                let shocks = if i < candles { shocks } else { &shocks[..extra] };
                let candle = self.candle(model, &mut state, &mut rng, &tails, open_ms, factor[i], shocks);
                if i < candles {
                    row.push(candle);
                } else {
                    partials.push(candle);
                }
            }
            out.push(row);
            end.symbols.push(state);
        }
        if self.days > 0 {
            let total = |row: &Vec<BaseCandle>| DayTotals {
                close: row.last().map_or(1.0, |c| c.close),
                volume: row.iter().map(|c| c.volume as f64).sum(),
            };
            end.days.push_back(out.iter().map(total).collect());
            if end.days.len() > self.days {
                end.days.pop_front();
            }
        }
        (out, end, partials)
    }

    /// One base candle of one symbol; moves its state on.
    #[allow(clippy::too_many_arguments)] // The inner loop: a struct of these would be built per candle.
    fn candle(
        &self,
        model: &SymbolModel,
        state: &mut SymbolState,
        rng: &mut ChaCha8Rng,
        tails: &Tails,
        open_ms: i64,
        (common, factor_scale): (f64, f64),
        factor_shocks: &[f64],
    ) -> BaseCandle {
        state.slow = self.slow.next(state.slow, rng);
        state.fast = self.fast.next(state.fast, rng);
        state.volume = self.volume.next(state.volume, rng);
        // Drawn before the steps, so that a candle that is still open differs from the closed one by what comes after.
        let noise = [normal(rng), normal(rng)];
        // E[exp(2x)] = exp(2 Var x): less the variance, the mean variance is the stated one.
        let swing = self.daily_swing(open_ms);
        let activity = (common + state.slow + state.fast - self.volatility.log_variance()).exp() * swing;
        let scale = tails.scale(rng);
        let own = (1.0 - self.factor_share).sqrt();
        let shared = self.factor_share.sqrt();
        let mixed = (self.factor_share * factor_scale * factor_scale + own * own * scale * scale).sqrt();
        let usual = model.step_deviation * activity;
        let cap = if usual * mixed > MAX_STEP_DEVIATION { MAX_STEP_DEVIATION / (usual * mixed) } else { 1.0 };
        let deviation = usual * cap;
        let drift = self.drift(model, state, open_ms) * usual;

        state.drifted += u64::from(drift != 0.0);
        state.expected += drift * factor_shocks.len() as f64;

        let open = state.price;
        let (mut price, mut high, mut low, mut sum) = (open, open, open, 0.0);
        for shock in factor_shocks {
            let change = deviation * (shared * shock + own * scale * normal(rng)) + drift;
            let next = price * (1.0 + change);
            // Extremes of a Brownian bridge from `price` to `next`, each from its exact law.
            let spread = 2.0 * (price * deviation * mixed).powi(2);
            let moved = (next - price).powi(2);
            high = high.max(0.5 * (price + next + (moved - spread * uniform(rng).ln()).sqrt()));
            low = low.min(0.5 * (price + next - (moved - spread * uniform(rng).ln()).sqrt()));
            sum += next;
            price = next;
        }
        let grid = 10f64.powi(model.spec.decimals_at(price.max(1e-6)) as i32);
        let close = ((price * grid + 1.0 - uniform(rng)).floor() / grid).max(1.0 / grid);
        let high = ((high * grid).round() / grid).max(open).max(close);
        let low = ((low * grid).round() / grid).max(1.0 / grid).min(open).min(close);
        state.price = close;

        let done = factor_shocks.len() as f64 / self.steps as f64;
        let mean_price = if factor_shocks.is_empty() { open } else { sum / factor_shocks.len() as f64 };
        let surprise = (close / open - 1.0) / (usual * (self.steps as f64).sqrt()).max(1e-12);
        let candle = self.traded(
            model,
            open_ms,
            state.volume,
            noise,
            [open, high, low, close],
            mean_price,
            activity * done,
            surprise,
        );
        for (edge, edge_state) in model.edges.iter().zip(&mut state.edges) {
            let closes = (open_ms + self.base_ms) % edge.interval_ms == 0;
            edge_state.observe(edge.spec.kind, &candle, closes);
        }
        candle
    }

    /// Volumes for a candle: more when volatility is high and when the candle moved far.
    #[allow(clippy::too_many_arguments)] // As above.
    fn traded(
        &self,
        model: &SymbolModel,
        open_ms: i64,
        log_volume: f64,
        [volume_noise, taker_noise]: [f64; 2],
        [open, high, low, close]: [f64; 4],
        mean_price: f64,
        activity: f64,
        surprise: f64,
    ) -> BaseCandle {
        let noise = (log_volume + VOLUME_NOISE * volume_noise - 0.5 * (VOLUME_SD.powi(2) + VOLUME_NOISE.powi(2))).exp();
        let base = model.spec.volume_at(open_ms) / self.per_day as f64
            * activity
            * noise
            * (0.6 + 0.5 * surprise.abs().min(8.0));
        let share = (0.5 + 0.15 * surprise.tanh() + 0.04 * taker_noise).clamp(0.05, 0.95);
        let unit = 10f64.powi(model.spec.volume_decimals as i32);
        let volume = (base * unit).round().max(1.0);
        let taker = (volume * share).round();
        let value = mean_price.clamp(low, high) / unit * QUOTE_SCALE;
        BaseCandle {
            open,
            high,
            low,
            close,
            volume: volume as u64,
            quote: (volume * value).round() as u64,
            trades: (volume / unit * mean_price / TRADE_VALUE).round().max(1.0) as u64,
            taker: taker as u64,
            taker_quote: (taker * value).round() as u64,
        }
    }

    /// Drift of one step in units of its usual deviation.
    fn drift(&self, model: &SymbolModel, state: &SymbolState, open_ms: i64) -> f64 {
        let edges = model.edges.iter().zip(&state.edges);
        edges.map(|(e, s)| e.step_drift * e.spec.level(open_ms) * s.direction(e.spec.kind, open_ms)).sum()
    }

    /// Base candles so far in which an edge drifted the first symbol.
    pub(crate) fn drifted(state: &State) -> u64 {
        state.symbols.first().map_or(0, |s| s.drifted)
    }

    /// What edges added to each symbol's returns so far, and its price.
    pub(crate) fn expected(state: &State) -> impl Iterator<Item = (f64, f64)> {
        state.symbols.iter().map(|s| (s.expected, s.price))
    }

    /// Volatility's daily pattern, with mean square 1.
    fn daily_swing(&self, open_ms: i64) -> f64 {
        let a = self.volatility.daily_swing;
        let hour = (open_ms.rem_euclid(DAY_MS) + self.base_ms / 2) as f64 / 3_600_000.0;
        (1.0 + a * ((hour - 15.0) / 24.0 * std::f64::consts::TAU).cos()) / (1.0 + 0.5 * a * a).sqrt()
    }
}

/// Scales that turn normal shocks into Student-t ones of unit variance.
struct Tails {
    chi_squared: Option<ChiSquared<f64>>,
    degrees: f64,
}

impl Tails {
    fn new(degrees: f64) -> Self {
        Self { chi_squared: ChiSquared::new(degrees).ok(), degrees }
    }
    fn scale(&self, rng: &mut ChaCha8Rng) -> f64 {
        let Some(law) = &self.chi_squared else { return 1.0 };
        ((self.degrees - 2.0) / law.sample(rng).max(1e-9)).sqrt()
    }
}
