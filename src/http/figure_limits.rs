//! What figures have to be, as people write it: `sharpe_ratio>1,trades>=30`. Asks nothing.

use super::{answer::wrong, problem::Problem};
use serde::{
    Deserialize,
    de::value::{Error, StrDeserializer},
};
use store::{FigureLimit, StrategySort};

/// Most limits in one request.
const MOST: usize = 8;

/// Reads limits separated by commas; none of an empty text.
pub(super) fn read(text: &str) -> Result<Vec<FigureLimit>, Problem> {
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.len() > MOST {
        return Err(wrong("figures", format!("at most {MOST} limits are expected")));
    }
    parts.into_iter().map(one).collect()
}

fn one(text: &str) -> Result<FigureLimit, Problem> {
    let refused =
        |why: &str| wrong("figures", format!("{why}, such as sharpe_ratio>1 or max_drawdown>-0.2, not {text:?}"));
    let at = text.find(['<', '>']).ok_or_else(|| refused("a figure, < or >, and a number are expected"))?;
    let (name, rest) = text.split_at(at);
    let or_equal = rest[1..].starts_with('=');
    let value = rest[1 + usize::from(or_equal)..].trim();
    let known = StrategySort::deserialize(StrDeserializer::<Error>::new(name.trim())).ok();
    let figure = known.filter(|figure| figure.is_figure()).ok_or_else(|| {
        refused(
            "a figure is one of total_return, sharpe_ratio, profit_factor, max_drawdown, win_rate, trades and log_e",
        )
    })?;
    let value = value.parse::<f64>().ok().filter(|value| value.is_finite());
    let value = value.ok_or_else(|| refused("a number is expected behind the comparison"))?;
    Ok(FigureLimit { figure, above: rest.starts_with('>'), or_equal, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_people_write_them() {
        let limit = |figure, above, or_equal, value| FigureLimit { figure, above, or_equal, value };
        assert_eq!(
            read("sharpe_ratio>1, max_drawdown <= -0.25,total_return<-1e-3,").unwrap(),
            [
                limit(StrategySort::SharpeRatio, true, false, 1.0),
                limit(StrategySort::MaxDrawdown, false, true, -0.25),
                limit(StrategySort::TotalReturn, false, false, -0.001),
            ]
        );
        assert_eq!(read("").unwrap(), []);
        for text in
            ["sharpe", "sharpe_ratio=1", "sharpe>1", "name>1", "trades>", "trades>x", "trades>inf", "trades>NaN", ">1"]
        {
            let problem = read(text).unwrap_err();
            assert_eq!((problem.status, problem.field.as_deref()), (400, Some("figures")), "{text}");
        }
        assert!(read(&["trades>1"; 9].join(",")).is_err());
    }
}
