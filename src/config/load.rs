//! Puts the layers together and turns them into a typed configuration.

use super::{Config, ConfigError, ENV_NAMES, Origin, Settings, settings::SECRET_KEYS};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

/// What configuration is made of, passed in so that tests need no process environment.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The file named on the command line; it must exist.
    pub file: Option<PathBuf>,
    /// The working directory, where `sg-ai.toml` is looked for.
    pub working_dir: PathBuf,
    /// Environment variables by name.
    pub env: BTreeMap<String, String>,
    /// Values from the command line: (option, key, text).
    pub options: Vec<(&'static str, &'static str, String)>,
    /// Whether the process runs as root, which changes the default data directory.
    pub is_root: bool,
}

/// A configuration and where it came from.
#[derive(Clone)]
pub struct Loaded {
    /// The typed configuration; `data_dir` is always set.
    pub config: Config,
    /// Each setting with its origin.
    pub settings: Settings,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// Environment variables that look meant for us but are not known.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// Where files are kept.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.config.data_dir.as_deref().unwrap_or(Path::new("."))
    }
}

/// Loads the configuration: defaults, file, environment, command line, in that order.
///
/// # Errors
/// The first unreadable file, unknown key or bad value, naming the key and the source.
pub fn load(inputs: &Inputs) -> Result<Loaded, ConfigError> {
    let mut settings = Settings::defaults()?;
    let file = find_file(inputs);
    if let Some(path) = &file {
        let unreadable = |cause| ConfigError::Unreadable { path: path.clone(), cause };
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let not_text = |e| unreadable(io::Error::new(io::ErrorKind::InvalidData, e));
        let text = market::text::decode(&bytes).map_err(not_text)?;
        settings.overlay_toml(&text, &Origin::File(path.clone()))?;
    }
    settings.overlay_env(&inputs.env)?;
    settings.overlay_options(&inputs.options)?;
    let mut config = typed(&settings)?;
    expand_homes(&mut config, &settings, inputs)?;
    if let Err(message) = config.market.instruments() {
        let key = "market.instruments_file".to_owned();
        let origin = settings.origin(&key).cloned().unwrap_or(Origin::Default);
        return Err(ConfigError::BadValue { key, origin, message });
    }
    let data_dir = config.data_dir.take().unwrap_or_else(|| default_data_dir(inputs));
    if !settings.is_set("store.data_dir") {
        config.store.data_dir = data_dir.join("postgres");
    }
    config.data_dir = Some(data_dir);
    Ok(Loaded { config, settings, file, warnings: warnings(&inputs.env) })
}

/// Where files are kept unless somebody says otherwise.
#[must_use]
pub(super) fn default_data_dir(inputs: &Inputs) -> PathBuf {
    let set = |name: &str| inputs.env.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if inputs.is_root {
        // Not below /root: the embedded Postgres runs as another user, who must be able to reach it.
        return PathBuf::from("/var/lib/sg-ai");
    }
    set("XDG_DATA_HOME")
        .map(|dir| dir.join("sg-ai"))
        .or_else(|| set("HOME").map(|home| home.join(".local/share/sg-ai")))
        .unwrap_or_else(|| inputs.working_dir.join("sg-ai-data"))
}

/// Directories and files below `~`: outside a shell (systemd, containers, a file) nobody else expands it, and a
/// directory of that name is not what is meant.
fn expand_homes(config: &mut Config, settings: &Settings, inputs: &Inputs) -> Result<(), ConfigError> {
    let paths = [
        ("data_dir", &mut config.data_dir),
        ("store.archive_dir", &mut config.store.archive_dir),
        ("store.tls_root_cert", &mut config.store.tls_root_cert),
        ("store.postgres_bin", &mut config.store.postgres_bin),
        ("market.mapping_file", &mut config.market.mapping_file),
        ("market.instruments_file", &mut config.market.instruments_file),
    ];
    let set = paths.into_iter().filter_map(|(key, path)| path.as_mut().map(|path| (key, path)));
    for (key, path) in set.chain([("store.data_dir", &mut config.store.data_dir)]) {
        *path = at_home(path, inputs).map_err(|message| {
            let origin = settings.origin(key).cloned().unwrap_or(Origin::Default);
            ConfigError::BadValue { key: key.to_owned(), origin, message }
        })?;
    }
    Ok(())
}

/// A path with its leading `~` replaced by the home directory.
fn at_home(path: &Path, inputs: &Inputs) -> Result<PathBuf, String> {
    let mut parts = path.components();
    let first = parts.next().and_then(|part| part.as_os_str().to_str()).unwrap_or_default();
    if !first.starts_with('~') {
        return Ok(path.to_owned());
    }
    let home = inputs.env.get("HOME").filter(|home| !home.is_empty() && first == "~");
    let home = home.ok_or_else(|| {
        format!("{} begins with {first}, which only a shell knows; write the whole path", path.display())
    })?;
    Ok(Path::new(home).join(parts.as_path()))
}

fn find_file(inputs: &Inputs) -> Option<PathBuf> {
    if inputs.file.is_some() {
        return inputs.file.clone();
    }
    let option = inputs.options.iter().find(|(_, key, _)| *key == "data_dir").map(|(_, _, dir)| PathBuf::from(dir));
    let variable = || inputs.env.get("SG_DATA_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let data_dir = option.or_else(variable).unwrap_or_else(|| default_data_dir(inputs));
    let data_dir = at_home(&data_dir, inputs).unwrap_or(data_dir);
    [&inputs.working_dir, &data_dir].into_iter().map(|dir| dir.join("sg-ai.toml")).find(|path| path.is_file())
}

fn typed(settings: &Settings) -> Result<Config, ConfigError> {
    let blame = |path: &str, message: String| {
        // The path may go on into the value: a field of a table, an item of a list.
        let holds =
            |key: &&str| path.strip_prefix(*key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        let key = settings.keys().find(holds).unwrap_or(path).to_owned();
        let origin = settings.origin(&key).cloned().unwrap_or(Origin::Default);
        let is_secret = SECRET_KEYS.contains(&key.as_str());
        let shown = || telemetry::without_user_info(&message).into_owned();
        let message = if is_secret { "it cannot be read (not shown)".into() } else { shown() };
        ConfigError::BadValue { key, origin, message }
    };
    let config: Config = settings.typed().map_err(|(path, message)| blame(&path, message))?;
    match settings.out_of_bounds().or_else(|| config.problem()) {
        Some((key, why)) => Err(blame(&key, why)),
        None => Ok(config),
    }
}

fn warnings(env: &BTreeMap<String, String>) -> Vec<String> {
    let known = |name: &str| ENV_NAMES.iter().any(|(known, _)| *known == name) || name == "SG_CONFIG";
    let ours = env.keys().filter(|name| name.starts_with("SG_") && !name.starts_with("SG__") && !known(name));
    ours.map(|name| format!("environment variable {name} is not a setting of sg-ai and is ignored")).collect()
}
