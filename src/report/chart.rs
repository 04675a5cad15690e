//! Inline SVG: curves over time with the parts marked, and bars. Colours come from the page's style sheet.

use super::{
    Part,
    curve::{self, Stretch},
    format::{date, number},
};
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime};
use maud::{Markup, html};
use std::fmt::Write;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 20.0;
const BOTTOM: f64 = 22.0;
/// Room above the plot, for names.
const TOP: f64 = 20.0;
const DAY_MS: f64 = 86_400_000.0;

/// From data to the drawing: linear both ways.
struct Axes {
    height: f64,
    x: (f64, f64),
    y: (f64, f64),
}

impl Axes {
    fn x(&self, value: f64) -> f64 {
        LEFT + (value - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }
    fn y(&self, value: f64) -> f64 {
        let bottom = self.height - BOTTOM;
        bottom - (value - self.y.0) / (self.y.1 - self.y.0) * (bottom - TOP)
    }
}

/// Which curve of a stretch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    Gain,
    Drawdown,
}

impl Curve {
    fn points(self, stretch: &Stretch) -> &[(f64, f64)] {
        match self {
            Self::Gain => &stretch.gain,
            Self::Drawdown => &stretch.drawdown,
        }
    }
}

/// A curve over time, each part in its colour.
pub(super) fn over_time(stretches: &[Stretch], curve: Curve, height: f64, label: &str) -> Markup {
    let points = || stretches.iter().flat_map(|s| curve.points(s));
    let beside = || stretches.iter().filter(|_| curve == Curve::Gain).flat_map(|s| &s.benchmark);
    let x = range(points().map(|p| p.0));
    let (low, high) = range(points().chain(beside()).map(|p| p.1).chain([0.0]));
    let step = nice_step((high - low) / 4.0);
    let y = ((low / step).floor() * step, if high > 0.0 { (high / step).ceil() * step } else { 0.0 });
    let axes = Axes { height, x, y };
    let bottom = height - BOTTOM;
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(label) {
            @for s in stretches {
                @let from = axes.x(s.gain.first().map_or(0.0, |p| p.0));
                @let to = axes.x(s.gain.last().map_or(0.0, |p| p.0));
                rect class=(format!("band {}", class(s.part))) x=(px(from)) y=(px(TOP)) width=(px((to - from).max(0.0)))
                    height=(px(bottom - TOP)) {}
                @if curve == Curve::Gain && to - from > 9.0 * s.part.name().len() as f64 {
                    text class=(format!("name {}", class(s.part))) x=(px(from + 4.0)) y=(px(TOP - 6.0)) { (s.part.name()) }
                }
            }
            @for value in ticks(y, step) {
                @let at = px(axes.y(value));
                line class=(if value == 0.0 { "zero" } else { "grid" }) x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(at) y2=(at) {}
                text class="tick end" x=(px(LEFT - 6.0)) y=(at) dy="0.32em" { (tick_percent(value, step)) }
            }
            @for time_ms in days(x) {
                @let at = axes.x(time_ms);
                line class="grid" x1=(px(at)) x2=(px(at)) y1=(px(bottom)) y2=(px(bottom + 4.0)) {}
                text class="tick middle" x=(px(at)) y=(px(height - 4.0)) { (date(time_ms as i64)) }
            }
            @for s in stretches.iter().filter(|s| curve == Curve::Gain && !s.benchmark.is_empty()) {
                path class="line benchmark" d=(path(&axes, &s.benchmark)) {}
            }
            @for s in stretches {
                @let line = path(&axes, curve.points(s));
                @if curve == Curve::Drawdown {
                    path class=(format!("area {}", class(s.part))) d=(area(&axes, curve.points(s), &line)) {}
                }
                path class=(format!("line {}", class(s.part))) d=(line) {}
            }
        }
    }
}

