//! What a run remembers from slot to slot: its account, what is ordered, what was wanted. Decides nothing.

use crate::{
    Panel, PortfolioTerms, Rebalance, Seat,
    account::Account,
    grid::Grid,
    prepared::Ready,
    score::Left,
    weights::{self, Weighing},
};
use genome::Ranking;
use std::collections::VecDeque;

pub(crate) struct Trader<'a> {
    pub(crate) strategy: &'a Ranking,
    pub(crate) panel: &'a Panel,
    pub(crate) terms: &'a PortfolioTerms,
    pub(crate) ready: &'a Ready,
    /// Targets by time, ascending, in place of those that the strategy would set.
    pub(crate) told: Option<&'a [Rebalance]>,
}

/// What changes from slot to slot.
pub(crate) struct State<'a> {
    pub(crate) account: Account,
    pub(crate) grid: &'a Grid,
    /// The last slot of the panel that has closed.
    pub(crate) seen: Option<usize>,
    pub(crate) orders: Orders,
    pub(crate) targets: Targets,
    pub(crate) lapsed: u32,
    pub(crate) liquidated_ms: Option<i64>,
}

impl State<'_> {
    /// The last close of an instrument.
    pub(crate) fn last_close(&self, panel: &Panel, instrument: u32) -> Option<f64> {
        let close = self.grid.closes(self.seen?)[instrument as usize];
        if !close.is_nan() {
            return Some(close);
        }
        Some(panel.instruments()[instrument as usize].candles().closes()[self.last(instrument)?])
    }

    /// The last candle of an instrument that has closed.
    pub(crate) fn last(&self, instrument: u32) -> Option<usize> {
        self.grid.last(self.seen?, instrument)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Order {
    pub(crate) instrument: u32,
    pub(crate) units: f64,
    pub(crate) tries: u32,
}

/// What the last rebalance ordered and has not filled.
#[derive(Default)]
pub(crate) struct Orders {
    /// By number of the instrument.
    pub(crate) open: Vec<Order>,
    /// Equity at the decision.
    pub(crate) equity: f64,
    /// Number of the window's slot at whose open they are tried first.
    pub(crate) due: usize,
}

impl Orders {
    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }

    /// Drops what is ordered of an instrument.
    pub(crate) fn forget(&mut self, instrument: u32) {
        self.open.retain(|order| order.instrument != instrument);
    }
}

/// The targets that were set last, and room for the next.
#[derive(Default)]
pub(crate) struct Targets {
    /// Those that are not 0, by number of the instrument.
    pub(crate) newest: Vec<(u32, f64)>,
    pub(crate) smoothing: Smoothing,
    pub(crate) left: Left,
    pub(crate) volatilities: Vec<f64>,
    pub(crate) seats: Vec<Seat>,
    pub(crate) weighing: Weighing,
}

impl Targets {
    pub(crate) fn newest(&self) -> &[(u32, f64)] {
        &self.newest
    }

    /// What is told of the last rebalance.
    pub(crate) fn told(&self, time_ms: i64, members: u32, ranked: u32) -> Rebalance {
        Rebalance { time_ms, targets: self.newest.clone(), members, ranked }
    }
}

/// Weights of the rebalances before.
#[derive(Default)]
pub(crate) struct Smoothing {
    /// Unsmoothed ones, the newest last, one place an instrument; and rows for the next.
    pub(crate) history: VecDeque<Vec<f64>>,
    pub(crate) spare: Vec<Vec<f64>>,
}

impl Smoothing {
    /// The mean of these weights and those of the rebalances before, by number of the instrument; those that are not 0.
    pub(crate) fn targets(
        &mut self,
        (seats, raw): (&[Seat], &[f64]),
        smooth: usize,
        instruments: usize,
        out: &mut Vec<(u32, f64)>,
    ) {
        out.clear();
        // Weights of opposite signs that cancel leave nothing but rounding, which is no target.
        let least = |all: &[f64]| weights::ROUNDING * all.iter().fold(0.0_f64, |most, target| most.max(target.abs()));
        if smooth <= 1 {
            let least = least(raw);
            let targets = seats.iter().zip(raw).filter(|(_, target)| target.abs() > least);
            out.extend(targets.map(|(seat, target)| (seat.instrument, *target)));
            return;
        }
        if self.history.len() >= smooth {
            self.spare.extend(self.history.pop_front());
        }
        let mut empty = || {
            let mut row = self.spare.pop().unwrap_or_default();
            row.clear();
            row.resize(instruments, 0.0);
            row
        };
        let (mut row, mut sums) = (empty(), empty());
        seats.iter().zip(raw).for_each(|(seat, weight)| row[seat.instrument as usize] = *weight);
        self.history.push_back(row);
        for row in &self.history {
            sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight);
        }
        let count = self.history.len() as f64;
        sums.iter_mut().for_each(|sum| *sum /= count);
        let least = least(&sums);
        out.extend((0..).zip(&sums).filter(|(_, target)| target.abs() > least).map(|(i, target)| (i, *target)));
        self.spare.push(sums);
    }
}
