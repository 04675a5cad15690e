//! Progress of a download on standard error: bars where that is a terminal, plain lines where it is not.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use market::download::{Progress, SeriesPlan};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Between two plain lines at least this long passes.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// A bar a series and one for the whole, or lines.
pub(super) struct Bars {
    total: ProgressBar,
    each: Vec<ProgressBar>,
    lines: Option<Mutex<Lines>>,
}

/// State of the plain lines.
struct Lines {
    began: Instant,
    told: Instant,
    settled: u64,
    total: u64,
}

impl Bars {
    pub(super) fn new(plans: &[SeriesPlan]) -> Self {
        let total: u64 = plans.iter().map(|p| p.missing).sum();
        if !std::io::stderr().is_terminal() {
            let now = Instant::now();
            let lines = Lines { began: now, told: now, settled: 0, total };
            return Self { total: ProgressBar::hidden(), each: Vec::new(), lines: Some(Mutex::new(lines)) };
        }
        let style =
            |template: &str| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let all = MultiProgress::new();
        let bar = |length: u64, name: String, template: &str| {
            all.add(ProgressBar::new(length).with_style(style(template)).with_prefix(name))
        };
        let one = "{prefix:>16} {wide_bar} {human_pos}/{human_len}  {msg:32!}";
        let each = plans.iter().filter(|p| p.missing > 0);
        let each: Vec<ProgressBar> =
            each.map(|p| bar(p.missing, format!("{} {}", p.wanted.symbol, p.wanted.interval), one)).collect();
        let whole =
            bar(total, "total".to_owned(), "{prefix:>16} {wide_bar} {human_pos}/{human_len} {per_sec}, {eta} left");
        // Series with nothing to fetch have no bar: find each one by its place.
        let mut shown = each.into_iter();
        let placed =
            plans.iter().map(|p| (p.missing > 0).then(|| shown.next()).flatten().unwrap_or_else(ProgressBar::hidden));
        Self { total: whole, each: placed.collect(), lines: None }
    }

    pub(super) fn advance(&self, step: &Progress) {
        if let Some(bar) = self.each.get(step.series) {
            bar.inc(step.settled);
            bar.set_message(step.what.clone());
        }
        self.total.inc(step.settled);
        let Some(Ok(mut lines)) = self.lines.as_ref().map(Mutex::lock) else { return };
        lines.settled += step.settled;
        if lines.told.elapsed() >= LINE_EVERY {
            lines.told = Instant::now();
            eprintln!("{}", lines.line(&step.what));
        }
    }

    pub(super) fn finish(&self) {
        for bar in &self.each {
            bar.finish_and_clear();
        }
        self.total.finish_and_clear();
    }
}

impl Lines {
    fn line(&self, what: &str) -> String {
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = self.settled as f64 / seconds.max(1e-3);
        let left = self.total.saturating_sub(self.settled) as f64 / rate.max(1e-9);
        let (settled, total) = (self.settled, self.total);
        format!("{settled} of {total} candles, {rate:.0} a second, about {left:.0} s left; {what}")
    }
}

/// A bar on standard error, drawn only where that is a terminal.
pub(super) fn steps_bar(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {elapsed}, {eta} left  {msg}");
    ProgressBar::new(steps as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
