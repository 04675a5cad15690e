//! `sg-ai demo`: the whole product on a simulated market, offline, before your eyes.

use super::{CliError, Context, output};
use crate::daemon::{DemoBook, DemoOptions, DemoStatus, DemoSummary, DemoView, demo};
use clap::Args;
use comfy_table::{Table, presets};
use crossterm::{cursor, execute, terminal};
use lifecycle::State;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use store::{GenerationRow, TransitionRow};

/// Watch strategies be born, shadowed, promoted and disabled on a simulated market.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// End by itself after so long: 180s, 3m, 1h [default: until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// Names the market and the search: one seed, one story
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Real time that one simulated day takes: 500ms, 3s
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "2s")]
    day: Duration,
    /// Port of the HTTP server; 0 picks a free one and prints it
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    http_port: u16,
    /// Port on which clients of the strategy and backtest service look for it; 0 picks a free one and prints it
    #[arg(long, value_name = "PORT", default_value_t = 8001)]
    service_port: u16,
    /// Leave everything in this directory, which must be new or empty, and print the commands that open it
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Print the summary as JSON, an object
    #[arg(long)]
    json: bool,
}

/// Runs the demo.
///
/// # Errors
/// When Postgres cannot be started, or the port is taken.
pub(crate) async fn run(args: DemoArgs, ctx: &Context) -> Result<(), CliError> {
    let options = DemoOptions {
        seed: args.seed,
        duration: args.duration,
        day: args.day,
        keep: args.keep,
        settings: ctx.shown_settings(),
    };
    let mut config = ctx.config().clone();
    config.http.port = args.http_port;
    config.http.service_port = args.service_port;
    let mut view: Box<dyn DemoView> =
        if io::stderr().is_terminal() { Box::new(TableView::default()) } else { Box::new(LineView::default()) };
    let summary = demo(config, ctx.data_dir(), &ctx.clock, options, view.as_mut()).await?;
    if args.json {
        output::json(&summary).map_err(anyhow::Error::from)?;
    } else {
        output::text(sentences(&summary)).map_err(anyhow::Error::from)?;
    }
    Ok(())
}

