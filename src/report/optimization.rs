//! An optimisation as one self-contained HTML file: what may be expected of its best point, then where points lie.
//!
//! Pure rendering: computes nothing but what a drawing needs.

use super::document::document;
use super::format;
use maud::{Markup, html};
use optimize::{Axis, Cell, HeatMap, Shown, Story};
use serde::Serialize;
use serde_json::Value;

/// Width of a drawing, pixels.
const WIDTH: f64 = 860.0;
/// Points of the table.
const ROWS: usize = 20;
/// Points that stand out among the parallel coordinates.
const BEST: usize = 10;

/// Everything that the report tells.
#[derive(Clone, Debug, Serialize)]
pub struct OptimizationReport<'a> {
    /// For people.
    pub name: String,
    /// Canonical text of the strategy as it stands.
    pub strategy: String,
    /// The same in sentences.
    pub words: String,
    /// SHA-256 of the canonical text.
    pub hash: String,
    /// How points were chosen.
    pub method: String,
    /// Root of every random number.
    pub seed: u64,
    /// Trades below which a point was not the best of anything.
    pub least_trades: u32,
    /// Market, symbols, dates, costs, as the command names them.
    pub window: Value,
    /// What the strategy as it stands came to, by objective.
    pub own: Vec<Option<f64>>,
    /// What the run says.
    pub story: &'a Story,
    /// Whether what it tells of rests on a simulated market.
    pub simulated: bool,
    /// When the report was made, UTC ms.
    pub made_at_ms: i64,
    /// Version of the program that made it.
    pub made_by: String,
}

/// The report as one HTML file.
#[must_use]
pub fn optimization_html(report: &OptimizationReport<'_>) -> String {
    let page = document(
        &format!("{} – sg-ai optimisation", report.name),
        report.simulated,
        &html! {
            (head(report))
            (told(report.story))
            (walk_forward(report.story))
            (importance(report.story))
            @if !report.story.heat_maps.is_empty() { h2 { "Pairs of parameters" } }
            @for map in &report.story.heat_maps { (heat_map(map, report.story)) }
            (parallel(report.story))
            (points(report))
            (setup(report))
        },
    );
    page.into_string()
}

fn head(report: &OptimizationReport<'_>) -> Markup {
    html! {
        header { h1 { (report.name) } span class="state" { "optimisation" } }
        p.soft {
            (report.story.analysis.trials) " points, " (report.method) " · " (report.story.analysis.days)
            " days · report of " (format::time(report.made_at_ms)) " UTC"
        }
        p.soft {
            "The best of many points is mostly luck. What follows tells how much is left of it; a point that is sent on enters as "
            "a candidate and has to show on days that nobody has seen what it is worth."
        }
        h2 { "Strategy" }
        @for line in report.words.lines() { p { (line) } }
        pre { (report.strategy) }
    }
}

fn told(story: &Story) -> Markup {
    html! {
        h2 { "What may be believed" }
        div.scroll { table.words { tbody {
            @for told in &story.told { tr { th { (told.about) } td { (told.sentence) } } }
        } } }
    }
}

