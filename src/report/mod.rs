//! Results to one self-contained HTML file. Pure rendering: never reads the store.
