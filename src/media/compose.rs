//! Joins the phrases that were found into one strategy: what is said within ten seconds is one idea.
//!
//! Phrases of an idea are joined by `and`, ideas by `or`; the risk is that which was said first. Whatever cannot be part of
//! a strategy is left out and told. Judges nothing.

use crate::{
    Item,
    contract::RISK,
    lexicon::{self, Found, Meaning},
};
use genome::{Rule, Strategy, Timeframe};
use serde::Serialize;

/// How far a phrase may begin after the first one of its idea has ended, seconds.
pub const SAME_IDEA_SECONDS: f64 = 10.0;

/// What was said together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Idea {
    /// Seconds.
    pub start_time: f64,
    /// Seconds.
    pub end_time: f64,
    /// `long`, `short` or `both`.
    pub side: &'static str,
    /// In order of time.
    pub found: Vec<Found>,
}

/// What the lexicon makes of an item.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LexiconProposal {
    /// In order of time.
    pub ideas: Vec<Idea>,
    /// The strategy in the language; `None` where nothing says when to enter, or where existing clients' rules say it all.
    pub strategy: Option<String>,
    /// Phrases that are no part of it, each with why.
    pub left_out: Vec<String>,
}

/// What the phrases of an item come to, on this timeframe where they name none.
#[must_use]
pub fn propose(item: &Item, timeframe: Timeframe) -> LexiconProposal {
    let mut left_out = Vec::new();
    let ideas = ideas(lexicon::find(item), &mut left_out);
    let mut made = Made::default();
    for idea in &ideas {
        made.add(idea, &mut left_out);
    }
    let more_than_clients = made.used.iter().any(|found| !found.entry().known_to_clients);
    let strategy = if made.has_entry() && more_than_clients {
        made.strategy(timeframe, &mut left_out)
    } else {
        if more_than_clients {
            left_out.push("nothing that was said tells when to enter".to_owned());
        }
        None
    };
    LexiconProposal { ideas, strategy, left_out }
}

/// Parts what was found into ideas: a phrase begins one, and all that begins up to ten seconds after its end is part of it.
/// A vague phrase is left out where a definite one of its topic stands beside it; what is said twice counts once.
fn ideas(found: Vec<Found>, left_out: &mut Vec<String>) -> Vec<Idea> {
    let mut groups: Vec<Vec<Found>> = Vec::new();
    for phrase in found {
        match groups.last_mut() {
            Some(group) if phrase.start_time - group[0].end_time <= SAME_IDEA_SECONDS => group.push(phrase),
            _ => groups.push(vec![phrase]),
        }
    }
    let of_group = |group: Vec<Found>| {
        let mut kept: Vec<Found> = Vec::new();
        for phrase in &group {
            let (entry, same) = (phrase.entry(), kept.iter().any(|k| k.means == phrase.means));
            let better = group.iter().find(|o| entry.vague && o.entry().topic == entry.topic && !o.entry().vague);
            match better {
                Some(better) => left_out.push(format!("{:?}: {:?} says it better", phrase.words, better.words)),
                None if same => {}
                None => kept.push(phrase.clone()),
            }
        }
        let says = |wanted: Meaning| kept.iter().any(|phrase| phrase.entry().meaning == wanted);
        let side = match (says(Meaning::Long), says(Meaning::Short)) {
            (true, true) => "both",
            (false, true) => "short",
            _ => "long",
        };
        let ends = kept.iter().map(|phrase| phrase.end_time);
        let (start_time, end_time) = (kept[0].start_time, ends.fold(kept[0].end_time, f64::max));
        Idea { start_time, end_time, side, found: kept }
    };
    groups.into_iter().map(of_group).collect()
}

/// A strategy in the making.
#[derive(Default)]
struct Made<'a> {
    /// Entries by idea, joined by `or`: long, short.
    entries: [Vec<String>; 2],
    /// Exits, joined by `or`: of long, of short.
    exits: [Vec<String>; 2],
    timeframes: Vec<(Timeframe, &'a Found)>,
    /// First word, whole clause.
    clauses: Vec<(String, String)>,
    reward: Option<f64>,
    /// What is part of it.
    used: Vec<&'a Found>,
}

const SIDES: [&str; 2] = ["long", "short"];

