//! Settings from where they are written: a TOML file, the environment over it, the command line over both.
//!
//! `BIGRAIN__MAX_MESSAGE_BYTES=1048576` is `max_message_bytes = 1048576`; `BIGRAIN__TLS__KEY=key.pem`, and
//! `tls.key=key.pem` on the command line, are `key` in the table `tls`. A value is read as TOML where it is that, and
//! as a text otherwise.
//!
//! A setting that is refused is named with its file and line, or with its variable; what its value is stays out of
//! messages, for it may be a secret.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;
use toml::{Table, Value};

use crate::settings::Settings;

/// What the names of variables begin with, and what stands between a table and its members.
const PREFIX: &str = "BIGRAIN__";
const SEPARATOR: &str = "__";
/// Why a file that was settings once is not any more.
const JSON: &str = r#"this is JSON, settings are TOML: {"name": 1} is name = 1, a line each"#;

/// Settings that cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadSettingsError {
    /// The file is not there, or not readable.
    #[error("read settings {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why the system refused.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a setting that is not there or not of that kind.
    #[error("settings {} line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A variable names a setting that is not there, or has a value of another kind.
    #[error("environment variable {name}: {reason}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An assignment names a setting that is not there, or has a value of another kind.
    #[error("setting {name}: {reason}")]
    Assignment {
        /// What is assigned to.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Where settings are written, the later over the earlier.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Variables of the environment, and their values; those that do not begin with `BIGRAIN__` are passed over.
    pub environment: Vec<(String, String)>,
    /// Assignments on the command line, such as `tls.key=key.pem`.
    pub assignments: Vec<String>,
}

impl Settings {
    /// Reads settings from where they are written.
    ///
    /// ```
    /// use bigrain_api::{Settings, Sources};
    ///
    /// let listen = ("BIGRAIN__LISTEN".to_owned(), "127.0.0.1:9000".to_owned());
    /// let settings = Settings::read(Sources { environment: vec![listen], ..Sources::default() })?;
    /// assert_eq!(settings.listen.map(|address| address.port()), Some(9000));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ReadSettingsError`], which names the file and line, the variable or the assignment.
    pub fn read(sources: Sources) -> Result<Self, ReadSettingsError> {
        let (mut settings, mut table) = match &sources.file {
            Some(path) => read_file(path)?,
            None => Default::default(),
        };
        let mut variables = sources.environment;
        variables.retain(|(name, _)| name.starts_with(PREFIX));
        // In an order of their own, so that of two wrong ones the same one is named every time.
        variables.sort();
        for (name, value) in variables {
            let path = name.strip_prefix(PREFIX).unwrap_or(&name).to_lowercase();
            settings = set(&mut table, path.split(SEPARATOR), &value)
                .map_err(|reason| ReadSettingsError::Variable { name, reason })?;
        }
        for assignment in &sources.assignments {
            let (name, value) = assignment.split_once('=').unwrap_or((assignment, ""));
            settings = set(&mut table, name.split('.'), value).map_err(|reason| {
                ReadSettingsError::Assignment { name: name.to_owned(), reason }
            })?;
        }
        Ok(settings)
    }
}

