//! The panel slot by slot: which candle of each instrument is the last one, which payments fall due. Built once a panel,
//! so that a run looks up what it would otherwise search for.

use crate::Panel;

/// No candle yet.
const NONE: u32 = u32::MAX;

/// What each slot of a panel finds.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    instruments: usize,
    /// By slot, then instrument: number of the instrument's last candle in this slot or before it.
    last: Vec<u32>,
    /// By instrument: where its payments begin that fall due after a slot's open; one more than slots. Empty without any.
    due: Vec<Vec<u32>>,
}

impl Grid {
    pub(crate) fn new(panel: &Panel) -> Self {
        let (instruments, slots) = (panel.instruments().len(), panel.opens_ms().len());
        let mut last = vec![NONE; instruments * slots];
        for (number, instrument) in panel.instruments().iter().enumerate() {
            for (candle, &slot) in instrument.slots().iter().enumerate() {
                let end = instrument.slots().get(candle + 1).map_or(slots, |&next| next as usize);
                for slot in slot as usize..end {
                    last[slot * instruments + number] = candle as u32;
                }
            }
        }
        let due = panel
            .instruments()
            .iter()
            .map(|instrument| {
                let funding = instrument.funding();
                if funding.is_empty() {
                    return Vec::new();
                }
                let ends = panel.opens_ms().iter().copied().chain([panel.end_ms()]);
                ends.map(|ms| funding.partition_point(|f| f.time_ms <= ms) as u32).collect()
            })
            .collect();
        Self { instruments, last, due }
    }

    /// Number of the last candle of an instrument in a slot or before it.
    #[inline]
    pub(crate) fn last(&self, slot: usize, instrument: u32) -> Option<usize> {
        let candle = self.last[slot * self.instruments + instrument as usize];
        (candle != NONE).then_some(candle as usize)
    }

    /// Which of an instrument's payments fall due after a slot's open and up to its close.
    #[inline]
    pub(crate) fn due(&self, slot: usize, instrument: u32) -> std::ops::Range<usize> {
        let due = &self.due[instrument as usize];
        if due.is_empty() { 0..0 } else { due[slot] as usize..due[slot + 1] as usize }
    }
}
