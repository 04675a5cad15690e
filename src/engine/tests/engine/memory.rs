//! A population that is evaluated in pieces takes little memory: measured on processes of their own, by what they held most.

use crate::{
    agreement::strategy,
    support::{Walk, random_walk, symbol_window, window},
};
use engine::{Engine, Terms, Wanted};
use genome::{Strategy, random::Seed};
use std::process::Command;

const CANDLES: usize = 24_000;
const SYMBOLS: [&str; 4] = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "ARBUSDT"];
const STRATEGIES: usize = 500;
/// Says to the process which of the two it is: MiB to work with, or none.
const WORK: &str = "SG_MEMORY_TEST_WORK_MB";

/// What this process held most, bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}

/// The work itself, in a process of its own: does nothing where nobody asked.
#[test]
fn measured() {
    let Ok(work) = std::env::var(WORK) else { return };
    let rng = &mut Seed(31).stream("memory", 0);
    let population: Vec<Strategy> = (0..STRATEGIES).map(|_| strategy(rng)).collect();
    let walk = |seed| random_walk(CANDLES, &Walk { seed, price: 100.0, step: 0.003, wild: false });
    let symbols = SYMBOLS.iter().zip(1..).map(|(symbol, seed)| symbol_window(symbol, walk(seed))).collect();
    let window = window(symbols);
    let before = peak_bytes();
    let engine = work.parse().map_or_else(|_| Engine::new(1), |work_mb| Engine::within(1, work_mb));
    let wanted = Wanted { summary_only: true, ..Wanted::default() };
    let outcomes = engine.evaluate(&population, &window, &Terms::default(), wanted);
    let digest = outcomes.iter().flatten().fold(0_u64, |sum, o| sum.rotate_left(7) ^ o.trades_digest);
    println!("took {} digest {digest}", peak_bytes() - before);
}

/// Bytes that a process took for the work, and the digest of what came out.
fn child(work: &str) -> (u64, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "memory::measured", "--nocapture", "--test-threads", "1"]).env(WORK, work);
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let words: Vec<&str> = output.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "took").unwrap_or_else(|| panic!("no figures: {output}"));
    (words[at + 1].parse().unwrap(), words[at + 3].to_owned())
}

#[test]
fn pieces_take_less_memory_and_come_to_the_same() {
    let ((without, whole), (within, cut)) = (child("none"), child("4"));
    println!("{} MiB at once, {} MiB in pieces of 4", without >> 20, within >> 20);
    assert_eq!(whole, cut);
    // Beside the pieces there are candles of other timeframes, columns under way, and what the allocator keeps; without a
    // limit there has to be more to take, or the test means nothing.
    assert!(within < 40 << 20 && 3 * within < 2 * without, "{within} of {without}");
}