/// One line of a chart over time.
pub(super) struct Line<'a> {
    /// Class of its colour.
    pub(super) class: &'static str,
    /// What it is, for the legend.
    pub(super) name: &'static str,
    /// Time in UTC ms, fraction.
    pub(super) points: &'a [(f64, f64)],
}

/// Lines over time, each in its colour, fractions as percentages.
pub(super) fn lines_over_time(lines: &[Line<'_>], height: f64, label: &str) -> Markup {
    let (low, high) = range(lines.iter().flat_map(|l| l.points).map(|p| p.1).chain([0.0]));
    let step = nice_step((high - low) / 4.0);
    let y = ((low / step).floor() * step, if high > 0.0 { (high / step).ceil() * step } else { 0.0 });
    let marks: Vec<(f64, String)> = ticks(y, step).map(|value| (value, tick_percent(value, step))).collect();
    drawn_over_time(lines, y, &marks, height, label)
}

/// The same with plain numbers.
pub(super) fn numbers_over_time(lines: &[Line<'_>], height: f64, label: &str) -> Markup {
    let (low, high) = range(lines.iter().flat_map(|l| l.points).map(|p| p.1).chain([0.0]));
    let step = nice_step((high - low) / 4.0);
    let y = ((low / step).floor() * step, (high / step).ceil() * step);
    let digits = if step < 1.0 { 2 } else { 0 };
    let marks: Vec<(f64, String)> = ticks(y, step).map(|value| (value, number(value, digits))).collect();
    drawn_over_time(lines, y, &marks, height, label)
}

/// Gains over time on a logarithmic scale of what one unit became: a doubling is as high anywhere.
pub(super) fn growth_over_time(lines: &[Line<'_>], height: f64, label: &str) -> Markup {
    // What lost everything is drawn at a thousandth.
    let logs: Vec<Vec<(f64, f64)>> =
        lines.iter().map(|l| l.points.iter().map(|(x, gain)| (*x, (1.0 + gain).max(1e-3).log10())).collect()).collect();
    let (low, high) = range(logs.iter().flatten().map(|p| p.1).chain([0.0]));
    let round = [1.0, 2.0, 5.0];
    let all: Vec<f64> = (-3..12).flat_map(|power| round.map(|n| n * 10_f64.powi(power))).collect();
    let first = all.iter().rposition(|v| v.log10() <= low + 1e-9).unwrap_or(0);
    let last = all.iter().position(|v| v.log10() >= high - 1e-9).unwrap_or(all.len() - 1);
    let y = (all[first].log10(), all[last].log10().max(all[first].log10() + 0.1));
    // Beyond three decades only powers of ten are told.
    let is_told = |v: f64| y.1 - y.0 < 3.0 || (v.log10() - v.log10().round()).abs() < 1e-9;
    let marks: Vec<(f64, String)> =
        all[first..=last].iter().filter(|v| is_told(**v)).map(|v| (v.log10(), format!("{v} x"))).collect();
    let drawn: Vec<Line<'_>> =
        lines.iter().zip(&logs).map(|(l, points)| Line { class: l.class, name: l.name, points }).collect();
    drawn_over_time(&drawn, y, &marks, height, label)
}

fn drawn_over_time(lines: &[Line<'_>], y: (f64, f64), marks: &[(f64, String)], height: f64, label: &str) -> Markup {
    let x = range(lines.iter().flat_map(|l| l.points).map(|p| p.0));
    let axes = Axes { height, x, y };
    let bottom = height - BOTTOM;
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(label) {
            @for (i, l) in lines.iter().rev().enumerate() {
                text class=(format!("name {}", l.class)) x=(px(LEFT + 4.0 + 130.0 * i as f64)) y=(px(TOP - 6.0)) { (l.name) }
            }
            @for (value, text) in marks {
                @let at = px(axes.y(*value));
                line class=(if *value == 0.0 { "zero" } else { "grid" }) x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(at) y2=(at) {}
                text class="tick end" x=(px(LEFT - 6.0)) y=(at) dy="0.32em" { (text) }
            }
            @for time_ms in days(x) {
                @let at = axes.x(time_ms);
                line class="grid" x1=(px(at)) x2=(px(at)) y1=(px(bottom)) y2=(px(bottom + 4.0)) {}
                text class="tick middle" x=(px(at)) y=(px(height - 4.0)) { (date(time_ms as i64)) }
            }
            @for l in lines { path class=(format!("line {}", l.class)) d=(path(&axes, &curve::thin(l.points))) {} }
        }
    }
}

/// A row of coloured cells for each name: positive values in the colour of gains, negative in that of losses, the
/// greatest the strongest. `times_ms` are those of the first and the last column.
pub(super) fn heat_map(rows: &[(String, Vec<f64>)], times_ms: (i64, i64), label: &str) -> Markup {
    const ROW: f64 = 15.0;
    const NAMES: f64 = 108.0;
    let height = TOP + ROW * rows.len() as f64 + BOTTOM;
    let most = rows.iter().flat_map(|(_, row)| row).fold(1e-12_f64, |most, v| most.max(v.abs()));
    let columns = rows.iter().map(|(_, row)| row.len()).max().unwrap_or(1).max(1);
    let width = (WIDTH - NAMES - RIGHT) / columns as f64;
    let x = (times_ms.0 as f64, times_ms.1 as f64);
    let at_time = |time_ms: f64| NAMES + (time_ms - x.0) / (x.1 - x.0).max(1.0) * (WIDTH - NAMES - RIGHT);
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(label) {
            @for (i, (name, row)) in rows.iter().enumerate() {
                @let y = TOP + ROW * i as f64;
                text class="tick end" x=(px(NAMES - 6.0)) y=(px(y + ROW / 2.0)) dy="0.32em" { (name) }
                @for (k, value) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
                    rect class=(if *value < 0.0 { "loss" } else { "gain" }) x=(px(NAMES + width * k as f64)) y=(px(y + 0.5))
                        width=(px(width)) height=(px(ROW - 1.0)) fill-opacity=(format!("{:.2}", (value.abs() / most).sqrt())) {}
                }
            }
            @for time_ms in days(x) {
                text class="tick middle" x=(px(at_time(time_ms))) y=(px(height - 4.0)) { (date(time_ms as i64)) }
            }
        }
    }
}

/// Bars of how often a return fell into each range. The ranges have one width, and 0 is a border.
pub(super) fn histogram(returns: &[f64], label: &str) -> Markup {
    let height = 200.0;
    let mut sorted = returns.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted.get((share * sorted.len() as f64) as usize).or(sorted.last()).copied().unwrap_or(0.0);
    // The rare extremes go to the outermost bars: otherwise they leave all others no room.
    let (low, high) = (at(0.005).min(0.0), at(0.995).max(0.0));
    let width = nice_step((high - low).max(1e-6) / 40.0);
    let (first, last) = ((low / width).floor() as i64, ((high / width).ceil() as i64).max(1));
    let mut bins = vec![0_u32; usize::try_from(last - first).unwrap_or(1).max(1)];
    for value in returns {
        let bin = ((value / width).floor() as i64).clamp(first, last - 1) - first;
        bins[usize::try_from(bin).unwrap_or(0)] += 1;
    }
    let most = f64::from(bins.iter().copied().max().unwrap_or(0).max(1));
    let step = nice_step(most / 4.0).max(1.0);
    let x = (first as f64 * width, last as f64 * width);
    let axes = Axes { height, x, y: (0.0, (most / step).ceil() * step) };
    let tick = nice_step((x.1 - x.0) / 8.0);
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(label) {
            @for value in ticks(axes.y, step) {
                @let at = px(axes.y(value));
                line class=(if value == 0.0 { "zero" } else { "grid" }) x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(at) y2=(at) {}
                text class="tick end" x=(px(LEFT - 6.0)) y=(at) dy="0.32em" { (number(value, 0)) }
            }
            @for (i, &count) in bins.iter().enumerate().filter(|(_, count)| **count > 0) {
                @let from = (first + i as i64) as f64 * width;
                rect class=(if from < 0.0 { "loss" } else { "gain" }) x=(px(axes.x(from) + 0.5)) y=(px(axes.y(f64::from(count))))
                    width=(px((axes.x(from + width) - axes.x(from) - 1.0).max(0.5)))
                    height=(px(axes.y(0.0) - axes.y(f64::from(count)))) {
                    title { (count) " trades from " (tick_percent(from, width)) " to " (tick_percent(from + width, width)) }
                }
            }
            @for value in ticks(((x.0 / tick).ceil() * tick, x.1), tick) {
                text class="tick middle" x=(px(axes.x(value))) y=(px(height - 4.0)) { (tick_percent(value, tick)) }
            }
        }
    }
}

