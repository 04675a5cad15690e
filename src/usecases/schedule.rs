//! When work is due, in market time. Pure arithmetic: never reads a clock.
//!
//! Decisions are taken on a grid of market time, so that a daemon that was down, or a market that runs
//! faster than real time, decides exactly as one that never stopped.

/// The multiples of `step_ms` in `(after_ms, until_ms]`, in order.
pub(crate) fn grid_points(after_ms: i64, until_ms: i64, step_ms: i64) -> impl Iterator<Item = i64> {
    let step_ms = step_ms.max(1);
    let first = (after_ms.div_euclid(step_ms) + 1) * step_ms;
    (0..).map(move |i| first + i * step_ms).take_while(move |&t| t <= until_ms)
}

/// What to do with sessions that fell due while nobody was there to run them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    /// Search on the newest candles only.
    Skip,
    /// Run each in turn, the first at the given market time: the same sessions whatever the machine's speed.
    CatchUp {
        /// End of the first session's window, UTC ms.
        first_ms: i64,
    },
}

/// End of the next session's window, if a session is due.
pub(crate) fn session_due_ms(newest_ms: i64, last_ms: Option<i64>, interval_ms: i64, missed: Missed) -> Option<i64> {
    let due_ms = match (last_ms, missed) {
        (Some(last_ms), _) => last_ms + interval_ms.max(1),
        (None, Missed::CatchUp { first_ms }) => first_ms,
        (None, Missed::Skip) => newest_ms,
    };
    let end_ms = if missed == Missed::Skip { newest_ms } else { due_ms };
    (newest_ms >= due_ms).then_some(end_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grid_points_exclude_the_start_and_include_the_end() {
        assert_eq!(grid_points(10, 40, 10).collect::<Vec<_>>(), [20, 30, 40]);
        assert_eq!(grid_points(11, 39, 10).collect::<Vec<_>>(), [20, 30]);
        assert_eq!(grid_points(30, 30, 10).count(), 0);
    }

    #[test]
    fn a_late_runner_skips_or_catches_up() {
        assert_eq!(session_due_ms(100, None, 10, Missed::Skip), Some(100));
        assert_eq!(session_due_ms(105, Some(100), 10, Missed::Skip), None);
        assert_eq!(session_due_ms(155, Some(100), 10, Missed::Skip), Some(155));
        let missed = Missed::CatchUp { first_ms: 90 };
        assert_eq!(session_due_ms(155, None, 10, missed), Some(90));
        assert_eq!(session_due_ms(155, Some(90), 10, missed), Some(100));
        assert_eq!(session_due_ms(99, Some(90), 10, missed), None);
    }
}
