//! The pure crates of sg-ai for Python: backtests, searches, calibration markets and blocks of a book's walk.
//!
//! JSON text and bytes in and out; what is computed is computed by the crates, with Python's lock released. Never reads a file, a clock or
//! a database, and draws nothing at random but from the seeds that it is given.

mod calibration;
mod market;
mod series;
mod strategies;
mod walks;

use pyo3::{exceptions::PyValueError, prelude::*};
use rayon::ThreadPoolBuilder;
use serde::de::DeserializeOwned;
use std::{fmt::Display, sync::Mutex};

/// Version of the package, and a hash of the sources that can change a number: the same as the daemon's.
const CODE_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "+", env!("SOURCES_HASH"));

/// An error as `ValueError`, with what was being done.
fn wrong(what: &str, error: impl Display) -> PyErr {
    PyValueError::new_err(format!("{what}: {error}"))
}

/// Reads JSON; the error says where it does not fit.
fn read<T: DeserializeOwned>(what: &str, json: &str) -> PyResult<T> {
    serde_json::from_str(json).map_err(|error| wrong(what, error))
}

/// Writes JSON: numbers as the shortest text that reads back to the same bits.
fn written(what: &str, value: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| wrong(what, error))
}

/// Computes on so many threads (0: one a processor) with Python's lock released. The results do not depend on their number.
fn computed<T: Send>(py: Python<'_>, threads: usize, work: impl FnOnce() -> PyResult<T> + Send) -> PyResult<T> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().map_err(|error| wrong("threads", error))?;
    py.detach(|| pool.install(work))
}

/// Whether somebody pressed Ctrl-C, asked between steps of long work; what Python made of it is kept.
#[derive(Default)]
struct Interrupted(Mutex<Option<PyErr>>);

impl Interrupted {
    fn is_asked(&self) -> bool {
        match Python::attach(|py| py.check_signals()) {
            Ok(()) => false,
            Err(error) => {
                *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
                true
            }
        }
    }

    /// The interruption, or else the error.
    fn or(&self, error: PyErr) -> PyErr {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take().unwrap_or(error)
    }
}

/// The functions that `sgai` wraps.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("CODE_VERSION", CODE_VERSION)?;
    module.add("MEANING", engine::MEANING)?;
    module.add_class::<series::Candles>()?;
    module.add_function(wrap_pyfunction!(strategies::canonical, module)?)?;
    module.add_function(wrap_pyfunction!(strategies::describe, module)?)?;
    module.add_function(wrap_pyfunction!(strategies::backtest, module)?)?;
    module.add_function(wrap_pyfunction!(strategies::search, module)?)?;
    module.add_function(wrap_pyfunction!(market::noise_market, module)?)?;
    module.add_function(wrap_pyfunction!(market::coin_market, module)?)?;
    module.add_function(wrap_pyfunction!(market::simulate, module)?)?;
    module.add_function(wrap_pyfunction!(calibration::calibrate, module)?)?;
    module.add_function(wrap_pyfunction!(calibration::calibration_settings, module)?)?;
    module.add_function(wrap_pyfunction!(calibration::calibration_rows, module)?)?;
    module.add_function(wrap_pyfunction!(walks::walk_begin, module)?)?;
    module.add_function(wrap_pyfunction!(walks::walk_block, module)?)?;
    module.add_function(wrap_pyfunction!(walks::walk_told, module)?)
}
