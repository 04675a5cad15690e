//! Combinatorial purged cross-validation: every choice of test groups from the groups that time is cut into, with
//! training items left out whose results reach into a test group, and some time after it.
//!
//! What is purged by is how long an item's result takes (a trade: until it is closed). Warm-up of indicators is no
//! leak: it reaches backwards.
//!
//! Source: López de Prado, Advances in Financial Machine Learning (2018), chapters 7 and 12.

use super::overfitting::combinations;

/// One choice of test groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The groups tested on, ascending.
    pub test_groups: Vec<usize>,
    /// The items trained on, ascending.
    pub train: Vec<usize>,
    /// For each test group, in order, which backtest path its results belong to.
    pub paths: Vec<usize>,
}

/// Every split of items 0, 1, ... into `groups` groups with `tested` of them tested on. `ends[i]` is the item during
/// which the result of item i is known; `embargo` items after a test group and its results are left out too.
///
/// The paths are as many as splits that test one group: each strings all groups together, out of sample.
///
/// `None` unless 1 <= tested < groups <= items, with no end before its item.
#[must_use]
pub fn splits(ends: &[usize], groups: usize, tested: usize, embargo: usize) -> Option<Vec<Split>> {
    let n = ends.len();
    let valid = tested >= 1 && tested < groups && groups <= n && ends.iter().enumerate().all(|(i, end)| *end >= i);
    valid.then_some(())?;
    let from = |group: usize| group * n / groups;
    let mut used = vec![0; groups];
    let of = |test_groups: Vec<usize>| {
        let kept = |i: &usize| {
            test_groups.iter().all(|&g| {
                let (first, after) = (from(g), from(g + 1));
                let last_end = ends[first..after].iter().copied().max().unwrap_or(first);
                let inside = (first..after).contains(i);
                let overlaps = ends[*i] >= first && *i <= last_end;
                let embargoed = *i > last_end && *i <= last_end + embargo;
                !(inside || overlaps || embargoed)
            })
        };
        let train = (0..n).filter(kept).collect();
        let paths = test_groups.iter().map(|&g| {
            used[g] += 1;
            used[g] - 1
        });
        Split { paths: paths.collect(), train, test_groups }
    };
    Some(combinations(groups, tested).into_iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{indices, read};
    use serde_json::json;

    #[test]
    fn agrees_with_the_reference() {
        let v = read(include_str!("vectors/12_cpcv/n6_k2.json"));
        let (input, output) = (&v["inputs"], &v["outputs"]);
        let sizes = indices(&json!([input["N"], input["k"], input["embargo"]]));
        let ours = splits(&indices(&input["t1"]), sizes[0], sizes[1], sizes[2]).unwrap();
        assert_eq!(json!(ours.len()), output["n_splits"]);
        assert_eq!(json!(ours.iter().flat_map(|s| &s.paths).max().unwrap() + 1), output["n_paths"]);
        for (i, split) in ours.iter().enumerate() {
            assert_eq!(split.test_groups, indices(&output["splits"][i]["test_groups"]));
            assert_eq!(split.train, indices(&output["splits"][i]["train"]));
            let pairs: Vec<_> = split.test_groups.iter().zip(&split.paths).map(|(g, p)| [*g, *p]).collect();
            assert_eq!(json!(pairs), output["group_to_path"][i]);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let ends: Vec<usize> = (0..6).collect();
        assert_eq!(splits(&ends, 3, 1, 0).unwrap()[1].train, [0, 1, 4, 5]);
        assert_eq!((splits(&ends, 3, 3, 0), splits(&ends, 7, 1, 0), splits(&[1, 0], 2, 1, 0)), (None, None, None));
    }
}
