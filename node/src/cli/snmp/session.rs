//! net-snmp's options, and the session that they describe.
//!
//! Does: read version, community, user, protocols, secrets in three forms, agent address; open a
//! session on the engine that polls. Does not: read configuration.
//! In: the command line. Out: [`SessionOptions`], [`Opened`].
//! Secrets given in clear are taken, with a hint on stderr: `ps` shows them to everybody.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ocelli_config::{SecretError, SecretSource as _};
use ocelli_model::secret::Secret;
use ocelli_model::units::parse_duration;
use ocelli_snmp::engine::{
    CommunityVersion, Credential, Engine, Security, Session, SessionSettings, Source, TimeoutBounds,
};
use ocelli_snmp::usm::{AuthProtocol, Credentials, MasterKeyCache, PrivacyProtocol, UsmUser};

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Streams;
use crate::cli::snmp::dump::PacketDump;
use crate::clock::RealClock;
use crate::rng::RealRng;
use crate::secrets::process_secrets;

/// Where agents listen.
const PORT_DEFAULT: u16 = 161;
/// A community that is no secret.
const COMMUNITY_PUBLIC: &str = "public";

/// net-snmp's options, by their letters.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SessionOptions {
    /// Version: 1, 2c or 3.
    #[arg(short = 'v', default_value = "2c", value_name = "VERSION")]
    #[arg(value_parser = ["1", "2c", "3"])]
    pub(crate) version: String,
    /// Community; also @FILE or env:NAME.
    #[arg(short = 'c', value_name = "COMMUNITY")]
    pub(crate) community: Option<Secret<String>>,
    /// Security level: noAuthNoPriv, authNoPriv, authPriv. Default: what the secrets allow.
    #[arg(short = 'l', value_name = "LEVEL", ignore_case = true)]
    #[arg(value_parser = ["noAuthNoPriv", "authNoPriv", "authPriv"])]
    level: Option<String>,
    /// User (securityName).
    #[arg(short = 'u', value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Authentication protocol: MD5, SHA, SHA-224, SHA-256, SHA-384, SHA-512.
    #[arg(short = 'a', default_value = "MD5", value_name = "PROTOCOL")]
    pub(crate) auth_protocol: AuthProtocol,
    /// Authentication passphrase; also @FILE or env:NAME.
    #[arg(short = 'A', value_name = "PASSPHRASE")]
    pub(crate) auth_secret: Option<Secret<String>>,
    /// Privacy protocol: DES, AES, AES-192, AES-256, AES-192-C, AES-256-C.
    #[arg(short = 'x', default_value = "DES", value_name = "PROTOCOL")]
    pub(crate) privacy_protocol: PrivacyProtocol,
    /// Privacy passphrase; also @FILE or env:NAME.
    #[arg(short = 'X', value_name = "PASSPHRASE")]
    pub(crate) privacy_secret: Option<Secret<String>>,
    /// Context name.
    #[arg(short = 'n', default_value = "", value_name = "CONTEXT")]
    context: String,
    /// Engine id. Taken for compatibility: it is always discovered.
    #[arg(short = 'e', value_name = "ENGINE-ID")]
    engine_id: Option<String>,
    /// Time-out of one try; a bare number is seconds.
    #[arg(short = 't', default_value = "1s", value_parser = parse_timeout, value_name = "TIME")]
    timeout: Duration,
    /// Tries after the first.
    #[arg(short = 'r', default_value_t = 5, value_name = "COUNT")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=7))]
    retries: u8,
    /// Dump each datagram in hexadecimal on stderr; communities and v3 secrets print as `**`.
    #[arg(short = 'd')]
    dumps: bool,
}

/// A session and the engine that it lives on.
pub(crate) struct Opened {
    pub(crate) session: Session,
    pub(crate) address: SocketAddr,
    _engine: Rc<Engine>,
}

impl SessionOptions {
    /// No secrets, no user.
    pub(crate) fn with_nothing(version: &str) -> Self {
        Self {
            version: version.to_owned(),
            community: None,
            level: None,
            user: None,
            auth_protocol: AuthProtocol::Md5,
            auth_secret: None,
            privacy_protocol: PrivacyProtocol::Des,
            privacy_secret: None,
            context: String::new(),
            engine_id: None,
            timeout: Duration::from_secs(1),
            retries: 2,
            dumps: false,
        }
    }

