//! `ocelli init`: from an address and a credential to a configuration that runs.
//!
//! Does: ask the device once, say what answered, write a commented file. Does not: write a secret:
//! the file names where it is (`{ env }`, `{ file }`).
//! In: the command line. Out: the file; what answered on stdout. 124 for silence.
//! Invariant: a file that is there stays as it is without `--force`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ocelli_config::{Name, quoted};
use ocelli_model::clock::Clock as _;
use ocelli_model::oid::Oid;
use ocelli_model::secret::Secret;
use ocelli_snmp::engine::{ExchangeError, GetError, GetPlan, Received, VarbindSink};
use ocelli_snmp::oid::Index;
use ocelli_snmp::usm::{AuthProtocol, PrivacyProtocol};
use ocelli_snmp::value::Value;

use super::exit::{Exit, Failure};
use super::output::{Streams, aligned};
use super::runtime::block_on;
use super::snmp::session::{SessionOptions, Transfer};
use super::snmp::{get_failure, names};
use crate::clock::RealClock;

const EXAMPLES: &str = "\
Examples:
  ocelli init --device 10.0.0.1 --community env:C --out ocelli.toml
  ocelli init --device sw1.example.com --user monitor --auth-secret @auth --priv-secret @priv
Then:
  ocelli run --config ocelli.toml";

/// What is asked: name, then what it is called for people.
const QUESTIONS: [(&str, &str); 4] = [
    ("sysName.0", "name"),
    ("sysDescr.0", "description"),
    ("sysObjectID.0", "object id"),
    ("ifNumber.0", "interfaces"),
];

/// Characters of an answer that are shown.
const ANSWER_CHARS_MAX: usize = 200;

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InitArgs {
    /// The device: HOST or HOST:PORT.
    #[arg(long, value_name = "ADDRESS")]
    device: String,
    /// Where the community is: env:NAME or @FILE.
    #[arg(
        long,
        value_name = "WHERE",
        conflicts_with = "user",
        required_unless_present = "user"
    )]
    community: Option<Place>,
    /// Ask by SNMP v1 instead of v2c.
    #[arg(long, conflicts_with = "user")]
    v1: bool,
    /// User of SNMP v3.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Authentication protocol.
    #[arg(long, default_value = "SHA-256", value_name = "PROTOCOL")]
    auth_protocol: AuthProtocol,
    /// Where the authentication passphrase is: env:NAME or @FILE.
    #[arg(long, value_name = "WHERE", requires = "user")]
    auth_secret: Option<Place>,
    /// Privacy protocol.
    #[arg(long, default_value = "AES-128", value_name = "PROTOCOL")]
    priv_protocol: PrivacyProtocol,
    /// Where the privacy passphrase is: env:NAME or @FILE.
    #[arg(long, value_name = "WHERE", requires = "auth_secret")]
    priv_secret: Option<Place>,
    /// The file to write.
    #[arg(long, default_value = "ocelli.toml", value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Environment(String),
    File(PathBuf),
    /// The secret itself was given: refused without a word of it, since the file must not hold it.
    InClear,
}

impl From<String> for Place {
    fn from(text: String) -> Self {
        match (text.strip_prefix("env:"), text.strip_prefix('@')) {
            (Some(name), _) if !name.is_empty() => Self::Environment(name.to_owned()),
            (_, Some(path)) => std::path::absolute(path).map_or(Self::InClear, Self::File),
            _ => Self::InClear,
        }
    }
}

impl Place {
    /// As `ocelli snmp` takes it.
    fn word(&self) -> Secret<String> {
        Secret::new(match self {
            Self::Environment(name) => format!("env:{name}"),
            Self::File(path) => format!("@{}", path.display()),
            Self::InClear => String::new(),
        })
    }

    /// As the configuration takes it.
    fn toml(&self) -> String {
        match self {
            Self::Environment(name) => format!("{{ env = {} }}", quoted(name)),
            Self::File(path) => format!("{{ file = {} }}", quoted(&path.display().to_string())),
            Self::InClear => String::new(),
        }
    }
}

/// What the device said, in the order of [`QUESTIONS`]; empty where it has no answer.
type Answers = [String; QUESTIONS.len()];

