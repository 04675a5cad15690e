//! Spaces: how they are written, what is refused, and how points are numbered.

// Helpers outside test functions may fail a test.
#![allow(clippy::unwrap_used)]

use genome::StrategyFile;
use genome::variation::{Parameter, parameters};
use optimize::{Axis, Space, SpaceError};

fn known() -> Vec<Parameter> {
    let text = r#"{"timeframe": "15m", "long": {"entry": "rsi(14) < 30 and ema(10) crosses above ema(50)"},
        "risk": {"stop_loss": "2%"}}"#;
    parameters(&StrategyFile::parse(text).unwrap().strategy)
}

fn values(text: &str) -> Vec<f64> {
    Axis::read(text, &known()).unwrap_or_else(|e| panic!("{text}: {e}")).values
}

fn refusal(text: &str) -> String {
    Axis::read(text, &known()).expect_err(text).to_string()
}

#[test]
fn ranges_and_lists() {
    assert_eq!(values("entry.long.1.rsi.period=5..20:5"), [5.0, 10.0, 15.0, 20.0]);
    assert_eq!(values("entry.long.1.rsi.period=5..19:5"), [5.0, 10.0, 15.0]);
    assert_eq!(values("entry.long.1.rsi.period = 7..9"), [7.0, 8.0, 9.0], "by the customary step");
    assert_eq!(values("risk.stop_loss=0.1..0.5:0.1"), [0.1, 0.2, 0.3, 0.4, 0.5], "as they are written");
    assert_eq!(values("risk.stop_loss=3, 1.5"), [3.0, 1.5]);
    assert_eq!(values("entry.long.1.value=-5..5:5"), [-5.0, 0.0, 5.0]);
    let both = Axis::read("entry.long.2.ema.period+entry.long.2.right.ema.period=20,30", &known()).unwrap();
    assert_eq!(both.label(), "entry.long.2.ema.period+entry.long.2.right.ema.period");
}

#[test]
fn what_cannot_be_is_refused_and_says_why() {
    let error = refusal("entry.long.1.rsi.perod=5..20");
    assert!(error.contains("did you mean entry.long.1.rsi.period?") && error.contains("risk.stop_loss"), "{error}");
    assert!(refusal("rsi.period=5..20").contains("did you mean entry.long.1.rsi.period?"));
    let error = refusal("entry.long.1.rsi.period=1..20");
    assert!(error.contains("at least 2") && error.contains("not 1"), "{error}");
    assert!(refusal("entry.long.1.rsi.period=2..5:0.5").contains("multiple of 1"));
    assert!(refusal("risk.stop_loss=1..95:1").contains("at most 90"));
    assert!(refusal("risk.stop_loss=0,1").contains("above 0"));
    assert!(refusal("risk.stop_loss=3..1").contains("is empty"));
    assert!(refusal("risk.stop_loss=1..3:0").contains("is empty"));
    assert!(refusal("risk.stop_loss=1..x").contains("\"x\" is no number"));
    assert!(refusal("risk.stop_loss=1,2,1").contains("1 is given twice"));
    assert!(refusal("risk.stop_loss=0.001..80:0.001").contains("at most 10000"));
    assert!(refusal("risk.stop_loss=").contains("is no number"));
    assert!(refusal("risk.stop_loss").contains("NAME=FROM..TO:STEP"));
    let axis = |text| Axis::read(text, &known()).unwrap();
    assert_eq!(Space::new(Vec::new()), Err(SpaceError::NoAxes));
    let error = Space::new(vec![axis("risk.stop_loss=1,2"), axis("risk.stop_loss=3,4")]).unwrap_err();
    assert_eq!(error, SpaceError::OnTwoAxes("risk.stop_loss".into()));
}

#[test]
fn points_are_numbered_the_last_axis_fastest() {
    let axis = |text| Axis::read(text, &known()).unwrap();
    let space = Space::new(vec![axis("risk.stop_loss=1,2,3"), axis("entry.long.1.value=20..35:5")]).unwrap();
    assert_eq!(space.size(), 12);
    for rank in 0..12 {
        assert_eq!(space.rank(&space.point(rank)), rank);
    }
    assert_eq!(space.values(&space.point(5)), [2.0, 25.0]);
    assert_eq!(space.named(&space.point(0)), [("risk.stop_loss", 1.0), ("entry.long.1.value", 20.0)]);
}
