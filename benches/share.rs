//! How sure a share of markets is, for benches that count them.

/// Wilson's interval of a share, 95 %.
pub(crate) fn interval(found: usize, of: usize) -> (f64, f64) {
    let (n, p, z) = (of as f64, found as f64 / of as f64, 1.96_f64);
    let middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let width = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    (middle - width, middle + width)
}