/// Runs `ocelli init`.
pub(crate) fn run(args: &InitArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    if args.out.exists() && !args.force {
        let text = format!("{} is there already", args.out.display());
        return Err(Failure::new(Exit::Failed, text).hint("name another with --out, or --force"));
    }
    let places = [&args.community, &args.auth_secret, &args.priv_secret];
    if places
        .into_iter()
        .flatten()
        .any(|place| *place == Place::InClear)
    {
        let text = "a secret was given itself; the file must not hold it";
        return Err(Failure::new(Exit::Usage, text).hint("write env:NAME or @FILE"));
    }
    let answers = block_on(ask(args, streams))?;
    let rows: Vec<Vec<String>> = QUESTIONS
        .iter()
        .zip(&answers)
        .map(|((_, title), answer)| vec![(*title).to_owned(), shown(answer)])
        .collect();
    streams.print(&aligned(&rows, false))?;
    write(&args.out, &configuration(args, &answers), args.force)?;
    streams.say(format!(
        "wrote {}; start with: ocelli run --config {}",
        args.out.display(),
        args.out.display()
    ));
    Ok(Exit::Done)
}

/// One line without what could move a terminal's cursor.
fn shown(answer: &str) -> String {
    let plain = answer
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter });
    plain.take(ANSWER_CHARS_MAX).collect()
}

// === Asking ===

/// Answers as they come.
#[derive(Debug, Default)]
struct Heard(Answers);

impl VarbindSink for Heard {
    fn varbind(&mut self, column: usize, _: Index<'_>, value: Value<'_>, _: Received) {
        let Some(answer) = self.0.get_mut(column) else {
            return;
        };
        *answer = match value {
            Value::OctetString(octets) => String::from_utf8_lossy(octets).into_owned(),
            Value::ObjectId(oid) => oid.to_oid().to_string(),
            Value::Integer(number) => number.to_string(),
            _ => String::new(),
        };
    }
}

async fn ask(args: &InitArgs, streams: &mut Streams) -> Result<Answers, Failure> {
    let options = session_options(args);
    let transfer = Transfer {
        is_bulk: false,
        max_repetitions: 1,
    };
    let opened = options.open(&args.device, transfer, streams).await?;
    let names: Vec<Oid> = QUESTIONS
        .iter()
        .map(|(name, _)| names::parse(name).map_err(|error| Failure::new(Exit::Failed, error)))
        .collect::<Result<_, _>>()?;
    let plan = GetPlan::new(&names).map_err(|error| Failure::new(Exit::Failed, error))?;
    let deadline = RealClock.monotonic().after(options.patience());
    let (result, heard) = opened.session.get(&plan, deadline, Heard::default()).await;
    match result {
        Ok(_) => Ok(heard.0),
        Err(GetError::Exchange(ExchangeError::Timeout { .. })) if args.user.is_none() => {
            let text = format!(
                "{} ({}) did not answer: either no agent can be reached there, or the community \
                 is wrong, which agents answer with the same silence",
                args.device, opened.address
            );
            let hint = "check address, port, firewall, the agent's access list, then the community";
            Err(Failure::new(Exit::TimedOut, text).hint(hint))
        }
        Err(error) => Err(get_failure(&error)),
    }
}

fn session_options(args: &InitArgs) -> SessionOptions {
    let version = match (&args.user, args.v1) {
        (Some(_), _) => "3",
        (None, true) => "1",
        (None, false) => "2c",
    };
    let word = |place: &Option<Place>| place.as_ref().map(Place::word);
    let mut options = SessionOptions::with_nothing(version);
    options.community = word(&args.community);
    options.user.clone_from(&args.user);
    options.auth_protocol = args.auth_protocol;
    options.auth_secret = word(&args.auth_secret);
    options.privacy_protocol = args.priv_protocol;
    options.privacy_secret = word(&args.priv_secret);
    options
}

// === Writing ===

fn write(path: &Path, text: &str, is_forced: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create_new(!is_forced)
        .create(true)
        .truncate(true);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("cannot write {}: {error}", path.display()),
        )
    })
}

/// The file: everything that it sets with a word of why, what else there is as comments.
fn configuration(args: &InitArgs, answers: &Answers) -> String {
    let [name, description, _, _] = answers;
    let id = resource_id(name).unwrap_or_else(|| args.device.clone());
    format!(
        "\
# Written by `ocelli init`. All keys: `ocelli config reference`. Check: `ocelli config check`.

[node]
# The site that resources belong to.
site = \"local\"
# The bus, the catalog and the socket of the command line; relative to this file.
data_dir = \"ocelli-data\"

[listen]
# HTTP API, Prometheus exposition: http://127.0.0.1:7780/v1/metrics
http = \"127.0.0.1:7780\"

# What is monitored. More resources: more [[discovery.resource]], or a JSON file:
#   [[discovery]] name = \"cmdb\", kind = \"json\", path = \"resources.json\"
[[discovery]]
name = \"by-hand\"
kind = \"static\"

# {description}
[[discovery.resource]]
endpoint = {endpoint}
id = {id}

# What changes slowly: device, interface names and speeds.
[[enrichment]]
name = \"interfaces\"
kind = \"snmp\"
every = \"30m\"
filter = 'resource_class = \"network\"'

# Interface counters and their rates.
[[polling]]
name = \"interfaces\"
kind = \"snmp\"
profile = \"interfaces\"
every = \"60s\"
filter = 'resource_class = \"network\"'

# This machine itself.
[[polling]]
name = \"this-host\"
kind = \"host\"
every = \"60s\"

# How devices are asked. The first entry whose filter fits is used; the secret is not in this file.
[[credentials.snmp]]
{credential}",
        description = shown(description),
        endpoint = quoted(&args.device),
        id = quoted(&id),
        credential = credential(args),
    )
}

