//! Logs on stderr: `key=value` lines for people, JSON for machines.
//!
//! Does: set the subscriber up once. Does not: log.
//! In: `--log`, `OCELLI_LOG`. Out: the process's tracing subscriber.

use std::fmt;

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields};
use tracing_subscriber::fmt::time::FormatTime as _;
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::exit::{Exit, Failure};

/// Where nothing is asked for: what an operator must know.
pub const FILTER_OF_NODES: &str = "info,actix_server=warn";
/// The same where the words of a command are for the eye.
pub const FILTER_OF_SHOWS: &str = "warn";

/// Forms of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `key=value` lines.
    Text,
    /// One JSON object a line.
    Json,
}

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub struct LogOptions {
    /// Form of the log on stderr.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        value_name = "FORM"
    )]
    pub log: LogFormat,
    /// What is logged: a level, or `target=level,…`. Default: info; warn for demo.
    #[arg(long, global = true, env = "OCELLI_LOG")]
    #[arg(value_name = "FILTER", hide_env_values = true)]
    pub log_filter: Option<String>,
}

/// Sets the log up for the life of the process; `default` filters where nothing is asked for.
///
/// # Errors
/// A filter that makes no sense.
pub fn start(options: &LogOptions, default: &str) -> Result<(), Failure> {
    let filter = options.log_filter.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        let text = format!("--log-filter {filter:?} is no filter: {error}");
        Failure::new(Exit::Usage, text).hint("write a level such as info, or ocelli_snmp=debug")
    })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // `key=value` is for grep, on a terminal too.
        .with_ansi(false)
        .with_writer(std::io::stderr);
    let set = match options.log {
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
        LogFormat::Text => subscriber.event_format(Logfmt).try_init(),
    };
    // Only a test starts it twice in one process; the first one then goes on.
    set.or(Ok(()))
}

/// `time level message key=value …`, the time left out under the journal, which has its own.
#[derive(Debug, Clone, Copy)]
struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: format::Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        if std::env::var_os("JOURNAL_STREAM").is_none() {
            SystemTime.format_time(&mut writer)?;
            writer.write_char(' ')?;
        }
        let metadata = event.metadata();
        write!(writer, "{} ", level_name(*metadata.level()))?;
        context.format_fields(writer.by_ref(), event)?;
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            if let Some(fields) = extensions.get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(writer, " {fields}")?;
            }
        }
        writeln!(writer, " target={}", metadata.target())
    }
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn ",
        Level::INFO => "info ",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}