fn read_file(path: &Path) -> Result<(Settings, Table), ReadSettingsError> {
    let file_error = |source| ReadSettingsError::File { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(file_error)?;
    if text.trim_start().starts_with('{') {
        let (path, reason) = (path.to_owned(), JSON.to_owned());
        return Err(ReadSettingsError::Line { path, line: 1, reason });
    }
    let line_error = |error: toml::de::Error| ReadSettingsError::Line {
        path: path.to_owned(),
        line: line(&text, &error),
        reason: without_value(error.message()),
    };
    Ok((toml::from_str(&text).map_err(line_error)?, toml::from_str(&text).map_err(line_error)?))
}

/// Returns the line an error is in, from 1.
fn line(text: &str, error: &toml::de::Error) -> usize {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.as_bytes().get(..start).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// Sets one setting, named by the tables it is in and its own name, and reads all settings again.
fn set<'a>(
    table: &mut Table,
    path: impl Iterator<Item = &'a str>,
    text: &str,
) -> Result<Settings, String> {
    let path: Vec<&str> = path.collect();
    let (name, tables) = path.split_last().ok_or("no setting is named")?;
    let mut inner = &mut *table;
    for &part in tables {
        let member = inner.entry(part).or_insert_with(|| Value::Table(Table::new()));
        inner = member.as_table_mut().ok_or_else(|| format!("{part} is not a table"))?;
    }
    inner.insert((*name).to_owned(), read_value(text));
    Settings::deserialize(table.clone()).map_err(|error| without_value(error.message()))
}

/// Takes the value out of what serde says of one of the wrong type, such as
/// `invalid type: string "secret", expected a sequence`.
fn without_value(message: &str) -> String {
    match (message.split_once(": "), message.rsplit_once(", expected ")) {
        (Some((wrong, _)), Some((_, expected))) if wrong.starts_with("invalid ") => {
            format!("{wrong}: expected {expected}")
        }
        _ => message.to_owned(),
    }
}

/// Reads a value as TOML, or takes it as a text.
fn read_value(text: &str) -> Value {
    let read = toml::from_str::<Table>(&format!("value = {text}"));
    // A text with a line break could bring more members along.
    match read.map(|mut table| (table.remove("value"), table.is_empty())) {
        Ok((Some(value), true)) => value,
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::KeySettings;
    use crate::settings::{TlsSettings, TraceSettings};

    fn with_file(text: &str, sources: Sources) -> Result<Settings, ReadSettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bigrain.toml");
        std::fs::write(&path, text).unwrap();
        Settings::read(Sources { file: Some(path), ..sources })
    }

    fn environment(variables: &[(&str, &str)]) -> Sources {
        let owned = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Sources { environment: owned.collect(), ..Sources::default() }
    }

    #[test]
    fn variables_go_over_the_file_and_assignments_over_both() {
        let file = "max_concurrent_writes = 3\nmax_concurrent_searches = 5\nshutdown_timeout_seconds = 2\n";
        let variables = environment(&[
            ("BIGRAIN__MAX_CONCURRENT_WRITES", "7"),
            ("BIGRAIN__MAX_CONCURRENT_SEARCHES", "8"),
            ("BIGRAIN__LISTEN", "127.0.0.1:9"),
            ("BIGRAIN__MODELS", r#"["models/a"]"#),
            ("BIGRAIN__KEYS", r#"[{ name = "a", secret = "0123456789abcdef" }]"#),
            ("BIGRAIN_LISTEN", "not ours"),
            ("HOME", "/root"),
        ]);
        let assignments = vec!["max_concurrent_writes=9".to_owned()];
        let settings = with_file(file, Sources { assignments, ..variables }).unwrap();
        assert_eq!(settings.shutdown_timeout_seconds, Some(2));
        assert_eq!(settings.max_concurrent_searches, Some(8));
        assert_eq!(settings.max_concurrent_writes, Some(9));
        assert_eq!(settings.listen.unwrap().port(), 9);
        assert_eq!(settings.models.unwrap(), [PathBuf::from("models/a")]);
        assert_eq!(settings.keys.unwrap()[0].name, "a");
    }

    #[test]
    fn a_refused_line_is_named_and_not_shown() {
        let key = "[[keys]]\nname = \"a\"\nsecret = \"0123456789abcdef\"\nacces = \"read\"\n";
        for (text, line, words) in [
            ("listen = \"127.0.0.1:1\"\nlisen = 1\n", 2, "unknown field `lisen`"),
            ("\n\nallow_remote = \"0123456789\"\n", 3, "invalid type: expected a boolean"),
            ("max_concurrent_writes = \n", 1, ""),
            (key, 4, "unknown field `acces`"),
            ("{\"listen\": \"127.0.0.1:1\"}", 1, "this is JSON, settings are TOML"),
        ] {
            let error = with_file(text, Sources::default()).unwrap_err().to_string();
            assert!(error.contains(&format!("bigrain.toml line {line}: ")), "{error}");
            assert!(error.contains(words) && !error.contains("0123456789"), "{error}");
        }
        let file = Some(PathBuf::from("absent.toml"));
        let error = Settings::read(Sources { file, ..Sources::default() }).unwrap_err();
        assert_eq!(error.to_string(), "read settings absent.toml");
    }

    #[test]
    fn a_refused_variable_or_assignment_is_named() {
        for (name, value, words) in [
            ("lisen", "1", "unknown field `lisen`"),
            ("max_concurrent_writes", "many", "invalid type: expected usize"),
            ("keys", "0123456789abcdef", "invalid type: expected a sequence"),
            ("", "1", "unknown field ``"),
        ] {
            let variable = format!("BIGRAIN__{}", name.to_uppercase());
            let error = Settings::read(environment(&[(&variable, value)])).unwrap_err().to_string();
            assert!(error.starts_with(&format!("environment variable {variable}: ")), "{error}");
            assert!(error.contains(words) && !error.contains("0123456789"), "{error}");

            let assignments = vec![format!("{name}={value}")];
            let sources = Sources { assignments, ..Sources::default() };
            let error = Settings::read(sources).unwrap_err().to_string();
            assert!(error.starts_with(&format!("setting {name}: ")), "{error}");
            assert!(error.contains(words) && !error.contains("0123456789"), "{error}");
        }
    }

    #[test]
    fn a_value_that_is_no_toml_is_a_text() {
        assert_eq!(read_value("7"), Value::Integer(7));
        assert_eq!(read_value("\"7\""), Value::String("7".to_owned()));
        assert_eq!(read_value("127.0.0.1:7700"), Value::String("127.0.0.1:7700".to_owned()));
        assert_eq!(read_value("1\nlisten = 2"), Value::String("1\nlisten = 2".to_owned()));
    }

    const SAMPLE: &str = include_str!("../../docs/bigrain.toml");

    #[test]
    fn the_sample_has_the_defaults() {
        let sample = with_file(SAMPLE, Sources::default()).unwrap().into_config();
        assert_eq!(sample, Settings::default().into_config());
    }

    #[test]
    fn the_sample_has_every_setting() {
        let is_setting = |line: &str| {
            let name = line.split_once(" = ").map_or(line, |(name, _)| name);
            name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_[]".contains(&byte))
        };
        let uncommented = |line: &'static str| match line.strip_prefix("# ") {
            Some(line) if is_setting(line) => line,
            _ => line,
        };
        let all: Vec<&str> = SAMPLE.lines().map(uncommented).collect();
        let settings = with_file(&all.join("\n"), Sources::default()).unwrap();
        let Settings {
            listen: Some(_),
            qdrant_rest_listen: Some(_),
            qdrant_grpc_listen: Some(_),
            keys: Some(keys),
            allow_remote: Some(_),
            models: Some(_),
            backups: Some(_),
            pictures: Some(_),
            encode_threads: Some(_),
            max_message_bytes: Some(_),
            max_points_per_batch: Some(_),
            max_texts_per_encode: Some(_),
            max_concurrent_searches: Some(_),
            max_concurrent_writes: Some(_),
            max_concurrent_encodes: Some(_),
            max_connections: Some(_),
            header_timeout_seconds: Some(_),
            body_timeout_seconds: Some(_),
            idle_timeout_seconds: Some(_),
            tls: Some(TlsSettings { certificate: Some(_), key: Some(_), client_ca: Some(_) }),
            recall_sample: Some(_),
            traces: Some(TraceSettings { endpoint: Some(_), sample: Some(_) }),
            shutdown_timeout_seconds: Some(_),
            verify_io: Some(_),
            device: Some(_),
        } = settings.clone()
        else {
            panic!("a setting is missing: {settings:?}");
        };
        let KeySettings {
            collections: Some(_),
            requests_per_second: Some(_),
            points_per_second: Some(_),
            max_points: Some(_),
            ..
        } = &keys[0]
        else {
            panic!("a setting of keys is missing: {keys:?}");
        };
        settings.into_config().unwrap();
    }
}
