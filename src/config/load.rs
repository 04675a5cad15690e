//! Puts the layers together and turns them into a typed configuration.

use super::{Config, ConfigError, ENV_NAMES, Origin, Settings, settings::SECRET_KEYS};
use std::{
    collections::BTreeMap,
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
        let text =
            std::fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable { path: path.clone(), cause })?;
        settings.overlay_toml(&text, &Origin::File(path.clone()))?;
    }
    settings.overlay_env(&inputs.env)?;
    settings.overlay_options(&inputs.options)?;
    let mut config = typed(&settings)?;
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

fn find_file(inputs: &Inputs) -> Option<PathBuf> {
    if inputs.file.is_some() {
        return inputs.file.clone();
    }
    let option = inputs.options.iter().find(|(_, key, _)| *key == "data_dir").map(|(_, _, dir)| PathBuf::from(dir));
    let variable = || inputs.env.get("SG_DATA_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let data_dir = option.or_else(variable).unwrap_or_else(|| default_data_dir(inputs));
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
    match config.problem() {
        Some((key, why)) => Err(blame(&key, why)),
        None => Ok(config),
    }
}

fn warnings(env: &BTreeMap<String, String>) -> Vec<String> {
    let known = |name: &str| ENV_NAMES.iter().any(|(known, _)| *known == name) || name == "SG_CONFIG";
    let ours = env.keys().filter(|name| name.starts_with("SG_") && !name.starts_with("SG__") && !known(name));
    ours.map(|name| format!("environment variable {name} is not a setting of sg-ai and is ignored")).collect()
}