/// A fan: bands between the outermost and the inner lines, and the line in the middle.
pub(super) fn fan(days: &[usize], gains: &[Vec<f64>], label: &str) -> Markup {
    let height = 280.0;
    let line = |i: usize| -> Vec<(f64, f64)> {
        gains
            .get(i)
            .map(|values| days.iter().map(|d| *d as f64).zip(values.iter().copied()).collect())
            .unwrap_or_default()
    };
    let lines: Vec<Vec<(f64, f64)>> = (0..gains.len()).map(line).collect();
    let (low, high) = range(gains.iter().flatten().copied().chain([0.0]));
    let step = nice_step((high - low) / 4.0);
    let y = ((low / step).floor() * step, (high / step).ceil() * step);
    let axes = Axes { height, x: range(days.iter().map(|d| *d as f64)), y };
    let band = |low: &[(f64, f64)], high: &[(f64, f64)]| {
        let back: Vec<(f64, f64)> = low.iter().rev().copied().collect();
        format!("{}{}Z", path(&axes, high), path(&axes, &back).replacen('M', "L", 1))
    };
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(label) {
            @for value in ticks(y, step) {
                @let at = px(axes.y(value));
                line class=(if value == 0.0 { "zero" } else { "grid" }) x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(at) y2=(at) {}
                text class="tick end" x=(px(LEFT - 6.0)) y=(at) dy="0.32em" { (tick_percent(value, step)) }
            }
            @let tick = nice_step((axes.x.1 - axes.x.0) / 8.0).max(1.0);
            @for value in ticks((0.0, axes.x.1), tick) {
                text class="tick middle" x=(px(axes.x(value))) y=(px(height - 4.0)) { "day " (number(value, 0)) }
            }
            @if let [lowest, lower, middle, upper, highest] = lines.as_slice() {
                path class="area fan" d=(band(lowest, highest)) {}
                path class="area fan" d=(band(lower, upper)) {}
                path class="line fan" d=(path(&axes, middle)) {}
            }
        }
    }
}