/// `90`, `90s`, `500ms`, `3m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_s = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3_600.0,
        other => return Err(format!("unknown unit {other:?}; expected ms, s, m or h, as in 180s")),
    };
    let seconds =
        digits.parse::<f64>().map_err(|_| format!("{text:?} is not a time; expected one such as 180s"))? * unit_s;
    if !(0.001..=1e8).contains(&seconds) {
        return Err(format!("{text:?} is out of range; expected 1ms to 27000h"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// What happened to a strategy, in a line.
fn news(row: &TransitionRow) -> String {
    let day = chrono::DateTime::from_timestamp_millis(row.at_market_ms).map(|t| t.format("%Y-%m-%d %H:%M").to_string());
    let reason = row.reason.map(|r| format!(" ({})", r.name())).unwrap_or_default();
    format!(
        "{}  {:<24} {} -> {}{reason}: {}",
        day.unwrap_or_default(),
        row.strategy_name,
        row.from,
        row.to,
        row.summary
    )
}

/// Where the book of rankings stands, in a line.
fn book(book: Option<&DemoBook>) -> String {
    let Some(book) = book else { return "book: not begun".to_owned() };
    let at = book.at_market_ms.and_then(chrono::DateTime::from_timestamp_millis);
    let at = at.map(|t| t.format("%Y-%m-%d %H:%M  ").to_string()).unwrap_or_default();
    let why = book.why.as_deref().unwrap_or("walks its history");
    format!("{at}book {}: {why}", book.state)
}

/// Where each island's search is.
fn fitness(generations: &[GenerationRow]) -> String {
    let of_island = |g: &GenerationRow| {
        let best = g.best_fitness.unwrap_or(0.0);
        format!("{} session {} generation {}, best fitness {best:.1}", g.island, g.session_number, g.number + 1)
    };
    match generations {
        [] => "first generation under way".to_owned(),
        some => some.iter().map(of_island).collect::<Vec<_>>().join("; "),
    }
}

/// Plain lines, for pipes and logs.
#[derive(Default)]
struct LineView {
    last: String,
    book: Option<DemoBook>,
}

impl DemoView for LineView {
    fn say(&mut self, line: &str) {
        eprintln!("{line}");
    }
    fn started(&mut self, http: SocketAddr, service: Option<SocketAddr>, options: &DemoOptions) {
        eprintln!("{}", greeting(http, service, options));
    }
    fn status(&mut self, status: &DemoStatus) {
        for row in status.news.iter().filter(|row| worth_a_line(row)) {
            eprintln!("{}", news(row));
        }
        if self.book != status.book {
            self.book.clone_from(&status.book);
            eprintln!("{}", book(status.book.as_ref()));
        }
        let o = &status.overview;
        let counts: Vec<String> = o.strategies.iter().map(|(state, n)| format!("{n} {state}")).collect();
        let line = format!("{}; {}", fitness(&o.last_generations), counts.join(", "));
        if line != self.last {
            eprintln!("day {:>5.1}  {line}", status.simulated_days);
            self.last = line;
        }
    }
}

/// Rejections come by the dozen; the counts tell of them.
fn worth_a_line(row: &TransitionRow) -> bool {
    !(row.from == State::Candidate && row.to == State::Disabled)
}

/// A table that is drawn over itself.
#[derive(Default)]
struct TableView {
    drawn_lines: u16,
    recent: Vec<String>,
    greeting: String,
}

/// Newest moves kept on the screen.
const RECENT: usize = 12;

impl DemoView for TableView {
    fn say(&mut self, line: &str) {
        eprintln!("{line}");
    }
    fn started(&mut self, http: SocketAddr, service: Option<SocketAddr>, options: &DemoOptions) {
        self.greeting = greeting(http, service, options);
    }
    fn status(&mut self, status: &DemoStatus) {
        self.recent.extend(status.news.iter().filter(|row| worth_a_line(row)).map(news));
        let surplus = self.recent.len().saturating_sub(RECENT);
        self.recent.drain(..surplus);
        let o = &status.overview;
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header(["state", "now", "ever"]);
        for state in State::ALL {
            let n =
                |counts: &std::collections::BTreeMap<State, u64>| counts.get(&state).copied().unwrap_or(0).to_string();
            table.add_row([state.name().to_owned(), n(&o.strategies), n(&o.reached)]);
        }
        let head = format!(
            "{}\nsimulated day {:.1}, {} s; {}; {} backtests",
            self.greeting,
            status.simulated_days,
            status.elapsed.as_secs(),
            fitness(&o.last_generations),
            o.trials.evaluations
        );
        let text = format!("{head}\n{table}\n{}\n{}\n", book(status.book.as_ref()), self.recent.join("\n"));
        let width = usize::from(terminal::size().map_or(100, |(w, _)| w)).max(20);
        let lines: Vec<String> = text.lines().map(|line| line.chars().take(width - 1).collect()).collect();
        let mut out = io::stderr().lock();
        if self.drawn_lines > 0 {
            // A terminal that cannot be drawn on is no reason to end the demo.
            let _ = execute!(
                out,
                cursor::MoveUp(self.drawn_lines),
                cursor::MoveToColumn(0),
                terminal::Clear(terminal::ClearType::FromCursorDown)
            );
        }
        let _ = writeln!(out, "{}", lines.join("\n"));
        self.drawn_lines = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    }
}

fn greeting(http: SocketAddr, service: Option<SocketAddr>, options: &DemoOptions) -> String {
    let service = service.map(|at| format!("  http://{at}/strategies (POST)")).unwrap_or_default();
    format!(
        "SIMULATED market, seed {}: a day takes {:.1} s. Nothing here says anything about real money.\n\
         Dashboard http://{http}/  also http://{http}/sg-ai/stats /sg-ai/health /metrics{service}",
        options.seed,
        options.day.as_secs_f64()
    )
}

fn sentences(summary: &DemoSummary) -> String {
    let reached = |state| summary.reached.get(&state).copied().unwrap_or(0);
    format!(
        "The market was simulated (seed {}): {:.1} days of it in {:.0} s.\n{} generations, {} backtests.\n\
         {} strategies became candidates, {} reached shadow, {} reached live, {} were disabled; {} moves in all.\n{}\n",
        summary.seed,
        summary.simulated_days,
        summary.seconds,
        summary.generations,
        summary.evaluations,
        reached(State::Candidate),
        reached(State::Shadow),
        reached(State::Live),
        reached(State::Disabled),
        summary.transitions,
        book(summary.book.as_ref())
    ) + &further(summary)
}

/// The commands that open what was kept.
fn further(summary: &DemoSummary) -> String {
    let Some(kept) = &summary.kept else { return String::new() };
    // In single quotes a shell takes everything as it is, but for the quote itself.
    let quoted = format!("'{}'", kept.display().to_string().replace('\'', r"'\''"));
    let mut commands = vec!["strategies list --state live,shadow".to_owned()];
    if let Some(name) = &summary.strategy {
        commands.push(format!("strategies show {name}"));
        commands.push(format!("report {name}"));
        commands.push(format!("reproduce {name}"));
    }
    commands.push("audit verify".to_owned());
    let lines = commands.iter().map(|command| format!("  SG_DATA_DIR={quoted} sg-ai {command}\n"));
    format!("All of it is in {}. To look further:\n{}", kept.display(), lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::duration;
    use std::time::Duration;

    #[test]
    fn durations_have_units_and_bounds() {
        assert_eq!(duration("180s"), Ok(Duration::from_secs(180)));
        assert_eq!(duration("3m"), Ok(Duration::from_secs(180)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2"), Ok(Duration::from_secs(2)));
        for wrong in ["", "s", "3 days", "-1s", "nan", "1e99"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