impl<'a> Made<'a> {
    fn has_entry(&self) -> bool {
        self.entries.iter().any(|entries| !entries.is_empty())
    }

    fn add(&mut self, idea: &'a Idea, left_out: &mut Vec<String>) {
        let sides = SIDES.map(|side| idea.side == "both" || idea.side == side);
        let mut signals: [Vec<(String, &Found)>; 2] = [Vec::new(), Vec::new()];
        let mut filters: Vec<(String, &Found)> = Vec::new();
        for found in &idea.found {
            let entry = found.entry();
            let rule = |k: usize| found.means[k].clone();
            match entry.meaning {
                Meaning::Either(..) => {
                    for (k, signals) in signals.iter_mut().enumerate().filter(|(k, _)| sides[*k]) {
                        signals.push((rule(k), found));
                    }
                }
                Meaning::Bullish(_) | Meaning::Bearish(_) => {
                    let own = usize::from(matches!(entry.meaning, Meaning::Bearish(_)));
                    if sides[own] {
                        signals[own].push((rule(0), found));
                    } else {
                        self.exit(1 - own, rule(0), found, left_out);
                    }
                }
                Meaning::Filter(_) => filters.push((rule(0), found)),
                Meaning::Timeframe(_) => match rule(0).parse::<Timeframe>() {
                    Ok(timeframe) => self.timeframes.push((timeframe, found)),
                    Err(why) => left_out.push(format!("{:?}: {why}", found.words)),
                },
                Meaning::Clause(_) => self.clause(rule(0), found, left_out),
                Meaning::RewardPerRisk => self.reward_per_risk(found, left_out),
                Meaning::Long | Meaning::Short => {}
            }
        }
        for (side, signals) in signals.into_iter().enumerate() {
            if signals.is_empty() {
                continue;
            }
            let mut entry = Vec::new();
            for (rule, found) in signals.into_iter().chain(filters.iter().cloned()) {
                // Two crossings at the same candle are rare: the first is when, the others are how things stand.
                let crosses = |rule: &str| rule.contains(" crosses ");
                let again = crosses(&rule) && entry.iter().any(|rule: &String| crosses(rule));
                let rule =
                    if again { rule.replace(" crosses above ", " > ").replace(" crosses below ", " < ") } else { rule };
                let joined = [entry.as_slice(), std::slice::from_ref(&rule)].concat().join(" and ");
                if self.fits(&joined, found, left_out) {
                    entry.push(rule);
                    self.used.push(found);
                }
            }
            if entry.is_empty() {
                continue;
            }
            let entry = entry.join(" and ");
            let more = [self.entries[side].as_slice(), std::slice::from_ref(&entry)].concat();
            if self.entries[side].contains(&entry) {
                continue;
            }
            match either(&more).parse::<Rule>() {
                Ok(_) => self.entries[side] = more,
                Err(why) => left_out.push(format!("the idea at {:.0} s: {}", idea.start_time, why.headline())),
            }
        }
    }

    fn exit(&mut self, side: usize, rule: String, found: &'a Found, left_out: &mut Vec<String>) {
        let more = [self.exits[side].as_slice(), std::slice::from_ref(&rule)].concat();
        if !self.exits[side].contains(&rule) && self.fits(&either(&more), found, left_out) {
            self.exits[side] = more;
            self.used.push(found);
        }
    }

    /// Whether a rule can be; what it was made of is told where it cannot.
    fn fits(&self, rule: &str, found: &Found, left_out: &mut Vec<String>) -> bool {
        // A whole strategy: that two conditions exclude each other shows there.
        let whole = format!("15m; long when {rule}").parse::<Strategy>();
        if let Err(why) = &whole {
            left_out.push(format!("{:?}: {}", found.words, why.headline()));
        }
        whole.is_ok()
    }