/// Lines over a number, from 0 up, each with the class of its colour.
pub(super) fn by_number(lines: &[(&str, Vec<(f64, f64)>)], label: &str) -> Markup {
    let height = 240.0;
    let points = || lines.iter().flat_map(|(_, points)| points);
    let (_, high) = range(points().map(|p| p.1).chain([0.0]));
    let step = nice_step(high / 4.0);
    let axes = Axes { height, x: range(points().map(|p| p.0)), y: (0.0, (high / step).ceil() * step) };
    let tick = nice_step((axes.x.1 - axes.x.0) / 10.0).max(1.0);
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(label) {
            @for value in ticks(axes.y, step) {
                @let at = px(axes.y(value));
                line class="grid" x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(at) y2=(at) {}
                text class="tick end" x=(px(LEFT - 6.0)) y=(at) dy="0.32em" { (number(value, 0)) }
            }
            @for value in ticks(((axes.x.0 / tick).ceil() * tick, axes.x.1), tick) {
                text class="tick middle" x=(px(axes.x(value))) y=(px(height - 4.0)) { (number(value, 0)) }
            }
            @for (class, points) in lines { path class=(format!("line {class}")) d=(path(&axes, points)) {} }
        }
    }
}

pub(super) const fn class(part: Part) -> &'static str {
    match part {
        Part::Backtest => "backtest",
        Part::Holdout => "holdout",
        Part::Shadow => "shadow",
        Part::Live => "live",
    }
}

