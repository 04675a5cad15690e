//! The panel slot by slot: which candle of each instrument is the last one, its prices in the slot, which payments fall
//! due. Built once a panel, so that a run looks up what it would otherwise search for.

use crate::{Panel, operators::changes};

/// No candle yet.
const NONE: u32 = u32::MAX;

/// What each slot of a panel finds. By slot, then instrument.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    instruments: usize,
    /// Number of the instrument's last candle in this slot or before it.
    last: Vec<u32>,
    /// Open and close of the candle in this slot; NaN where there is none.
    opens: Vec<f64>,
    closes: Vec<f64>,
    /// By instrument: where its payments begin that fall due after a slot's open; one more than slots. Empty without any.
    due: Vec<Vec<u32>>,
    /// Whether any payment falls due in a slot.
    pays: Vec<bool>,
    /// By instrument and candle: close / close before - 1; NaN of the first.
    returns: Vec<Vec<f64>>,
}

impl Grid {
    pub(crate) fn new(panel: &Panel) -> Self {
        let (instruments, slots) = (panel.instruments().len(), panel.opens_ms().len());
        let mut last = vec![NONE; instruments * slots];
        let (mut opens, mut closes) = (vec![f64::NAN; instruments * slots], vec![f64::NAN; instruments * slots]);
        for (number, instrument) in panel.instruments().iter().enumerate() {
            let (own_opens, own_closes) = (instrument.candles().opens(), instrument.candles().closes());
            for (candle, &slot) in instrument.slots().iter().enumerate() {
                let begin = slot as usize;
                opens[begin * instruments + number] = own_opens[candle];
                closes[begin * instruments + number] = own_closes[candle];
                let end = instrument.slots().get(candle + 1).map_or(slots, |&next| next as usize);
                for slot in begin..end {
                    last[slot * instruments + number] = candle as u32;
                }
            }
        }
        let mut pays = vec![false; slots];
        let due = panel
            .instruments()
            .iter()
            .map(|instrument| {
                let funding = instrument.funding();
                if funding.is_empty() {
                    return Vec::new();
                }
                let ends = panel.opens_ms().iter().copied().chain([panel.end_ms()]);
                let due: Vec<u32> = ends.map(|ms| funding.partition_point(|f| f.time_ms <= ms) as u32).collect();
                pays.iter_mut().zip(due.windows(2)).for_each(|(pays, due)| *pays |= due[1] > due[0]);
                due
            })
            .collect();
        let returns = panel.instruments().iter().map(|i| changes(i.candles().closes(), true)).collect();
        Self { instruments, last, opens, closes, due, pays, returns }
    }

    /// Number of the last candle of an instrument in a slot or before it.
    #[inline]
    pub(crate) fn last(&self, slot: usize, instrument: u32) -> Option<usize> {
        let candle = self.last[slot * self.instruments + instrument as usize];
        (candle != NONE).then_some(candle as usize)
    }

    /// Opens of a slot's candles; NaN where there is none.
    #[inline]
    pub(crate) fn opens(&self, slot: usize) -> &[f64] {
        &self.opens[slot * self.instruments..][..self.instruments]
    }

    /// Closes of a slot's candles; NaN where there is none.
    #[inline]
    pub(crate) fn closes(&self, slot: usize) -> &[f64] {
        &self.closes[slot * self.instruments..][..self.instruments]
    }

    /// By candle: close / close before - 1; NaN of the first.
    pub(crate) fn returns(&self, instrument: u32) -> &[f64] {
        &self.returns[instrument as usize]
    }

    /// Whether any instrument's payment falls due after a slot's open and up to its close.
    pub(crate) fn pays(&self, slot: usize) -> bool {
        self.pays[slot]
    }

    /// Which of an instrument's payments fall due after a slot's open and up to its close.
    pub(crate) fn due(&self, slot: usize, instrument: u32) -> std::ops::Range<usize> {
        let due = &self.due[instrument as usize];
        if due.is_empty() { 0..0 } else { due[slot] as usize..due[slot + 1] as usize }
    }
}
