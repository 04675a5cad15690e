//! What an analysis says, in plain sentences, the same for terminal, report and page.
//!
//! Each says what its figure cannot tell, too.

use super::Analysis;

/// A heading with its sentence.
pub type Sentence = (&'static str, String);

fn percent(fraction: f64) -> String {
    format!("{:.1} %", 100.0 * fraction)
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "undefined".to_owned(), |v| format!("{v:.2}"))
}

/// One sentence or two a question, in a fixed order.
#[must_use]
pub fn sentences(a: &Analysis) -> Vec<Sentence> {
    vec![
        ("trials", trials(a)),
        ("expectation", expectation(a)),
        ("deflated Sharpe ratio", deflated(a)),
        ("walk-forward matrix", walk_forward(a)),
        ("plateau", plateau(a)),
        ("overfitting", overfitting(a)),
        ("importance", importance(a)),
    ]
}

fn trials(a: &Analysis) -> String {
    let mut text = format!("{} points were evaluated over {} days, and each counts as a trial", a.trials, a.days);
    if a.failures > 0 {
        text.push_str(&format!("; the values of {} make no strategy that can be evaluated", a.failures));
    }
    if a.too_few_trades > 0 {
        text.push_str(&format!("; {} had too few trades to be the best of anything", a.too_few_trades));
    }
    text + "."
}

fn expectation(a: &Analysis) -> String {
    match &a.expectation {
        None => "Nothing can be expected: the best point and two others need a Sharpe ratio.".to_owned(),
        Some(e) => format!(
            "The best point showed a Sharpe ratio of {:.2}; as the best of {} that share much of their luck, expect {:.2}, give \
             or take {:.2} (one standard error): {} of its lead over the mean of {:.2} is kept.{}",
            e.shown,
            e.points,
            e.expected,
            e.standard_error,
            percent(e.kept),
            e.mean,
            if a.adaptive {
                " The genetic method went where points looked good, lucky ones too: this is kinder than it should be."
            } else {
                ""
            }
        ),
    }
}

fn deflated(a: &Analysis) -> String {
    let Some(d) = &a.deflation else { return "The best point has no Sharpe ratio.".to_owned() };
    let luck = match (d.expected_by_luck, d.deflated) {
        (Some(luck), Some(deflated)) => format!(
            "the best of {} worthless tries would show about {luck:.2}, and the chance that it is above that is {}: {}",
            d.trials,
            percent(deflated),
            if deflated >= a.confidence { "more than luck" } else { "no more than luck gives" }
        ),
        _ => "with one trial there is nothing to deflate".to_owned(),
    };
    let alone = d.probability.map_or_else(|| "not defined".to_owned(), percent);
    format!("A Sharpe ratio of {:.2}, above 0 with a chance of {alone} had it alone been tried; {luck}.", d.sharpe)
}

fn walk_forward(a: &Analysis) -> String {
    let judged: Vec<_> = a.walk_forward.iter().filter(|cell| cell.folds > 0).collect();
    if judged.is_empty() {
        return "No fold has a point with enough trades in sample, so nothing could be walked forward.".to_owned();
    }
    let earned = judged.iter().filter(|c| c.out_of_sample_annual_return.is_some_and(|r| r > 0.0)).count();
    let better = judged.iter().filter(|c| c.out_of_sample_annual_return > c.average_annual_return).count();
    let ranks: Vec<f64> = judged.iter().filter_map(|c| c.mean_rank).collect();
    let rank = (!ranks.is_empty()).then(|| ranks.iter().sum::<f64>() / ranks.len() as f64);
    format!(
        "Chosen anew in each window, the best point earned on the days after in {earned} of {} pairs of lengths, and kept {} of \
         its daily profit or more in {}; it did better than a point at random in {better}, and stood on average above {} of \
         the others (half is chance).",
        judged.len(),
        percent(a.efficiency_threshold),
        percent(a.cells_kept.unwrap_or(0.0)),
        rank.map_or_else(|| "none".to_owned(), percent),
    )
}

fn plateau(a: &Analysis) -> String {
    let Some(p) = &a.plateau else { return "There is no best point.".to_owned() };
    if p.neighbours == 0 {
        return "No neighbour of the best point was evaluated: finer steps or more points tell a plateau from a peak."
            .to_owned();
    }
    let many = if p.neighbours == 1 { "neighbour" } else { "neighbours" };
    if p.mean.is_none() {
        return format!(
            "The best point came to {:.2}, and its {} {many} made too few trades to be judged: a lone peak, which luck may have put \
             there.",
            p.own, p.neighbours
        );
    }
    let verdict = match p.kept {
        Some(kept) if kept >= 0.8 => "a plateau",
        Some(kept) if kept >= 0.5 => "a slope",
        _ => "a lone peak, which luck may have put there",
    };
    let other = match &a.best_plateau {
        Some(q) if q.point != p.point => format!(
            " The best surroundings are those of point {}: itself {:.2}, its {} neighbours {} on average.",
            q.point,
            q.own,
            q.neighbours,
            number(q.mean)
        ),
        _ => String::new(),
    };
    format!(
        "The best point came to {:.2}, its {} {many} to {} on average and {} at worst: {verdict}.{other}",
        p.own,
        p.neighbours,
        number(p.mean),
        number(p.worst)
    )
}

fn overfitting(a: &Analysis) -> String {
    match &a.overfitting {
        None => "Too few points or days for a probability of overfitting.".to_owned(),
        Some(o) => format!(
            "Of {} ways to halve the days, the best point of one half is in the worse half of the points on the other in {}, and \
             loses there in {}: a Sharpe ratio of {:.2} inside became {:.2} outside. Half is what points without any difference \
             give; points that are clones of each other give any value.",
            o.splits,
            percent(o.probability),
            percent(o.probability_of_loss),
            o.mean_inside,
            o.mean_outside
        ),
    }
}

fn importance(a: &Analysis) -> String {
    let mut told: Vec<_> = a.importance.iter().filter_map(|i| Some((i.explained?, &i.parameter))).collect();
    if told.is_empty() {
        return "Too few points have a value to tell which parameter matters.".to_owned();
    }
    told.sort_by(|a, b| b.0.total_cmp(&a.0));
    let told: Vec<String> = told.iter().map(|(share, name)| format!("{name} {}", percent(*share))).collect();
    format!("Of what differs between points each parameter alone explains: {}.", told.join(", "))
}
