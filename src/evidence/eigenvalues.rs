//! Eigenvalues of symmetric matrices, by cyclic Jacobi rotations.
//!
//! A rotation in the plane of rows p and q that makes `a[p][q]` zero, with theta = (a[q][q] - a[p][p]) / (2 a[p][q]) and
//! the smaller root t = sign(theta) / (|theta| + sqrt(1 + theta^2)), takes 2 `a[p][q]`^2 off the sum of squares beside
//! the diagonal and leaves the eigenvalues as they are. Sweeps over all planes converge quadratically in the end.
//!
//! Errors: absolute, a small multiple of 2^-52 times the largest eigenvalue's magnitude; eigenvalues far smaller than
//! that one have fewer correct digits. Takes about 6 n^3 operations a sweep, of which some 6 to 10 are needed: for tens
//! to hundreds of rows. Never computes eigenvectors.
//!
//! Source: Golub and Van Loan, Matrix Computations, 4th edition (2013), section 8.5.

/// More than any matrix of numbers needs.
const MOST_SWEEPS: usize = 60;

/// A symmetric matrix of finite numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Symmetric {
    n: usize,
    /// Row by row.
    entries: Vec<f64>,
}

impl Symmetric {
    /// The matrix of `n` rows with `entry(i, j)` where i >= j, mirrored. `None` where one is not finite.
    #[must_use]
    pub fn from_fn(n: usize, entry: impl Fn(usize, usize) -> f64) -> Option<Self> {
        let entries: Vec<f64> = (0..n * n).map(|k| (k / n, k % n)).map(|(i, j)| entry(i.max(j), i.min(j))).collect();
        entries.iter().all(|e| e.is_finite()).then_some(Self { n, entries })
    }

    /// Rows, and as many columns.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.n
    }

    /// The entry of a row and a column.
    #[must_use]
    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.entries[row * self.n + column]
    }

    /// Sum of all entries.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.entries.iter().sum()
    }

    /// Its eigenvalues, largest first.
    #[must_use]
    pub fn eigenvalues(&self) -> Vec<f64> {
        let n = self.n;
        // Scaled, so that no square leaves the range of numbers.
        let scale = self.entries.iter().fold(0.0_f64, |most, e| most.max(e.abs()));
        let mut a: Vec<f64> = self.entries.iter().map(|e| if scale > 0.0 { e / scale } else { 0.0 }).collect();
        let all: f64 = a.iter().map(|e| e * e).sum();
        for _ in 0..MOST_SWEEPS {
            let beside: f64 = (0..n).flat_map(|p| (0..p).map(move |q| p * n + q)).map(|k| a[k] * a[k]).sum();
            if beside <= f64::EPSILON.powi(2) * all {
                break;
            }
            for (p, q) in (0..n).flat_map(|p| (p + 1..n).map(move |q| (p, q))) {
                rotate(&mut a, n, p, q);
            }
        }
        let mut values: Vec<f64> = (0..n).map(|i| a[i * n + i] * scale).collect();
        values.sort_by(|x, y| y.total_cmp(x));
        values
    }
}

