//! Targets of a book: those of its members times their weights, added up name by name before anything is traded.

use crate::{Block, Member};
use candles::InstrumentId;
use portfolio::{Panel, Rebalance};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a book wants to hold from a time on.
#[derive(Clone, Debug, PartialEq)]
pub struct Netted {
    /// When it is decided, UTC ms.
    pub time_ms: i64,
    /// Share of equity by name; negative: short.
    pub targets: Vec<(InstrumentId, f64)>,
}

/// The targets of a block: at its beginning, and whenever a member sets its own within it. `rebalances` are the members',
/// ascending, from some time before the block on, by numbers of the panel.
#[must_use]
pub fn net(members: &[Member], rebalances: &[Vec<Rebalance>], panel: &Panel, block: Block) -> Vec<Netted> {
    let within = |r: &&Rebalance| r.time_ms > block.begin_ms && r.time_ms < block.end_ms;
    let mut times: BTreeSet<i64> = rebalances.iter().flatten().filter(within).map(|r| r.time_ms).collect();
    times.insert(block.begin_ms);
    let at = |time_ms: i64| {
        let mut sums: BTreeMap<u32, f64> = BTreeMap::new();
        for (member, rebalances) in members.iter().zip(rebalances) {
            let by = rebalances.partition_point(|r| r.time_ms <= time_ms);
            let Some(last) = by.checked_sub(1).map(|last| &rebalances[last]) else { continue };
            for (instrument, target) in &last.targets {
                *sums.entry(*instrument).or_insert(0.0) += member.weight * target;
            }
        }
        let id = |(number, target): (u32, f64)| Some((panel.instruments().get(number as usize)?.id().clone(), target));
        Netted { time_ms, targets: sums.into_iter().filter(|(_, target)| *target != 0.0).filter_map(id).collect() }
    };
    times.into_iter().map(at).collect()
}

/// The same by numbers of another panel of the same market; names that it does not have are left out.
pub(crate) fn numbered(netted: &[Netted], panel: &Panel) -> Vec<Rebalance> {
    let numbers: HashMap<&InstrumentId, u32> = (0..).zip(panel.instruments()).map(|(n, i)| (i.id(), n)).collect();
    let of = |netted: &Netted| {
        let mut targets: Vec<(u32, f64)> =
            netted.targets.iter().filter_map(|(id, target)| Some((*numbers.get(id)?, *target))).collect();
        targets.sort_unstable_by_key(|(number, _)| *number);
        Rebalance { targets, ..Rebalance::nothing(netted.time_ms) }
    };
    netted.iter().map(of).collect()
}
