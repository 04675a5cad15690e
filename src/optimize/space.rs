//! The space of points: named axes, each with the values that are tried. A point is an index into each axis.
//!
//! Reads what people write (`NAME=FROM..TO:STEP`, `NAME=a,b,c`) against the parameters that a strategy has, and refuses what
//! the language does not allow before anything is evaluated.

use genome::variation::Parameter;
use serde::{Deserialize, Serialize};

/// Most axes of a space.
pub const MAX_AXES: usize = 16;
/// Most values of an axis.
pub const MAX_VALUES: usize = 10_000;

/// Index into the values of each axis.
pub type Point = Vec<u16>;

/// Parameters that move together, and the values that they take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// Names of the parameters; several move together.
    pub names: Vec<String>,
    /// Values, in order.
    pub values: Vec<f64>,
}

impl Axis {
    /// What to call it: the names, joined by `+`.
    #[must_use]
    pub fn label(&self) -> String {
        self.names.join("+")
    }
}

/// Why a space cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SpaceError {
    #[error("{0:?}: expected NAME=FROM..TO:STEP or NAME=VALUE,VALUE,...")]
    Form(String),
    #[error("the strategy has no number {name:?}{}; it has: {}",
        suggestion.as_ref().map_or_else(String::new, |s| format!(" (did you mean {s}?)")), known.join(", "))]
    Unknown { name: String, suggestion: Option<String>, known: Vec<String> },
    #[error("{name}: {text:?} is no number")]
    NotANumber { name: String, text: String },
    #[error("{name}: the range {range} is empty; it goes from the smaller to the greater number by a step above 0")]
    Empty { name: String, range: String },
    #[error("{name}: {values} values; at most {MAX_VALUES} are taken, so give a wider step")]
    TooManyValues { name: String, values: f64 },
    #[error("{name}: the value {value} is given twice")]
    Twice { name: String, value: f64 },
    #[error("{0}")]
    Forbidden(String),
    #[error("{0} is on two axes")]
    OnTwoAxes(String),
    #[error("no parameter to vary: give --param NAME=FROM..TO:STEP; --list-params tells the names")]
    NoAxes,
    #[error("{0} parameters; at most {MAX_AXES} are varied at once")]
    TooManyAxes(usize),
}

/// Axes; at least one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Space {
    axes: Vec<Axis>,
}

impl Axis {
    /// Reads `NAME=FROM..TO:STEP`, `NAME=FROM..TO` (by the parameter's customary step) or `NAME=a,b,c`; `NAME+NAME=...` moves
    /// several together.
    ///
    /// # Errors
    /// Says which name is not known, with the nearest one, or which value the language does not allow, with its bound.
    pub fn read(text: &str, known: &[Parameter]) -> Result<Self, SpaceError> {
        let form = || SpaceError::Form(text.to_owned());
        let (names, values) = text.split_once('=').ok_or_else(form)?;
        let mut parameters = Vec::new();
        for name in names.split('+').map(str::trim) {
            parameters.push(known.iter().find(|p| p.name == name).ok_or_else(|| unknown(name, known))?);
        }
        let first = *parameters.first().ok_or_else(form)?;
        let label = names.trim().to_owned();
        let number = |text: &str| {
            let value = text.trim().parse::<f64>().ok().filter(|v| v.is_finite());
            value.ok_or_else(|| SpaceError::NotANumber { name: label.clone(), text: text.trim().to_owned() })
        };
        let values = if let Some((from, rest)) = values.split_once("..") {
            let (to, step) = rest.split_once(':').map_or((rest, None), |(to, step)| (to, Some(step)));
            let step = step.map_or(Ok(first.step), number)?;
            range(&label, number(from)?, number(to)?, step)?
        } else {
            values.split(',').map(number).collect::<Result<Vec<f64>, _>>()?
        };
        if values.len() > MAX_VALUES {
            return Err(SpaceError::TooManyValues { name: label, values: values.len() as f64 });
        }
        for parameter in &parameters {
            for value in &values {
                parameter.check(*value).map_err(SpaceError::Forbidden)?;
            }
        }
        let twice = values.iter().enumerate().find(|(i, v)| values[..*i].contains(v));
        if let Some((_, value)) = twice {
            return Err(SpaceError::Twice { name: label, value: *value });
        }
        Ok(Self { names: parameters.iter().map(|p| p.name.clone()).collect(), values })
    }
}

