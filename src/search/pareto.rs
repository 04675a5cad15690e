//! Non-dominated sorting: who is best in some mixture of several aims, and how crowded it is around them.
//!
//! Not how a generation is chosen: fronts over noisy aims keep whatever is extreme in any one of them (see
//! `generation`). For looking at a population from several sides, and for measuring against.
//!
//! Source: Deb, Pratap, Agarwal and Meyarivan, A fast and elitist multiobjective genetic algorithm: NSGA-II (2002).

/// At least as good in every aim, and better in one. More is better.
fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(x, y)| x >= y) && a.iter().zip(b).any(|(x, y)| x > y)
}

/// The front of each point: 0 for those that nobody dominates, 1 for those that only front 0 dominates, ...
#[must_use]
pub fn fronts(points: &[Vec<f64>]) -> Vec<usize> {
    let mut front: Vec<Option<usize>> = vec![None; points.len()];
    for number in 0.. {
        let left: Vec<usize> = (0..points.len()).filter(|&i| front[i].is_none()).collect();
        if left.is_empty() {
            break;
        }
        let best = |&&i: &&usize| !left.iter().any(|&j| dominates(&points[j], &points[i]));
        let mut found: Vec<usize> = left.iter().filter(best).copied().collect();
        if found.is_empty() {
            // Only values that are not numbers dominate in circles or not at all; they are a front of their own.
            found.clone_from(&left);
        }
        found.into_iter().for_each(|i| front[i] = Some(number));
    }
    front.into_iter().flatten().collect()
}

/// How far each point's neighbours within its front are apart, summed over the aims, each in units of the front's
/// extent. `None` at the end of a front in some aim: nothing is beyond it, and it is kept first.
#[must_use]
pub fn crowding(points: &[Vec<f64>], fronts: &[usize]) -> Vec<Option<f64>> {
    let mut distances = vec![Some(0.0); points.len()];
    for number in 0..=fronts.iter().copied().max().unwrap_or(0) {
        let members: Vec<usize> = (0..points.len()).filter(|&i| fronts[i] == number).collect();
        let Some(&any) = members.first() else { continue };
        (0..points[any].len()).for_each(|aim| spread(points, &members, aim, &mut distances));
    }
    distances
}

/// Adds one aim's share to the distances of a front.
fn spread(points: &[Vec<f64>], members: &[usize], aim: usize, distances: &mut [Option<f64>]) {
    let mut order = members.to_vec();
    order.sort_by(|&a, &b| points[a][aim].total_cmp(&points[b][aim]));
    let (first, last) = (order[0], order[order.len() - 1]);
    let extent = points[last][aim] - points[first][aim];
    distances[first] = None;
    distances[last] = None;
    for around in order.windows(3).filter(|_| extent > 0.0) {
        let gap = (points[around[2]][aim] - points[around[0]][aim]) / extent;
        distances[around[1]] = distances[around[1]].map(|d| d + gap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::holders;
    use crate::vectors::{assert_close, indices, numbers, read, rows};
    use serde_json::json;

    #[test]
    fn agrees_with_the_reference() {
        let v = read(include_str!("vectors/17_evolution/operators.json"));
        let (input, output) = (&v["inputs"], &v["outputs"]);
        let points = rows(&input["F"]);
        let found = fronts(&points);
        assert_eq!(found, indices(&output["front"]));
        for (ours, theirs) in crowding(&points, &found).into_iter().zip(output["crowding"].as_array().unwrap()) {
            // The reference writes infinity where nothing is beyond a point.
            match ours {
                Some(distance) => assert_close(distance, theirs),
                None => assert_eq!(theirs, "inf"),
            }
        }
    }

    #[test]
    fn the_archive_agrees_with_the_reference() {
        let v = read(include_str!("vectors/17_evolution/operators.json"));
        let cells = v["inputs"]["cells"].as_array().unwrap().iter().map(|c| (indices(c)[0], indices(c)[1]));
        let held = holders(cells.zip(numbers(&v["inputs"]["fitness"])));
        let ours: Vec<_> = held.into_iter().map(|((a, b), i)| [a, b, i]).collect();
        assert_eq!(json!(ours), v["outputs"]["archive"]);
    }

    #[test]
    fn by_hand() {
        let points = [vec![1.0, 3.0], vec![2.0, 2.0], vec![3.0, 1.0], vec![1.0, 1.0]];
        let found = fronts(&points);
        assert_eq!(found, [0, 0, 0, 1]);
        assert_eq!(crowding(&points, &found), [None, Some(2.0), None, None]);
        assert_eq!((fronts(&[]), crowding(&[], &[])), (vec![], vec![]));
    }
}
