//! Hedge and bets of days that are not of any walk, for the script that computes them again by other means
//! (`benches/second-opinion/book.py`): lines `net,benchmark` in (a day without a benchmark has none), `--returns` of
//! `sg-ai rehearse --book` out.

use book::{Day, DayFigures};
use std::io::{Read as _, Write as _};

const DAY_MS: i64 = 86_400_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let mut days = Vec::new();
    for (day_ms, line) in (0..).step_by(DAY_MS as usize).zip(text.lines()) {
        let (net, benchmark) = line.split_once(',').ok_or("a line has net and benchmark")?;
        let benchmark = if benchmark.is_empty() { None } else { Some(benchmark.parse()?) };
        days.push(Day { day_ms, net: net.parse()?, benchmark, at_risk: true });
    }
    Ok(std::io::stdout().write_all(DayFigures::csv(&DayFigures::of(&days)).as_bytes())?)
}
