//! Slopes of all members on their mean return, shared by the strategies that neutralise them over as many returns.

use crate::{Panel, Seat, slopes::betas};
use std::sync::OnceLock;

/// Slopes over so many returns of the members of one universe, slot by slot; made when they are first asked for.
#[derive(Debug)]
pub(crate) struct Betas {
    returns: usize,
    slots: Vec<OnceLock<Box<[f64]>>>,
}

impl Betas {
    pub(crate) fn new(returns: u32, slots: usize) -> Self {
        Self { returns: returns as usize, slots: vec![OnceLock::new(); slots] }
    }

    /// Those of the members of a slot, of which all are ranked.
    pub(crate) fn at(&self, panel: &Panel, slot: usize, members: &[Seat]) -> &[f64] {
        self.slots[slot].get_or_init(|| betas(panel, members, self.returns).into())
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        let known = self.slots.iter().filter_map(OnceLock::get).map(|slot| size_of_val(&**slot));
        size_of_val(&self.slots[..]) + known.sum::<usize>()
    }
}