    /// The longest that one request can take, for deadlines.
    pub(crate) fn patience(&self) -> Duration {
        // Time-outs double with each try up to four times the first.
        self.timeout
            .saturating_mul(4 * (u32::from(self.retries) + 1))
    }

    /// Opens a session with `agent`.
    pub(crate) async fn open(
        &self,
        agent: &str,
        transfer: Transfer,
        streams: &mut Streams,
    ) -> Result<Opened, Failure> {
        let address = resolve(agent).await?;
        let credential = Arc::new(self.credential(streams)?);
        if self.engine_id.is_some() {
            streams.say("note: -e is not needed: the engine id is discovered");
        }
        let engine = Engine::start(
            Source::default(),
            Arc::new(RealClock),
            Box::new(RealRng::default()),
        );
        let mut settings = SessionSettings::new(address, credential);
        settings.timeout = TimeoutBounds::around(self.timeout);
        settings.tries = self.retries + 1;
        settings.is_bulk = transfer.is_bulk;
        settings.max_repetitions = transfer.max_repetitions;
        let mut session = engine
            .session(settings)
            .map_err(|error| Failure::new(Exit::Failed, error))?;
        if self.dumps {
            session = session.traced(Rc::new(PacketDump::to_stderr()));
        }
        Ok(Opened {
            session,
            address,
            _engine: engine,
        })
    }

    fn credential(&self, streams: &mut Streams) -> Result<Credential, Failure> {
        match self.version.as_str() {
            "1" => self.community(CommunityVersion::V1, streams),
            "2c" => self.community(CommunityVersion::V2c, streams),
            _ => self.user(streams),
        }
    }

    fn community(
        &self,
        version: CommunityVersion,
        streams: &mut Streams,
    ) -> Result<Credential, Failure> {
        let Some(word) = &self.community else {
            return Err(Failure::new(Exit::Usage, "no community given")
                .hint("give -c @FILE, -c env:NAME or -c public"));
        };
        let community = open_word(word, "-c", streams)?;
        Ok(Credential::community(
            version,
            community.expose().as_bytes(),
        ))
    }

    fn user(&self, streams: &mut Streams) -> Result<Credential, Failure> {
        let Some(name) = &self.user else {
            return Err(Failure::new(Exit::Usage, "no user given").hint("give -u USER"));
        };
        let (has_auth, has_privacy) = self.wanted_level();
        let mut open = |is_wanted: bool, word: &Option<Secret<String>>, option: &str| match (
            is_wanted, word,
        ) {
            (false, _) => Ok(None),
            (true, Some(word)) => open_word(word, option, streams).map(Some),
            (true, None) => {
                let text = format!("the security level needs a passphrase: {option} is missing");
                Err(Failure::new(Exit::Usage, text)
                    .hint(format!("give {option} @FILE or {option} env:NAME")))
            }
        };
        let auth = open(has_auth, &self.auth_secret, "-A")?;
        let privacy = open(has_privacy, &self.privacy_secret, "-X")?;
        let credentials = Credentials {
            user: name.as_bytes(),
            auth: auth
                .as_ref()
                .map(|secret| (self.auth_protocol, secret.expose().as_bytes())),
            privacy: privacy
                .as_ref()
                .map(|secret| (self.privacy_protocol, secret.expose().as_bytes())),
        };
        let user = UsmUser::new(&credentials, &mut MasterKeyCache::default())
            .map_err(|error| Failure::new(Exit::Usage, error))?;
        Ok(Credential {
            security: Security::User {
                user: Arc::new(user),
                context_name: self.context.as_bytes().to_vec(),
                is_strict: false,
            },
            reply_from: Vec::new(),
        })
    }

    /// Whether messages are to be signed, and encrypted.
    fn wanted_level(&self) -> (bool, bool) {
        match self
            .level
            .as_deref()
            .map(str::to_ascii_lowercase)
            .as_deref()
        {
            Some("noauthnopriv") => (false, false),
            Some("authnopriv") => (true, false),
            Some(_) => (true, true),
            None => {
                let has_privacy = self.privacy_secret.is_some();
                (has_privacy || self.auth_secret.is_some(), has_privacy)
            }
        }
    }
}