/// Makes the entry of rows p and q zero.
fn rotate(a: &mut [f64], n: usize, p: usize, q: usize) {
    let beside = a[p * n + q];
    if beside == 0.0 {
        return;
    }
    let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * beside);
    // An infinite theta is a rotation by nothing.
    let tangent = 1_f64.copysign(theta) / (theta.abs() + theta.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = tangent * cosine;
    for k in (0..n).filter(|k| *k != p && *k != q) {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        let (x, y) = (cosine * x - sine * y, sine * x + cosine * y);
        (a[k * n + p], a[p * n + k], a[k * n + q], a[q * n + k]) = (x, x, y, y);
    }
    a[p * n + p] -= tangent * beside;
    a[q * n + q] += tangent * beside;
    (a[p * n + q], a[q * n + p]) = (0.0, 0.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn largest_first(mut values: Vec<f64>) -> Vec<f64> {
        values.sort_by(|x, y| y.total_cmp(x));
        values
    }

    #[track_caller]
    fn assert_near(ours: &[f64], exact: &[f64], tolerance: f64) {
        assert_eq!(ours.len(), exact.len());
        for (a, b) in ours.iter().zip(exact) {
            assert!((a - b).abs() <= tolerance, "{a} is not {b}: {ours:?}");
        }
    }

    #[test]
    fn small_matrices_have_their_eigenvalues() {
        let of = |n, entry: &dyn Fn(usize, usize) -> f64| Symmetric::from_fn(n, entry).unwrap().eigenvalues();
        assert!(of(0, &|_, _| 1.0).is_empty());
        assert_eq!(of(1, &|_, _| -3.0), [-3.0]);
        assert_eq!(of(3, &|_, _| 0.0), [0.0; 3]);
        assert_eq!(of(3, &|i, j| if i == j { [2.0, -1.0, 5.0][i] } else { 0.0 }), [5.0, 2.0, -1.0]);
        // All ones: n and zeros. All correlations 0.3: 1 + 0.3 (n - 1), and 0.7.
        assert_near(&of(4, &|_, _| 1.0), &[4.0, 0.0, 0.0, 0.0], 1e-15);
        assert_near(&of(4, &|i, j| if i == j { 1.0 } else { 0.3 }), &[1.9, 0.7, 0.7, 0.7], 1e-15);
        // A chain of springs: 2 - 2 cos(k pi / (n + 1)).
        let chain = of(50, &|i, j| if i == j { 2.0 } else { -f64::from(u8::from(i == j + 1)) });
        let exact = (1..=50).map(|k| 2.0 - 2.0 * (f64::from(k) * std::f64::consts::PI / 51.0).cos());
        assert_near(&chain, &largest_first(exact.collect()), 1e-14);
        for broken in [f64::NAN, f64::INFINITY] {
            assert_eq!(Symmetric::from_fn(2, |_, _| broken), None);
        }
    }

    /// The Hilbert matrix of 5 rows, whose eigenvalues span six orders of magnitude. To sixteen digits, from its
    /// characteristic polynomial in exact fractions, bisected.
    #[test]
    fn hilbert() {
        let exact = [
            1.567_050_691_098_230_7,
            0.208_534_218_611_013_34,
            0.011_407_491_623_419_806,
            0.000_305_898_040_151_191_7,
            0.000_003_287_928_772_171_863,
        ];
        let hilbert = Symmetric::from_fn(5, |i, j| 1.0 / (i + j + 1) as f64).unwrap();
        assert_near(&hilbert.eigenvalues(), &exact, 4e-16);
    }

    #[test]
    fn the_ends_of_the_range_of_numbers_are_in_range() {
        for scale in [1e-300, 1e300] {
            let values = Symmetric::from_fn(3, |i, j| scale * if i == j { 1.0 } else { 0.5 }).unwrap().eigenvalues();
            let relative: Vec<f64> = values.iter().map(|v| v / scale).collect();
            assert_near(&relative, &[2.0, 0.5, 0.5], 1e-15);
        }
    }

    /// Q D Q^T, with Q a product of reflections I - 2 v v^T / v^T v.
    fn turned(diagonal: &[f64], mirrors: &[Vec<f64>]) -> Symmetric {
        let n = diagonal.len();
        let mut a: Vec<Vec<f64>> =
            (0..n).map(|i| (0..n).map(|j| if i == j { diagonal[i] } else { 0.0 }).collect()).collect();
        let transposed =
            |a: &[Vec<f64>]| (0..n).map(|i| a.iter().map(|row| row[i]).collect()).collect::<Vec<Vec<f64>>>();
        for mirror in mirrors {
            let v = &mirror[..n];
            let square: f64 = v.iter().map(|x| x * x).sum();
            // From the right, transposed, and from the right again: from both sides.
            for _ in 0..2 {
                for row in &mut a {
                    let share = 2.0 * row.iter().zip(v).map(|(x, y)| x * y).sum::<f64>() / square;
                    row.iter_mut().zip(v).for_each(|(x, y)| *x -= share * y);
                }
                a = transposed(&a);
            }
        }
        Symmetric::from_fn(n, |i, j| 0.5 * (a[i][j] + a[j][i])).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_turned_keeps_its_eigenvalues(
            diagonal in proptest::collection::vec(-1.0..1.0_f64, 1..24),
            mirrors in proptest::collection::vec(proptest::collection::vec(0.1..1.0_f64, 24), 1..4),
        ) {
            let matrix = turned(&diagonal, &mirrors);
            let (ours, exact) = (matrix.eigenvalues(), largest_first(diagonal));
            for (a, b) in ours.iter().zip(&exact) {
                prop_assert!((a - b).abs() <= 1e-13, "{} is not {}", a, b);
            }
        }

        #[test]
        fn trace_and_squares_stay(entries in proptest::collection::vec(-10.0..10.0_f64, 144)) {
            let matrix = Symmetric::from_fn(12, |i, j| entries[12 * i + j]).unwrap();
            let values = matrix.eigenvalues();
            let trace: f64 = (0..12).map(|i| matrix.at(i, i)).sum();
            prop_assert!((values.iter().sum::<f64>() - trace).abs() <= 1e-11);
            let squares: f64 = (0..144).map(|k| matrix.at(k / 12, k % 12).powi(2)).sum();
            prop_assert!((values.iter().map(|v| v * v).sum::<f64>() / squares - 1.0).abs() <= 1e-12);
        }
    }
}
