//! Stored evidence, byte for byte as it was when it was one struct for every state, and the decisions on it.
//!
//! A line of `golden/decisions.tsv` is a state, evidence as it is stored, and the decisions of the protocol gate and of
//! the threshold gate on it. The lines reach every summary and every check in each outcome that it can have.

use super::*;

const GOLDEN: &str = include_str!("golden/decisions.tsv");

/// Evidence of a state. Without the first candle of its run it may be told by the state alone, which is stored beside it.
fn read(state: &str, text: &str) -> GateEvidence {
    use GateEvidence::{Candidate, Disabled, Live, Shadow};
    let evidence: GateEvidence = serde_json::from_str(text).unwrap();
    match (state, evidence) {
        (state, evidence) if evidence.state().name() == state => evidence,
        ("disabled", Candidate(_)) => Disabled,
        ("shadow", Candidate(CandidateEvidence { tested, protocol })) => {
            Shadow(ShadowEvidence { tested, protocol, ..ShadowEvidence::default() })
        }
        ("live", Candidate(CandidateEvidence { tested, protocol: None })) => {
            Live(LiveEvidence { tested, ..LiveEvidence::default() })
        }
        ("live", Shadow(ShadowEvidence { tested, run: None, demotions, protocol: None, placebo: None })) => {
            Live(LiveEvidence { tested, demotions, ..LiveEvidence::default() })
        }
        (state, evidence) => panic!("{state}: {evidence:?}"),
    }
}

#[test]
fn stored_evidence_is_decided_on_as_ever() {
    let protocol = ProtocolGate::new(Thresholds::default()).unwrap();
    let thresholds = ThresholdGate::new(Thresholds::default()).unwrap();
    for line in GOLDEN.lines() {
        let [state, text, of_protocol, of_thresholds] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("four columns are expected: {line}")
        };
        let evidence = read(state, text);
        assert_eq!(evidence.state().name(), state);
        assert_eq!(serde_json::to_string(&evidence).unwrap(), text);
        for (gate, expected) in [(&protocol as &dyn Gate, of_protocol), (&thresholds, of_thresholds)] {
            assert_eq!(serde_json::to_string(&gate.decide(&evidence)).unwrap(), expected, "{} {text}", gate.name());
        }
    }
}

#[test]
fn evidence_of_two_states_at_once_does_not_read() {
    let stored = |state: &str| {
        let line = GOLDEN.lines().find(|line| line.starts_with(state) && line.contains(r#""to_ms""#)).unwrap();
        serde_json::from_str::<serde_json::Value>(line.split('\t').nth(1).unwrap()).unwrap()
    };
    let (shadow, mut both) = (stored("shadow"), stored("live"));
    both["shadow"] = shadow["shadow"].clone();
    let refused = serde_json::from_value::<GateEvidence>(both).unwrap_err().to_string();
    assert!(refused.starts_with("evidence of one state alone is expected"), "{refused}");
}
