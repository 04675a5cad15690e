//! Which candidates of a session are tested: what is decided before anything of their hold-out is looked at.
//!
//! A test is for something new. Candidates that earned on the same days are one edge, of which the best is tested; what
//! moves with a strategy that was tested lately is not tested again. The bound of the account needs that all of this is known
//! at the split: it rests on the search window, and on which tests were bought before, which rested on theirs (splits never
//! go back). What became of earlier tests must not matter, since it is known from candles that this hold-out has, too: so a
//! strategy that moves with one in shadow or live is tested and paid for when its turn comes, and refused afterwards.

use super::{Account, ProtocolConfig};
use candles::time::rfc3339;
use genome::AnyStrategy;
use lifecycle::{Policy, Thresholds};
use serde::{Deserialize, Serialize};

/// Correlation of daily returns over the search window from which two strategies count as one edge.
pub const SAME_EDGE: f64 = 0.7;
/// Tests that one session buys at most.
pub const TESTS_PER_SESSION: usize = 3;
/// Market days for which what moves with a tested strategy is not tested again.
pub const REMEMBERED_DAYS: u32 = 60;

/// A strategy that a test may be bought for, with the p-value of its search; `None` where nobody searched.
pub type Proposed = (AnyStrategy, Option<f64>);
/// A strategy and its name, for people.
pub type Named = (String, AnyStrategy);

/// What is known of a strategy before it is tested.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Of its search; `None` where nobody searched.
    pub p_value: Option<f64>,
    /// Daily net returns over the search window.
    pub returns: Vec<f64>,
    /// Why no test of it is worth its price, for people; `None` where one is.
    pub refused: Option<String>,
}

/// A strategy that was tested before, on the same days.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// For people.
    pub name: String,
    /// Daily net returns over the search window.
    pub returns: Vec<f64>,
}

/// A test that was bought.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// What it cost: its chance of going live without an edge, fraction.
    pub level: f64,
    /// Its chance of going live on an edge that has died when shadow begins, fraction.
    pub shadow_level: f64,
}

/// What becomes of a candidate: a test, or why there is none, for people.
pub type Choice = Result<Test, String>;

/// A test for each of `count` candidates, for a gate that asks for no evidence: nothing is paid.
fn test_all(count: usize, config: &ProtocolConfig) -> Vec<Choice> {
    let level = Account::open(config, 0).price(config).unwrap_or(0.0);
    vec![Ok(Test { level, shadow_level: config.dead_promotions }); count]
}

/// Chooses, best first, and pays. Of `limits` it asks which gate decides and up to which p-value a search counts as having
/// beaten its null searches; while the account is full, one candidate is tested whatever its search says, since what the
/// account earned next would be lost. Under [`Policy::Thresholds`] all are tested, and nothing is paid.
#[must_use]
pub fn choose(
    asked: &[Asked],
    known: &[Known],
    account: Account,
    config: &ProtocolConfig,
    limits: &Thresholds,
) -> (Account, Vec<Choice>) {
    if limits.policy == Policy::Thresholds {
        return (account, test_all(asked.len(), config));
    }
    let max_p = limits.max_p_value;
    let mut left = account;
    let mut bought: Vec<usize> = Vec::new();
    let mut choices: Vec<Choice> = Vec::with_capacity(asked.len());
    for (number, one) in asked.iter().enumerate() {
        let refused = one.refused.clone().or_else(|| same_edge(one, known, asked, &bought)).or_else(|| {
            let free = account.is_full(config) && bought.is_empty();
            let luck = one.p_value.filter(|p| *p > max_p && !free);
            luck.map(|p| format!("its search found no more than searches of null markets do: p {p:.3} above {max_p}"))
        });
        let refused = refused.or_else(|| {
            (bought.len() >= TESTS_PER_SESSION).then(|| format!("the session has bought its {TESTS_PER_SESSION} tests"))
        });
        let choice = match (refused, left.buy(config)) {
            (Some(why), _) => Err(why),
            (None, None) => Err(no_test_is_free(left, config)),
            (None, Some((after, level))) => {
                left = after;
                bought.push(number);
                Ok(Test { level, shadow_level: 0.0 })
            }
        };
        choices.push(choice);
    }
    let harmonic: f64 = (1..=bought.len()).map(|k| 1.0 / k as f64).sum();
    for (rank, test) in choices.iter_mut().flatten().enumerate() {
        test.shadow_level = config.dead_promotions / ((rank + 1) as f64 * harmonic);
    }
    (left, choices)
}

fn no_test_is_free(account: Account, config: &ProtocolConfig) -> String {
    let when = rfc3339(account.sells_ms(config));
    let when = when.as_ref().and_then(|when| when.get(..10)).unwrap_or("the account has earned more");
    format!("too little is left for a test before {when}")
}

/// The first of `others` whose daily returns have a correlation of [`SAME_EDGE`] or more with these, and how much.
#[must_use]
pub fn moves_with<'a>(returns: &[f64], others: &'a [Known]) -> Option<(&'a str, f64)> {
    let of = |other: &'a Known| (other.name.as_str(), correlation(returns, &other.returns));
    others.iter().map(of).find(|(_, correlation)| *correlation >= SAME_EDGE)
}