/// The device's name if a resource may have it: `|` parts identities in Panoptes' formats.
fn resource_id(name: &str) -> Option<String> {
    let name = shown(name).trim().to_owned();
    (Name::new(&name).is_ok() && !name.contains('|')).then_some(name)
}

fn credential(args: &InitArgs) -> String {
    let Some(user) = &args.user else {
        let version = if args.v1 { "1" } else { "2c" };
        let place = args.community.as_ref().map(Place::toml).unwrap_or_default();
        return format!("version = \"{version}\"\ncommunity = {place}\n");
    };
    let mut text = format!("version = \"3\"\nuser = {}\n", quoted(user));
    if let Some(place) = &args.auth_secret {
        let (protocol, secret) = (args.auth_protocol.name(), place.toml());
        text.push_str(&format!(
            "auth = {{ protocol = \"{protocol}\", secret = {secret} }}\n"
        ));
    }
    if let Some(place) = &args.priv_secret {
        let (protocol, secret) = (args.priv_protocol.name(), place.toml());
        text.push_str(&format!(
            "priv = {{ protocol = \"{protocol}\", secret = {secret} }}\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        init: InitArgs,
    }

    fn args(arguments: &[&str]) -> InitArgs {
        let arguments = ["init", "--device", "10.0.0.1"].iter().chain(arguments);
        Line::try_parse_from(arguments)
            .unwrap_or_else(|error| panic!("{error}"))
            .init
    }

    /// The written file as `run` reads it.
    fn read(args: &InitArgs, name: &str) -> ocelli_config::Loaded {
        let answers = [name, "Linux \"x\"\n[node]", "1.3", "2"].map(str::to_owned);
        let mut sources = ocelli_config::Sources::new();
        let text = configuration(args, &answers);
        sources.push(ocelli_config::Source::file("ocelli.toml", text));
        let options = ocelli_config::LoadOptions {
            hostname: "h",
            is_strict: true,
        };
        ocelli_config::load(sources, options).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn what_is_written_is_a_configuration_without_warnings() {
        let check = |arguments: &[&str]| {
            let loaded = read(&args(arguments), "sw1");
            assert_eq!((loaded.warnings.len(), loaded.parked.len()), (0, 0));
            assert_eq!(loaded.config.snmp_credentials.len(), 1);
            assert_eq!(loaded.config.pollings.len(), 2);
        };
        check(&["--community", "env:C"]);
        check(&["--community", "@/etc/ocelli/c", "--v1"]);
        check(&["--user", "u"]);
        let auth = ["--user", "u", "--auth-secret", "env:A", "--auth-protocol"];
        let privacy = ["--priv-secret", "env:P", "--priv-protocol"];
        for (auth_protocol, priv_protocol) in [
            ("MD5", "DES"),
            ("SHA", "AES"),
            ("SHA-224", "AES-192-C"),
            ("SHA-512", "AES-256"),
        ] {
            check(&[&auth[..], &[auth_protocol], &privacy, &[priv_protocol]].concat());
        }
    }

    #[test]
    fn names_from_the_device_cannot_break_the_file() {
        let args = args(&["--community", "env:C"]);
        for name in ["", "a|b", "a\"\\b\n[node]", "\u{1b}[2J", "é"] {
            read(&args, name);
        }
    }

    #[test]
    fn a_secret_in_clear_is_refused_and_not_repeated() {
        for text in ["k4n4ry", "env:", "@"] {
            let args = args(&["--community", text, "--out", "/no/such/directory/x"]);
            assert_eq!(args.community, Some(Place::InClear), "{text}");
            let mut streams = Streams::new(Box::new(std::io::sink()), Box::new(std::io::sink()));
            let failure = run(&args, &mut streams).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(!failure.to_string().contains("k4n4ry"));
        }
    }
}
