//! Names the sources that can change a number, so that two builds of one version can be told apart.
//!
//! FNV-1a of 64 bits over paths and contents, in order of paths: enough to tell honest builds apart, no signature.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// Everything that results can depend on. Pages, logs, notices and commands cannot change a number.
const SOURCES: &[&str] = &[
    "genome/src",
    "src/book",
    "src/candles",
    "src/engine",
    "src/evidence",
    "src/lifecycle",
    "src/market",
    "src/models",
    "src/portfolio",
    "src/protocol",
    "src/search",
    "src/simulated",
    "src/usecases",
    "Cargo.toml",
    "Cargo.lock",
];

fn main() -> io::Result<()> {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    // The package for Python stands in a folder beside the sources, and names them alike.
    let above = package.parent().filter(|_| !package.join("genome").exists());
    let root = above.unwrap_or(&package);
    let mut files = Vec::new();
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
        collect(&root.join(source), &mut files)?;
    }
    files.sort();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        let content = fs::read(&file)?;
        take(&(name.len() as u64).to_be_bytes());
        take(name.as_bytes());
        take(&(content.len() as u64).to_be_bytes());
        take(&content);
    }
    println!("cargo::rustc-env=SOURCES_HASH={hash:016x}");
    Ok(())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else if path.exists() {
        files.push(path.to_owned());
    }
    Ok(())
}