fn unknown(name: &str, known: &[Parameter]) -> SpaceError {
    // What was meant may be an end of it, such as rsi.period.
    let ends = known.iter().find(|p| !name.is_empty() && p.name.ends_with(&format!(".{name}")));
    let near = || {
        let distance = |p: &&Parameter| strsim::damerau_levenshtein(name, &p.name);
        known.iter().min_by_key(distance).filter(|p| distance(p) <= 1 + p.name.len() / 3)
    };
    SpaceError::Unknown {
        name: name.to_owned(),
        suggestion: ends.or_else(near).map(|p| p.name.clone()),
        known: known.iter().map(|p| p.name.clone()).collect(),
    }
}

/// `from`, `from + step`, ... up to `to`, each to 13 significant digits, so that three steps of 0.1 are 0.3.
fn range(name: &str, from: f64, to: f64, step: f64) -> Result<Vec<f64>, SpaceError> {
    if step <= 0.0 || from > to {
        return Err(SpaceError::Empty { name: name.to_owned(), range: format!("{from}..{to}:{step}") });
    }
    let steps = ((to - from) / step + 1e-9).floor();
    if steps >= MAX_VALUES as f64 {
        return Err(SpaceError::TooManyValues { name: name.to_owned(), values: steps + 1.0 });
    }
    let at = |i: u32| {
        let value = from + f64::from(i) * step;
        format!("{value:.12e}").parse().unwrap_or(value)
    };
    Ok((0..=steps as u32).map(at).collect())
}

impl Space {
    /// A space of these axes.
    ///
    /// # Errors
    /// No axis, too many, or one number on two of them.
    pub fn new(axes: Vec<Axis>) -> Result<Self, SpaceError> {
        if axes.is_empty() {
            return Err(SpaceError::NoAxes);
        }
        if axes.len() > MAX_AXES {
            return Err(SpaceError::TooManyAxes(axes.len()));
        }
        let names: Vec<&String> = axes.iter().flat_map(|axis| &axis.names).collect();
        if let Some((_, name)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            return Err(SpaceError::OnTwoAxes((*name).clone()));
        }
        Ok(Self { axes })
    }

    /// The axes, in order.
    #[must_use]
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// How many points it has.
    #[must_use]
    pub fn size(&self) -> u128 {
        self.axes.iter().fold(1, |size, axis| size.saturating_mul(axis.values.len() as u128))
    }

    /// Point number `rank`, from 0, the last axis fastest.
    #[must_use]
    pub fn point(&self, mut rank: u128) -> Point {
        let mut point: Point = self
            .axes
            .iter()
            .rev()
            .map(|axis| {
                let values = axis.values.len() as u128;
                let index = (rank % values) as u16;
                rank /= values;
                index
            })
            .collect();
        point.reverse();
        point
    }

    /// The number of a point.
    #[must_use]
    pub fn rank(&self, point: &[u16]) -> u128 {
        let pairs = self.axes.iter().zip(point);
        pairs.fold(0, |rank, (axis, &index)| rank * axis.values.len() as u128 + u128::from(index))
    }

    /// A point's value on each axis.
    #[must_use]
    pub fn values(&self, point: &[u16]) -> Vec<f64> {
        self.axes.iter().zip(point).map(|(axis, &index)| axis.values[usize::from(index)]).collect()
    }

    /// Name and value of every parameter of a point, those that move together one after the other.
    #[must_use]
    pub fn named(&self, point: &[u16]) -> Vec<(&str, f64)> {
        let axes = self.axes.iter().zip(self.values(point));
        axes.flat_map(|(axis, value)| axis.names.iter().map(move |name| (name.as_str(), value))).collect()
    }
}