/// Lengths in sample, in order.
fn lengths(cells: &[Cell], of: fn(&Cell) -> usize) -> Vec<usize> {
    let mut all: Vec<usize> = cells.iter().map(of).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn walk_forward(story: &Story) -> Markup {
    let cells = &story.analysis.walk_forward;
    let (inside, outside) = (lengths(cells, |c| c.in_sample_days), lengths(cells, |c| c.out_of_sample_days));
    let at = |i: usize, o: usize| cells.iter().find(|c| (c.in_sample_days, c.out_of_sample_days) == (i, o));
    html! {
        h2 { "Walk-forward matrix" }
        p.soft {
            "In each window the point that was best in sample is traded on the days after. A cell tells what was kept of the daily "
            "profit, and below it what that earned a year out of sample, beside what a point at random earned. One good cell is "
            "luck; an edge shows in most."
        }
        div.scroll { table.figures {
            thead { tr {
                th { "in sample" }
                @for o in &outside { th { (o) " days after" } }
            } }
            tbody { @for i in &inside { tr {
                th { (i) " days" }
                @for o in &outside { td { @match at(*i, *o) {
                    Some(cell) if cell.folds > 0 => {
                        b class=(if cell.kept == Some(true) { "yes" } else { "no" }) { (format::percent(cell.efficiency)) }
                        br;
                        (format::percent(cell.out_of_sample_annual_return)) " / " (format::percent(cell.average_annual_return))
                        br;
                        span.soft { (cell.folds) " windows, " (cell.points_chosen) " points, rank " (format::percent(cell.mean_rank)) }
                    }
                    _ => { span.soft { "no window" } }
                } } }
            } } }
        } }
    }
}

fn importance(story: &Story) -> Markup {
    let most = 460.0;
    html! {
        h2 { "Importance" }
        p.soft {
            "Share of what differs between points that each parameter explains by itself (epsilon squared). What parameters do "
            "together is in none of them."
        }
        div.scroll { table { tbody { @for i in &story.analysis.importance {
            @let share = i.explained.unwrap_or(0.0);
            tr {
                th { (i.parameter) }
                td { (format::percent(i.explained)) }
                td { svg width=(most) height="12" viewBox=(format!("0 0 {most} 12")) role="img" aria-label=(format!("{share:.3}")) {
                    rect class="gain" x="0" y="1" height="10" width=(format!("{:.1}", most * share)) {}
                } }
            }
        } } } }
    }
}

fn shown(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

/// Columns and rows of cells: above 0 in the colour of gains, below in that of losses, the greatest the strongest.
fn heat_map(map: &HeatMap, story: &Story) -> Markup {
    const LEFT: f64 = 78.0;
    const ROW: f64 = 20.0;
    let (columns, rows) = (map.x_values.len().max(1), map.y_values.len().max(1));
    let width = ((WIDTH - LEFT - 8.0) / columns as f64).min(60.0);
    let height = ROW * rows as f64 + 44.0;
    let most = map.mean.iter().flatten().flatten().fold(1e-12_f64, |most, v| most.max(v.abs()));
    let every = (columns as f64 * width / 46.0).floor().max(1.0);
    let told = |i: usize| i.is_multiple_of(((columns as f64 / every).ceil() as usize).max(1));
    let objective = story.objectives.first().map_or("", |o| o.name());
    html! {
        figure {
            figcaption { b { (map.y) } " upwards, " b { (map.x) } " to the right: mean " (objective) " over all other parameters" }
            svg viewBox=(format!("0 0 {WIDTH} {height:.0}")) role="img" aria-label=(format!("{} by {} and {}", objective, map.x, map.y)) {
                @for (r, y_value) in map.y_values.iter().enumerate() {
                    @let y = ROW * (rows - 1 - r) as f64 + 4.0;
                    @if rows <= 15 || r.is_multiple_of(2) {
                        text class="tick end" x=(LEFT - 6.0) y=(format!("{:.1}", y + ROW / 2.0)) dy="0.32em" { (shown(*y_value)) }
                    }
                    @for (c, mean) in map.mean[r].iter().enumerate() {
                        @if let Some(mean) = mean {
                            rect class=(if *mean < 0.0 { "loss" } else { "gain" }) x=(format!("{:.1}", LEFT + width * c as f64))
                                y=(format!("{y:.1}")) width=(format!("{:.1}", (width - 1.0).max(0.5))) height=(ROW - 1.0)
                                fill-opacity=(format!("{:.3}", (mean.abs() / most).max(0.02))) {
                                title {
                                    (map.x) " " (shown(map.x_values[c])) ", " (map.y) " " (shown(*y_value)) ": mean " (format!("{mean:.3}"))
                                    ", best " (format::ratio(map.best[r][c])) ", " (map.points[r][c]) " points"
                                }
                            }
                        }
                    }
                }
                @for (c, x_value) in map.x_values.iter().enumerate().filter(|(c, _)| told(*c)) {
                    text class="tick middle" x=(format!("{:.1}", LEFT + width * (c as f64 + 0.5))) y=(format!("{:.1}", height - 22.0)) {
                        (shown(*x_value))
                    }
                }
            }
        }
    }
}

/// A line a point through its value on every axis and its value of the first objective; the best stand out.
fn parallel(story: &Story) -> Markup {
    const HEIGHT: f64 = 320.0;
    let axes: Vec<(&Axis, usize)> =
        story.axes.iter().enumerate().filter(|(_, axis)| axis.values.len() > 1).map(|(i, axis)| (axis, i)).collect();
    if axes.is_empty() || story.points.is_empty() {
        return html! {};
    }
    let step = (WIDTH - 140.0) / axes.len() as f64;
    let x = |place: usize| 70.0 + step * place as f64;
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let y = |value: f64, (low, high): (f64, f64)| {
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        24.0 + (1.0 - share) * (HEIGHT - 74.0)
    };
    let objective = |p: &Shown| p.objectives.first().copied().flatten().unwrap_or(0.0);
    let aims = range(&mut story.points.iter().map(objective));
    let ranges: Vec<(f64, f64)> = axes.iter().map(|(axis, _)| range(&mut axis.values.iter().copied())).collect();
    let path = |p: &Shown| {
        let mut text = String::new();
        for (place, ((_, i), range)) in axes.iter().zip(&ranges).enumerate() {
            let word = if place == 0 { 'M' } else { 'L' };
            text.push_str(&format!("{word}{:.1} {:.1}", x(place), y(p.values[*i], *range)));
        }
        text + &format!("L{:.1} {:.1}", x(axes.len()), y(objective(p), aims))
    };
    let best = BEST.min(story.points.len());
    let name = story.objectives.first().map_or("", |o| o.name());
    html! {
        h2 { "Points" }
        figure {
            figcaption { "Each line is a point; the " (best) " best stand out. Lines that part at an axis say that it does not matter." }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label="parallel coordinates" {
                @for p in story.points.iter().skip(best).rev() { path class="line backtest" stroke-opacity="0.12" d=(path(p)) {} }
                @for p in story.points.iter().take(best) { path class="line live" d=(path(p)) { title { "point " (p.point) } } }
                @for (place, (axis, range)) in axes.iter().map(|(axis, _)| axis.label()).zip(&ranges).chain([(name.to_owned(), &aims)]).enumerate() {
                    line class="zero" x1=(format!("{:.1}", x(place))) x2=(format!("{:.1}", x(place))) y1="24" y2=(HEIGHT - 50.0) {}
                    text class="tick middle" x=(format!("{:.1}", x(place))) y="16" { (shown(range.1)) }
                    text class="tick middle" x=(format!("{:.1}", x(place))) y=(HEIGHT - 36.0) { (shown(range.0)) }
                    // Names are long: the first begins at the picture's edge.
                    @if place == 0 {
                        text class="tick" x="0" y=(HEIGHT - 20.0) { (axis) }
                    } @else {
                        text class="tick middle" x=(format!("{:.1}", x(place))) y=(if place % 2 == 0 { HEIGHT - 20.0 } else { HEIGHT - 6.0 }) { (axis) }
                    }
                }
            }
        }
    }
}

fn points(report: &OptimizationReport<'_>) -> Markup {
    let story = report.story;
    html! {
        div.scroll { table.figures {
            thead { tr {
                th { "point" }
                @for o in &story.objectives { th { (o.name()) } }
                th { "trades" }
                @for axis in &story.axes { th { (axis.label()) } }
            } }
            tbody {
                @if !report.own.is_empty() { tr {
                    th { "as it is" }
                    @for value in &report.own { td { (format::ratio(*value)) } }
                    td {}
                    @for _ in &story.axes { td {} }
                } }
                @for p in story.points.iter().take(ROWS) { tr {
                    th { (p.point) }
                    @for value in &p.objectives { td { (format::ratio(*value)) } }
                    td { (p.total_trades) }
                    @for value in &p.values { td { (shown(*value)) } }
                } }
            }
        } }
    }
}

fn setup(report: &OptimizationReport<'_>) -> Markup {
    let of = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    html! {
        h2 { "How it was computed" }
        dl {
            @if let Some(window) = report.window.as_object() {
                @for (name, value) in window.iter().filter(|(name, _)| *name != "candles") {
                    dt { (name.replace('_', " ")) } dd { (of(value)) }
                }
            }
            dt { "seed" } dd { (report.seed) }
            dt { "least trades" } dd { (report.least_trades) }
            dt { "strategy" } dd { code { (report.hash) } }
            dt { "made by" } dd { (report.made_by) }
        }
    }
}
