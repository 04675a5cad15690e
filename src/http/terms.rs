//! The terms of a client's backtest that are its own: at which price orders fill, and the most that slippage costs. What
//! every other result has is the default, and an answer says which it was.

use super::problem::Problem;
use engine::{FillOn, MAX_SLIPPAGE_BPS, RunConfig};
use serde::Serialize;
use utoipa::ToSchema;

/// What a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AskedTerms {
    /// At which price orders of rules fill.
    pub fill_on: FillOn,
    /// Most that slippage costs a fill, basis points of the price; `None`: what the model says.
    pub max_slippage_bps: Option<f64>,
}

impl AskedTerms {
    /// Of the fields of a request.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub(super) fn of(fill_on: Option<&str>, max_slippage_bps: Option<f64>) -> Result<Self, Problem> {
        let fill_on = fill_on.map_or(Ok(FillOn::default()), str::parse);
        let fill_on = fill_on.map_err(|why: String| Problem::field("fill_on", why))?;
        if let Some(bps) = max_slippage_bps
            && !(bps > 0.0 && bps <= MAX_SLIPPAGE_BPS)
        {
            let why = format!("basis points above 0 and up to {MAX_SLIPPAGE_BPS} are expected, not {bps}");
            return Err(Problem::field("max_slippage_bps", why));
        }
        Ok(Self { fill_on, max_slippage_bps })
    }
}

/// The terms of a backtest that a client may choose.
#[derive(Serialize, ToSchema)]
pub(super) struct TermsTold {
    /// `next_open`, or `close`: optimistic, and not to be compared with results at the next open.
    #[schema(value_type = String, example = "next_open")]
    fill_on: FillOn,
    /// Most that slippage cost a fill, basis points of the price; null where the model alone said.
    max_slippage_bps: Option<f64>,
}

impl From<&RunConfig> for TermsTold {
    fn from(config: &RunConfig) -> Self {
        Self { fill_on: config.fill_on, max_slippage_bps: config.costs.max_slippage_bps }
    }
}

/// What a reader of a backtest's figures has to know of its terms; `None` where they are those of every other result.
pub(super) fn remark(config: &RunConfig) -> Option<String> {
    let optimistic = (config.fill_on == FillOn::Close).then(|| {
        "orders filled at the close at which their rule held, which nobody can trade at: not to be compared with other \
         results"
            .to_owned()
    });
    let capped = config.costs.max_slippage_bps.map(|bps| format!("slippage of a fill was cut at {bps} basis points"));
    let all: Vec<String> = optimistic.into_iter().chain(capped).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_and_what_is_wrong_is_named() {
        assert_eq!(AskedTerms::of(None, None).unwrap(), AskedTerms::default());
        let asked = AskedTerms::of(Some("close"), Some(12.5)).unwrap();
        assert_eq!((asked.fill_on, asked.max_slippage_bps), (FillOn::Close, Some(12.5)));
        let field = |fill_on, bps| AskedTerms::of(fill_on, bps).unwrap_err().field;
        assert_eq!(field(Some("open"), None).as_deref(), Some("fill_on"));
        for wrong in [0.0, -3.0, f64::NAN, 5000.1] {
            assert_eq!(field(None, Some(wrong)).as_deref(), Some("max_slippage_bps"), "{wrong}");
        }
    }
}