/// A length in the drawing: a tenth is finer than eyes see.
fn px(value: f64) -> String {
    format!("{value:.1}")
}

fn path(axes: &Axes, points: &[(f64, f64)]) -> String {
    let mut path = String::with_capacity(points.len() * 12);
    for (i, (x, y)) in points.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(path, "{}{:.1} {:.1}", if i == 0 { 'M' } else { 'L' }, axes.x(*x), axes.y(*y));
    }
    path
}

fn area(axes: &Axes, points: &[(f64, f64)], line: &str) -> String {
    let (first, last) = (points.first().map_or(0.0, |p| p.0), points.last().map_or(0.0, |p| p.0));
    let zero = axes.y(0.0);
    format!("{line}L{:.1} {zero:.1}L{:.1} {zero:.1}Z", axes.x(last), axes.x(first))
}

/// Lowest and highest, never the same.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low.is_finite() && high > low {
        (low, high)
    } else if low.is_finite() {
        (low - 0.005, high + 0.005)
    } else {
        (0.0, 1.0)
    }
}

/// The next of 1, 2 or 5 times a power of ten.
fn nice_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|n| n * power).find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

fn ticks((from, to): (f64, f64), step: f64) -> impl Iterator<Item = f64> {
    let count = ((to - from) / step + 1e-6).floor().clamp(0.0, 100.0) as u32;
    // A tick that is not quite zero for rounding is zero.
    let exact = move |value: f64| if value.abs() < step * 1e-6 { 0.0 } else { value };
    (0..=count).map(move |i| exact(from + f64::from(i) * step))
}

/// Midnights, a good distance apart: beyond some weeks those at which months begin.
fn days((from_ms, to_ms): (f64, f64)) -> Vec<f64> {
    let least = (to_ms - from_ms) / DAY_MS / 8.0;
    // Half a label's width from the edges.
    let margin_ms = (to_ms - from_ms) * 0.03;
    let within = |t: &f64| (from_ms + margin_ms..=to_ms - margin_ms).contains(t);
    if let Some(step) = [1.0, 2.0, 7.0, 14.0].into_iter().find(|days| *days >= least) {
        let (step_ms, first) = (step * DAY_MS, (from_ms / (step * DAY_MS)).floor() * step * DAY_MS);
        return (0..12).map(|i| first + f64::from(i) * step_ms).filter(within).collect();
    }
    let months = [1, 2, 3, 6, 12, 24, 60, 120].into_iter().find(|months| f64::from(*months) * 30.5 >= least);
    let step = months.unwrap_or(240);
    let month_of =
        |time_ms: f64| DateTime::from_timestamp_millis(time_ms as i64).map_or(0, |t| t.year() * 12 + t.month0() as i32);
    let begin = |month: i32| {
        let first = NaiveDate::from_ymd_opt(month.div_euclid(12), month.rem_euclid(12) as u32 + 1, 1);
        Some(first?.and_time(NaiveTime::MIN).and_utc().timestamp_millis() as f64)
    };
    let first = month_of(from_ms).div_euclid(step) * step;
    (0..12).filter_map(|i| begin(first + i * step)).filter(within).collect()
}