/// Why it is no new edge, if so.
fn same_edge(one: &Asked, known: &[Known], asked: &[Asked], bought: &[usize]) -> Option<String> {
    if let Some((name, correlation)) = moves_with(&one.returns, known) {
        return Some(format!("it earns on the days of {name}, tested lately: correlation {correlation:.2}"));
    }
    let beside = bought.iter().map(|&n| (n + 1, correlation(&one.returns, &asked[n].returns)));
    let (number, correlation) = beside.max_by(|a, b| a.1.total_cmp(&b.1))?;
    (correlation >= SAME_EDGE)
        .then(|| format!("it earns on the days of candidate {number} of its session: correlation {correlation:.2}"))
}

/// Correlation of what both have; 0 where one of them does not move.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    // From the end: both end with the search window.
    let (a, b) = (&a[a.len() - n..], &b[b.len() - n..]);
    let mean = |x: &[f64]| x.iter().sum::<f64>() / n.max(1) as f64;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        ab += (x - ma) * (y - mb);
        aa += (x - ma) * (x - ma);
        bb += (y - mb) * (y - mb);
    }
    let found = ab / (aa * bb).sqrt();
    if found.is_finite() { found } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(period: usize) -> Vec<f64> {
        (0..360).map(|day| (day as f64 * std::f64::consts::TAU / period as f64).sin()).collect()
    }

    /// A p-value of at most 0.05 counts.
    fn limits() -> Thresholds {
        Thresholds { max_p_value: 0.05, ..Thresholds::default() }
    }

    fn asked(p_value: f64, period: usize) -> Asked {
        Asked { p_value: Some(p_value), returns: waves(period), refused: None }
    }

    #[test]
    fn a_test_is_for_something_new() {
        let c = ProtocolConfig::default();
        let account = Account { balance: 0.01, at_ms: 0 };
        let known = [Known { name: "old-1".into(), returns: waves(4) }];
        let all = [asked(0.05, 3), asked(0.05, 3), asked(0.05, 4), asked(0.05, 5), asked(0.05, 6), asked(0.05, 8)];
        let (left, choices) = choose(&all, &known, account, &c, &limits());
        let why = |n: usize| choices[n].as_ref().unwrap_err().as_str();
        assert_eq!(choices.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, true, true, false]);
        assert!(why(1).contains("candidate 1 of its session") && why(1).ends_with("correlation 1.00"), "{}", why(1));
        assert!(why(2).contains("old-1"), "{}", why(2));
        assert_eq!(why(5), "the session has bought its 3 tests");
        let tests: Vec<Test> = choices.into_iter().flatten().collect();
        let paid: f64 = tests.iter().map(|t| t.level).sum();
        assert!((left.balance + paid - 0.01).abs() < 1e-15 && (tests[1].level - 0.0016).abs() < 1e-15);
        let shared: f64 = tests.iter().map(|t| t.shadow_level).sum();
        assert!((shared - c.dead_promotions).abs() < 1e-15, "{shared}");
        assert_eq!(moves_with(&waves(4), &known).unwrap().0, "old-1");
        assert_eq!(moves_with(&waves(5), &known), None);
    }

    #[test]
    fn luck_is_tested_only_with_what_would_be_lost() {
        let c = ProtocolConfig::default();
        let all = [asked(0.4, 3), asked(0.4, 5)];
        let full = Account::open(&c, 0);
        let (left, choices) = choose(&all, &[], full, &c, &limits());
        assert!(choices[0].is_ok() && choices[1].as_ref().is_err_and(|why| why.contains("p 0.400 above 0.05")));
        let (_, choices) = choose(&all, &[], left, &c, &limits());
        assert!(choices.iter().all(Result::is_err));
        let empty = Account { balance: 0.0, at_ms: 0 };
        let (after, choices) = choose(&[asked(0.01, 3)], &[], empty, &c, &limits());
        assert_eq!(after, empty);
        let why = choices[0].as_ref().unwrap_err();
        assert!(why.starts_with("too little is left for a test before 1970-0"), "{why}");
        // Nobody searched for it: whoever added it wants to know.
        let added = Asked { p_value: None, returns: waves(3), refused: None };
        assert!(choose(&[added], &[], left, &c, &limits()).1[0].is_ok());
    }

    #[test]
    fn a_gate_that_asks_for_no_evidence_tests_all_and_pays_nothing() {
        let (c, empty) = (ProtocolConfig::default(), Account { balance: 0.0, at_ms: 0 });
        let limits = Thresholds { policy: Policy::Thresholds, ..limits() };
        let (after, choices) = choose(&[asked(0.9, 3), asked(0.9, 3)], &[], empty, &c, &limits);
        assert!(after == empty && choices.iter().all(Result::is_ok));
    }

    #[test]
    fn what_the_gate_will_refuse_costs_no_test() {
        let c = ProtocolConfig::default();
        let bad = Asked { refused: Some("backtest.total_trades: needs >= 50, had 3".into()), ..asked(0.05, 3) };
        let (left, choices) = choose(&[bad, asked(0.05, 3)], &[], Account::open(&c, 0), &c, &limits());
        assert_eq!(choices[0], Err("backtest.total_trades: needs >= 50, had 3".to_owned()));
        assert!(choices[1].is_ok(), "what was refused is nobody's edge");
        assert!((left.balance - 0.01).abs() < 1e-15);
    }

    #[test]
    fn what_never_trades_moves_with_nothing() {
        assert_eq!(correlation(&[0.0; 5], &waves(5)), 0.0);
        assert_eq!(correlation(&[], &waves(5)), 0.0);
        assert!((correlation(&waves(5), &waves(5)) - 1.0).abs() < 1e-12);
        // What has fewer days is compared over the last ones.
        assert!((correlation(&waves(7)[100..], &waves(7)) - 1.0).abs() < 1e-12);
    }
}
