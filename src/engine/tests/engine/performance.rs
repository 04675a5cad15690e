//! Formulas against values computed elsewhere (`tests/vectors/README.md`).

use engine::performance::{
    cagr, max_drawdown, mean, profit_factor, sharpe_ratio, sortino_ratio, t_statistic, win_rate,
};

fn vector(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

fn close_to(vector: &serde_json::Value, name: &str, value: Option<f64>) {
    let expected = vector["outputs"][name].as_f64().unwrap();
    let value = value.unwrap();
    assert!((value - expected).abs() <= 1e-9 * expected.abs(), "{name}: {value} is not {expected}");
}

#[test]
fn daily_ratios() {
    let v = vector(include_str!("../vectors/01_perf/daily_returns.json"));
    let returns: Vec<f64> = serde_json::from_value(v["inputs"]["returns"].clone()).unwrap();
    let mut equity = 1.0;
    let curve: Vec<f64> = returns
        .iter()
        .map(|r| {
            equity *= 1.0 + r;
            equity
        })
        .collect();
    let drawdown = max_drawdown(1.0, curve);
    let growth = cagr(1.0, equity, returns.len() as f64);
    close_to(&v, "sharpe_ann", sharpe_ratio(&returns));
    close_to(&v, "sortino_ann", sortino_ratio(&returns));
    close_to(&v, "max_drawdown", drawdown);
    close_to(&v, "cagr", growth);
    close_to(&v, "calmar", Some(growth.unwrap() / drawdown.unwrap().abs()));
}

#[test]
fn trade_ratios() {
    let v = vector(include_str!("../vectors/01_perf/trades.json"));
    let profits: Vec<f64> = serde_json::from_value(v["inputs"]["R"].clone()).unwrap();
    close_to(&v, "profit_factor", profit_factor(&profits));
    close_to(&v, "win_rate", win_rate(&profits));
    close_to(&v, "expectancy", mean(&profits));
    // Van Tharp's SQN counts at most 100 trades; the definitions count all of them, 140 here.
    let capped = t_statistic(&profits).unwrap() * (100.0 / profits.len() as f64).sqrt();
    close_to(&v, "sqn", Some(capped));
}

#[test]
fn what_is_undefined_is_none() {
    assert_eq!((sharpe_ratio(&[]), sharpe_ratio(&[0.1]), sharpe_ratio(&[0.1, 0.1, 0.1])), (None, None, None));
    assert_eq!((sortino_ratio(&[0.1, 0.2]), sortino_ratio(&[-0.1])), (None, None));
    assert_eq!((profit_factor(&[1.0]), profit_factor(&[]), win_rate(&[])), (None, None, None));
    assert_eq!((t_statistic(&[1.0]), mean(&[])), (None, None));
    assert_eq!(cagr(1.0, 1e300, 0.1), None, "infinite growth is not a number");
    assert_eq!(max_drawdown(1.0, [0.0, 0.0]), Some(-1.0));
}