/// A fraction as a percentage, with as many decimals as the step needs.
fn tick_percent(value: f64, step: f64) -> String {
    let decimals = (-(100.0 * step).log10()).ceil().clamp(0.0, 6.0) as usize;
    number(100.0 * value, decimals) + " %"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_round() {
        let ms = |text: &str| text.parse::<NaiveDate>().unwrap().and_time(NaiveTime::MIN).and_utc().timestamp_millis();
        let dates = |from: &str, to: &str| -> Vec<String> {
            days((ms(from) as f64, ms(to) as f64)).into_iter().map(|t| date(t as i64)).collect()
        };
        assert_eq!(dates("2024-04-01", "2024-04-06"), ["2024-04-02", "2024-04-03", "2024-04-04", "2024-04-05"]);
        assert_eq!(
            dates("2024-01-10", "2024-06-20"),
            ["2024-02-01", "2024-03-01", "2024-04-01", "2024-05-01", "2024-06-01"]
        );
        assert_eq!(
            dates("2019-01-01", "2023-01-01"),
            ["2019-07-01", "2020-01-01", "2020-07-01", "2021-01-01", "2021-07-01", "2022-01-01", "2022-07-01"]
        );
        assert_eq!(
            dates("1999-05-01", "2031-01-01"),
            ["2005-01-01", "2010-01-01", "2015-01-01", "2020-01-01", "2025-01-01", "2030-01-01"]
        );
    }

    #[test]
    fn steps_are_round() {
        for (least, step) in [(0.03, 0.05), (0.05, 0.05), (0.06, 0.1), (17.0, 20.0), (1.0, 1.0)] {
            assert!((nice_step(least) - step).abs() < 1e-12, "{least}: {}", nice_step(least));
        }
        assert_eq!(ticks((-0.2, 0.2), 0.1).count(), 5);
        assert!(ticks((-0.3, 0.3), 0.1).any(|t| t == 0.0));
        assert_eq!(tick_percent(0.005, 0.005), "0.5 %");
        assert_eq!(tick_percent(-0.2, 0.1), "-20 %");
    }

    #[test]
    fn every_return_is_in_a_bar() {
        let text = histogram(&[-0.5, -0.01, 0.0, 0.01, 0.012, 7.0], "returns").into_string();
        let counted: u32 =
            text.split("<title>").skip(1).map(|rest| rest.split(' ').next().unwrap().parse::<u32>().unwrap()).sum();
        assert_eq!(counted, 6, "{text}");
        // Nothing to draw is no reason to fail.
        assert!(histogram(&[], "returns").into_string().contains("svg"));
        assert!(histogram(&[0.0], "returns").into_string().contains("1 trades from 0"));
    }

    #[test]
    fn growth_is_drawn_on_round_multiples() {
        let points = [(0.0, 0.0), (DAY_MS, 3.0), (2.0 * DAY_MS, -0.6)];
        let text = growth_over_time(&[Line { class: "live", name: "net", points: &points }], 200.0, "growth");
        let text = text.into_string();
        for mark in ["0.2 x", "0.5 x", "1 x", "2 x", "5 x"] {
            assert!(text.contains(&format!(">{mark}<")), "{mark}: {text}");
        }
        assert!(!text.contains("NaN") && !text.contains("10 x"), "{text}");
        let ruined = [(0.0, 0.0), (DAY_MS, -1.0)];
        let text = growth_over_time(&[Line { class: "live", name: "net", points: &ruined }], 200.0, "growth");
        assert!(!text.into_string().contains("inf"));
    }

    #[test]
    fn a_flat_curve_is_drawn() {
        let day = |d: f64| d * DAY_MS;
        let flat = Stretch {
            part: Part::Live,
            gain: vec![(day(1.0), 0.0), (day(2.0), 0.0)],
            drawdown: vec![(day(1.0), 0.0), (day(2.0), 0.0)],
            benchmark: Vec::new(),
        };
        for curve in [Curve::Gain, Curve::Drawdown] {
            let text = over_time(std::slice::from_ref(&flat), curve, 200.0, "flat").into_string();
            assert!(text.contains("line live") && !text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }
}
