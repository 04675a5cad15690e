//! Where the server is and how it is spoken to. Reads no environment.

mod config;
pub(crate) mod tls;

pub use config::{ConnectOptions, RetentionConfig, StoreConfig};
pub use tls::TlsMode;
