//! Programs that some tests ask and that not every machine has.

/// Says what was not checked for want of a program. With `CI=true` everything must be checked: there it is a failure.
pub(crate) fn not_checked(program: &str, what: &str) {
    let said = format!("there is no {program} here: {what} was not checked");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{said}");
    eprintln!("{said}");
}