/// A duration, or seconds with a fraction as net-snmp takes them; 10 ms to 1 h.
fn parse_timeout(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse::<f64>()
        .ok()
        .and_then(|s| Duration::try_from_secs_f64(s).ok());
    let timeout = seconds.map_or_else(|| parse_duration(text).map_err(|e| e.to_string()), Ok)?;
    let bounds = Duration::from_millis(10)..=Duration::from_secs(3_600);
    if bounds.contains(&timeout) {
        Ok(timeout)
    } else {
        Err("choose 10ms to 1h".to_owned())
    }
}

/// How a walk asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transfer {
    pub(crate) is_bulk: bool,
    pub(crate) max_repetitions: u16,
}

/// `@FILE`, `env:NAME`, or the secret itself.
fn open_word(
    word: &Secret<String>,
    option: &str,
    streams: &mut Streams,
) -> Result<Secret<String>, Failure> {
    let word = word.expose().as_str();
    let failed = |error: SecretError| Failure::new(Exit::Failed, error);
    let source = process_secrets();
    let bytes = if let Some(path) = word.strip_prefix('@') {
        source.file(path.as_ref()).map_err(failed)?
    } else if let Some(name) = word.strip_prefix("env:") {
        source.environment(name).map_err(failed)?
    } else {
        if word != COMMUNITY_PUBLIC {
            streams.say(format!(
                "hint: everybody sees secrets of the command line in `ps`; \
                 write {option} @FILE or {option} env:NAME"
            ));
        }
        return Ok(Secret::new(word.to_owned()));
    };
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::new(Exit::Failed, format!("the secret of {option} is no text")))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// The address of `udp:host:port`, `udp6:[address]:port`, `host:port` or `host`.
async fn resolve(agent: &str) -> Result<SocketAddr, Failure> {
    let (text, is_v6) = match agent.split_once(':') {
        Some(("udp", rest)) => (rest, false),
        Some(("udp6", rest)) => (rest, true),
        Some(("tcp" | "tcp6" | "unix" | "dtlsudp" | "tlstcp" | "ssh", _)) => {
            let text = format!("{agent:?} is no UDP address; other transports are not in ocelli");
            return Err(Failure::new(Exit::Usage, text));
        }
        _ => (agent, false),
    };
    let endpoint: ocelli_model::resource::Endpoint = text
        .parse()
        .map_err(|error| Failure::new(Exit::Usage, error))?;
    let port = endpoint.port.unwrap_or(PORT_DEFAULT);
    let host = match endpoint.host {
        ocelli_model::resource::Host::Address(address) => {
            return Ok(SocketAddr::new(address, port));
        }
        ocelli_model::resource::Host::Name(name) => name,
    };
    let unknown = |reason: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("cannot resolve {host:?}: {reason}"))
    };
    let found = tokio::net::lookup_host((host.as_str(), port)).await;
    let mut found = found
        .map_err(|error| unknown(&error))?
        .filter(|a| !is_v6 || a.is_ipv6());
    found.next().ok_or_else(|| unknown(&"it has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_durations_or_seconds_with_a_fraction() {
        let millis = |text: &str| parse_timeout(text).map(|timeout| timeout.as_millis());
        assert_eq!(millis("2"), Ok(2_000));
        assert_eq!(millis("0.25"), Ok(250));
        assert_eq!(millis("1m30s"), Ok(90_000));
        for bad in ["0", "-1", "9ms", "2h", "x", "nan", "inf"] {
            assert!(millis(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_level_follows_from_the_secrets_unless_it_is_given() {
        let mut options = SessionOptions::with_nothing("3");
        assert_eq!(options.wanted_level(), (false, false));
        options.auth_secret = Some(Secret::new("env:A".to_owned()));
        assert_eq!(options.wanted_level(), (true, false));
        options.privacy_secret = Some(Secret::new("env:X".to_owned()));
        assert_eq!(options.wanted_level(), (true, true));
        options.level = Some("authNoPriv".to_owned());
        assert_eq!(options.wanted_level(), (true, false));
    }
}