    fn clause(&mut self, clause: String, found: &'a Found, left_out: &mut Vec<String>) {
        let word = clause.split(' ').next().unwrap_or_default();
        let key = if word == "risk" { "size" } else { word }.to_owned();
        let beside = if word == "stop" { "" } else { "; stop 2%" };
        if let Err(why) = format!("15m; long when close > open{beside}; {clause}").parse::<Strategy>() {
            left_out.push(format!("{:?}: {}", found.words, why.headline()));
            return;
        }
        let vague = |clause: &str| self.used.iter().any(|used| used.means[0] == clause && used.entry().vague);
        match self.clauses.iter().position(|(known, _)| *known == key) {
            None => self.clauses.push((key, clause)),
            // `stop loss`, and later how far: the first definite one counts.
            Some(k) if vague(&self.clauses[k].1) && !found.entry().vague => self.clauses[k] = (key, clause),
            Some(k) if self.clauses[k].1 == clause || found.entry().vague => return,
            Some(k) => {
                left_out.push(format!("{:?}: {} was said before", found.words, self.clauses[k].1));
                return;
            }
        }
        self.used.push(found);
    }

    fn reward_per_risk(&mut self, found: &'a Found, left_out: &mut Vec<String>) {
        let (a, b) = (found.numbers[0], found.numbers[1]);
        let ratio = a.max(b) / a.min(b);
        if ratio.is_finite() && a.min(b) > 0.0 && self.reward.is_none() {
            self.reward = Some(ratio);
            self.used.push(found);
        } else {
            let why =
                if self.reward.is_some() { "another one was said before" } else { "both numbers must be above 0" };
            left_out.push(format!("{:?}: {why}", found.words));
        }
    }

    /// The stop that was said, with the target that stands in this ratio to it.
    fn target(&self, stop: &str) -> Option<String> {
        let (reward, distance) = (self.reward?, stop.strip_prefix("stop ")?);
        match distance.strip_suffix('%') {
            Some(percent) => Some(format!("target {}%", short(percent.parse::<f64>().ok()? * reward))),
            None => {
                let (atrs, rest) = distance.split_once(' ')?;
                Some(format!("target {} {rest}", short(atrs.parse::<f64>().ok()? * reward)))
            }
        }
    }

    fn strategy(mut self, timeframe: Timeframe, left_out: &mut Vec<String>) -> Option<String> {
        let shortest = self.timeframes.iter().map(|(timeframe, _)| *timeframe).min();
        for (other, found) in self.timeframes.iter().filter(|(t, _)| Some(*t) != shortest) {
            left_out.push(format!("{:?}: {other} is not the shortest timeframe that was said", found.words));
        }
        let mut parts = vec![shortest.unwrap_or(timeframe).to_string()];
        for (side, name) in SIDES.iter().enumerate() {
            if self.entries[side].is_empty() {
                let lost = self.exits[side].iter();
                left_out.extend(lost.map(|rule| format!("{rule}: it would leave {name}, and nothing enters")));
                continue;
            }
            parts.push(format!("{name} when {}", either(&self.entries[side])));
            if !self.exits[side].is_empty() {
                parts.push(format!("exit when {}", either(&self.exits[side])));
            }
        }
        let percent = |fraction: f64| short(100.0 * fraction);
        let stop = self.clauses.iter().find(|(key, _)| key == "stop").map(|(_, clause)| clause.clone());
        let stop = stop.unwrap_or_else(|| format!("stop {}%", percent(RISK.stop_loss_pct)));
        let customary = [
            ("stop", stop.clone()),
            ("target", self.target(&stop).unwrap_or_else(|| format!("target {}%", percent(RISK.take_profit_pct)))),
            ("size", format!("size {}%", percent(RISK.position_size))),
        ];
        for (key, clause) in customary {
            if !self.clauses.iter().any(|(known, _)| known == key) {
                self.clauses.push((key.to_owned(), clause));
            }
        }
        parts.extend(self.clauses.into_iter().map(|(_, clause)| clause));
        match parts.join("; ").parse::<Strategy>() {
            Ok(strategy) => Some(strategy.to_string()),
            Err(why) => {
                left_out.push(format!("all of it together: {}", why.headline()));
                None
            }
        }
    }
}

/// Rules, of which one is enough.
fn either(rules: &[String]) -> String {
    match rules {
        [one] => one.clone(),
        many => many.iter().map(|rule| format!("({rule})")).collect::<Vec<_>>().join(" or "),
    }
}

/// Ten digits: 7 % is not to become 7.000000000000001 %.
fn short(number: f64) -> f64 {
    (number * 1e10).round() / 1e10
}
