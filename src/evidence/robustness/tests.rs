//! Findings of backtests with an edge, without one, and of nothing.

use super::*;

fn config() -> RobustnessConfig {
    RobustnessConfig { paths: 400, ..RobustnessConfig::default() }
}

fn run(drift: f64, label: u64) -> Run {
    let mut rng = Seed(4).stream("days", label);
    let daily_returns: Vec<f64> = (0..300).map(|_| drift + if rng.random_bool(0.5) { 0.01 } else { -0.01 }).collect();
    let sharpe = SharpeRatio::of(&daily_returns).unwrap();
    Run {
        trades_by_day: vec![1; 300],
        t: Some(sharpe.ratio * 300_f64.sqrt()),
        total_return: Some(daily_returns.iter().map(|r| 1.0 + r).product::<f64>() - 1.0),
        daily_returns,
    }
}

fn inputs(drift: f64) -> RobustnessInputs {
    let base = run(drift, 0);
    RobustnessInputs {
        trade_returns: base.daily_returns.clone(),
        trials: Some(10_000),
        neighbours: (1..9).map(|i| run(drift, i)).collect(),
        noisy: (10..15).map(|i| run(drift, i)).collect(),
        stressed: vec![("fee_x2".to_owned(), run(drift - 0.001, 20))],
        elsewhere: vec![("XRPUSDT".to_owned(), run(drift, 21))],
        regimes: (0..300).map(|i| [None, Some(Volatility::Low), Some(Volatility::High)][i % 3]).collect(),
        base,
    }
}

fn figure(robustness: &RobustnessReport, finding: &str, figure: &str) -> Option<f64> {
    let finding = robustness.findings.iter().find(|f| f.name == finding).unwrap();
    finding.figures.iter().find(|f| f.name == figure).unwrap().value
}

#[test]
fn an_edge_shows_in_every_finding_and_none_in_none() {
    let (edge, luck) =
        (robustness_report(&inputs(0.003), &config(), Seed(1)), robustness_report(&inputs(-0.001), &config(), Seed(1)));
    for d in [&edge, &luck] {
        assert_eq!((d.days, d.findings.len()), (300, 12));
        assert!(d.findings.iter().all(|f| f.sentence.ends_with('.')), "{d:?}");
    }
    // (300 - 180) / 60 folds.
    assert_eq!(figure(&edge, "walk_forward_rolling", "folds"), Some(2.0));
    assert!(figure(&edge, "walk_forward_anchored", "efficiency").is_some_and(|e| e > 0.3));
    assert!(figure(&edge, "monte_carlo_bootstrap", "loss_probability").is_some_and(|p| p < 0.05));
    assert!(figure(&luck, "monte_carlo_bootstrap", "loss_probability").is_some_and(|p| p > 0.4));
    assert!(figure(&edge, "sharpe_ratio", "probabilistic_sharpe").is_some_and(|p| p > 0.99));
    let deflated = figure(&edge, "sharpe_ratio", "deflated_sharpe").unwrap();
    assert!(deflated < figure(&edge, "sharpe_ratio", "probabilistic_sharpe").unwrap());
    assert_eq!(figure(&luck, "sharpe_ratio", "minimum_track_record_days"), None);
    assert!(figure(&edge, "parameter_neighbourhood", "t_kept_fraction").is_some_and(|k| k > 0.5));
    assert_eq!(figure(&edge, "parameter_neighbourhood", "profitable_fraction"), Some(1.0));
    assert_eq!(figure(&edge, "regimes", "low_days"), Some(100.0));
    assert!(figure(&edge, "skipped_trades", "profitable_fraction").is_some_and(|p| p > 0.95));
}

