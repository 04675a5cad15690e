//! Time, split once: what a search may look at, and what it may not.
//!
//! Holds the split in types. A [`Searchable`] is made by [`Split::cut`] alone (or read back where one was packed) and ends at the split; the candles of an
//! [`Unseen`] are handed out only against a [`SeenUntil`] that ends before them. The same of a whole market: [`SplitPanel`].

use engine::{Window, WindowError};
use models::Refits;
use portfolio::{Panel, PanelError};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// End of the newest candle that anything which shaped a strategy has seen: its own search window, those of its
/// ancestors, of an archive, of a learner. UTC ms, exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeenUntil(i64);

impl SeenUntil {
    /// Whoever states it is believed: it comes from a store, or from an operator.
    #[must_use]
    pub const fn stated(ms: i64) -> Self {
        Self(ms)
    }

    /// What was seen by either.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        self.max(other)
    }

    /// UTC ms.
    #[must_use]
    pub const fn ms(self) -> i64 {
        self.0
    }
}

/// Candles that a search may look at.
#[derive(Clone, Debug)]
pub struct Searchable {
    window: Window,
    refits: Option<Arc<Refits>>,
}

impl Searchable {
    /// What a session packed, where it ended at its split.
    pub(super) const fn restored(window: Window, refits: Option<Arc<Refits>>) -> Self {
        Self { window, refits }
    }

    /// The models whose predictions it has, for its null markets.
    #[must_use]
    pub fn refits(&self) -> Option<&Arc<Refits>> {
        self.refits.as_ref()
    }

    /// What somebody who looked at all of it has seen.
    #[must_use]
    pub fn seen_until(&self) -> SeenUntil {
        SeenUntil(self.window.to_ms())
    }

    /// The candles: for whoever is shaped by them, and for reports.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }
}

/// A whole market up to the split, of which a search may look at everything.
#[derive(Clone, Debug)]
pub struct SearchablePanel {
    panel: Arc<Panel>,
    from_ms: i64,
    to_ms: i64,
    refits: Option<Arc<Refits>>,
}

impl SearchablePanel {
    /// What a session packed, where it ended at its split.
    pub(super) const fn restored(panel: Arc<Panel>, (from_ms, to_ms): (i64, i64), refits: Option<Arc<Refits>>) -> Self {
        Self { panel, from_ms, to_ms, refits }
    }

    /// The models whose predictions it has, for its null markets.
    #[must_use]
    pub fn refits(&self) -> Option<&Arc<Refits>> {
        self.refits.as_ref()
    }

    /// What somebody who looked at all of it has seen.
    #[must_use]
    pub const fn seen_until(&self) -> SeenUntil {
        SeenUntil(self.to_ms)
    }

    /// The market as it was known at the split: for whoever is shaped by it, and for reports.
    #[must_use]
    pub const fn panel(&self) -> &Arc<Panel> {
        &self.panel
    }

    /// From when on strategies trade, and the split, UTC ms.
    #[must_use]
    pub const fn window_ms(&self) -> (i64, i64) {
        (self.from_ms, self.to_ms)
    }
}

/// A whole market from the split on, which no search may look at. What lies before it warms up.
#[derive(Clone, Debug)]
pub struct UnseenPanel {
    panel: Arc<Panel>,
    from_ms: i64,
    to_ms: i64,
}

impl UnseenPanel {
    /// The market and from when to when it is evidence about what has seen no more than `seen`, UTC ms.
    ///
    /// # Errors
    /// [`SeenBefore`] when some of it was seen.
    pub fn evidence(&self, seen: SeenUntil) -> Result<(&Arc<Panel>, i64, i64), SeenBefore> {
        let from_ms = self.from_ms;
        if seen.0 > from_ms {
            Err(SeenBefore { seen_ms: seen.0, from_ms })
        } else {
            Ok((&self.panel, from_ms, self.to_ms))
        }
    }
}

/// A whole market in two: what a search is shaped by, and what it is not.
#[derive(Clone, Debug)]
pub struct SplitPanel {
    /// Before the split.
    pub searchable: SearchablePanel,
    /// From the split on.
    pub unseen: UnseenPanel,
}

impl SplitPanel {
    /// Cuts `[from_ms, split_ms)` and `[split_ms, to_ms)` out of a market.
    ///
    /// # Errors
    /// Where no candle closes by the split, or by the end.
    pub fn cut(panel: &Panel, from_ms: i64, split_ms: i64, to_ms: i64) -> Result<Self, PanelError> {
        let before = Arc::new(panel.until(split_ms)?);
        let whole = Arc::new(panel.until(to_ms)?);
        Ok(Self {
            searchable: SearchablePanel { panel: before, from_ms, to_ms: split_ms, refits: None },
            unseen: UnseenPanel { panel: whole, from_ms: split_ms, to_ms },
        })
    }

    /// The same with the models whose predictions the market has, for null markets: of them what was known at the split.
    #[must_use]
    pub fn with_models(mut self, refits: Option<&Arc<Refits>>) -> Self {
        self.searchable.refits = refits.map(|refits| Arc::new(refits.until(self.searchable.to_ms)));
        self
    }
}

/// Candles that no search may look at.
#[derive(Clone, Debug)]
pub struct Unseen {
    window: Window,
}

/// Somebody has seen what was to be evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("candles up to {seen_ms} ms shaped it, so those from {from_ms} ms on prove nothing")]
#[allow(missing_docs)]
pub struct SeenBefore {
    pub seen_ms: i64,
    pub from_ms: i64,
}

impl Unseen {
    /// The candles, for evidence about what has seen no more than `seen`.
    ///
    /// # Errors
    /// [`SeenBefore`] when some of them were seen.
    pub fn evidence(&self, seen: SeenUntil) -> Result<&Window, SeenBefore> {
        let from_ms = self.window.from_ms();
        if seen.0 > from_ms { Err(SeenBefore { seen_ms: seen.0, from_ms }) } else { Ok(&self.window) }
    }

    /// End, UTC ms, exclusive.
    #[must_use]
    pub fn to_ms(&self) -> i64 {
        self.window.to_ms()
    }
}

/// A stretch of time in two.
#[derive(Clone, Debug)]
pub struct Split {
    /// Before the split.
    pub searchable: Searchable,
    /// From the split on.
    pub unseen: Unseen,
}

impl Split {
    /// Cuts `[from_ms, split_ms)` and `[split_ms, to_ms)` out of candles. `cut` gives the window of a range, with
    /// everything before it as warm-up.
    ///
    /// # Errors
    /// Those of `cut`.
    pub fn cut(
        cut: impl Fn(i64, i64) -> Result<Window, WindowError>,
        from_ms: i64,
        split_ms: i64,
        to_ms: i64,
    ) -> Result<Self, WindowError> {
        let searchable = cut(from_ms, split_ms)?;
        // `Window::new` refuses candles that end after the window; this holds whatever `cut` is.
        let symbols = searchable.symbols().iter();
        let late = symbols.clone().find(|s| s.candles.last_close_time_ms().is_some_and(|close| close >= split_ms));
        if let Some(late) = late {
            return Err(WindowError::PastEnd(late.symbol.clone()));
        }
        let unseen = Unseen { window: cut(split_ms, to_ms)? };
        Ok(Self { searchable: Searchable { window: searchable, refits: None }, unseen })
    }

    /// The same with the models whose predictions the candles have, for null markets: of them what was known at the split.
    #[must_use]
    pub fn with_models(mut self, refits: Option<&Arc<Refits>>) -> Self {
        self.searchable.refits = refits.map(|refits| Arc::new(refits.until(self.searchable.window.to_ms())));
        self
    }
}