#[test]
fn the_bands_are_in_order_and_the_same_each_time() {
    let (one, two) =
        (robustness_report(&inputs(0.001), &config(), Seed(2)), robustness_report(&inputs(0.001), &config(), Seed(2)));
    assert_eq!(one, two);
    let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(threads.install(|| robustness_report(&inputs(0.001), &config(), Seed(2))), one);
    for name in ["monte_carlo_shuffle", "monte_carlo_bootstrap"] {
        let at = |p| figure(&one, name, &format!("max_drawdown_{p}_fraction")).unwrap();
        assert!(at(90) <= at(95) && at(95) <= at(99) && at(99) < 1.0, "{name}");
    }
    let stored = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<RobustnessReport>(&stored).unwrap().findings.len(), 12);
}

#[test]
fn nothing_is_known_of_nothing() {
    let empty = robustness_report(&RobustnessInputs::default(), &config(), Seed(1));
    assert_eq!(empty.findings.len(), 12);
    let counts = ["folds", "runs", "max_drawdown_fraction", "low_days", "middle_days", "high_days"];
    for f in &empty.findings {
        for figure in f.figures.iter().filter(|figure| !counts.contains(&figure.name.as_str())) {
            assert_eq!(figure.value, None, "{} {}", f.name, figure.name);
        }
    }
}

#[test]
fn the_fan_is_ordered_and_ends_where_the_finding_says() {
    let found = robustness_report(&inputs(0.001), &config(), Seed(3));
    let fan = found.fan.as_ref().unwrap();
    assert_eq!((fan.days.first(), fan.days.last(), fan.paths), (Some(&0), Some(&300), 400));
    for cut in 0..fan.days.len() {
        assert!(fan.gains.windows(2).all(|pair| pair[0][cut] <= pair[1][cut]), "cut {cut}");
    }
    for (line, name) in [(0, "return_5_fraction"), (2, "return_50_fraction"), (4, "return_95_fraction")] {
        let end = fan.gains[line].last().copied().unwrap();
        let told = figure(&found, "monte_carlo_bootstrap", name).unwrap();
        assert!((end - told).abs() < 1e-12, "{name}: {end} and {told}");
    }
    assert!(robustness_report(&RobustnessInputs::default(), &config(), Seed(3)).fan.is_none());
}

#[test]
fn windows_are_told_one_by_one() {
    let found = robustness_report(&inputs(0.003), &config(), Seed(1));
    let days: Vec<_> = found.windows.iter().map(|w| (w.from_day, w.split_day, w.end_day)).collect();
    assert_eq!(days, [(0, 180, 240), (60, 240, 300)]);
    let m = inputs(0.003);
    for w in &found.windows {
        let chosen = w.neighbour.map_or(&m.base, |i| &m.neighbours[i - 1]);
        let days = &chosen.daily_returns[w.split_day..w.end_day];
        let (grown, summed) = (days.iter().map(|r| 1.0 + r).product::<f64>() - 1.0, sum(days));
        assert!((w.outside_return_fraction - grown).abs() < 1e-12 && grown != summed, "{grown}");
    }
    assert!((-1.0..-0.99).contains(&compounded(&[-0.6; 40])), "nobody loses more than all");
    // Few days get windows that fit, many the customary ones.
    let (few, many) = (RobustnessConfig::fitting(60), RobustnessConfig::fitting(300));
    assert_eq!((few.inside_days, few.outside_days, many), (30, 10, RobustnessConfig::default()));
}

#[test]
fn stored_stretches_make_a_run() {
    use engine::DailyEquity;
    let day = |day: i64, equity| DailyEquity { time_ms: day * 86_400_000, equity };
    let (first, second) = ([day(0, 100.0), day(1, 110.0), day(2, 99.0)], [day(2, 10.0), day(3, 12.0)]);
    let run = Run::of_stretches([(&first[..], &[][..]), (&second[..], &[][..])]);
    let wanted = [0.1, -0.1, 0.2];
    assert!(run.daily_returns.iter().zip(wanted).all(|(r, w)| (r - w).abs() < 1e-12), "{run:?}");
    assert_eq!((run.daily_returns.len(), run.trades_by_day), (3, vec![0; 3]));
    assert!((run.total_return.unwrap() - (0.99 * 1.2 - 1.0)).abs() < 1e-12);
}
