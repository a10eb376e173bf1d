//! Debian's `snmpd` on loopback, with a v2c community and a v3 user for each protocol pair.
//!
//! Does: write its configuration, start it in the foreground, stop and start it again, ask it with
//! net-snmp's own tools (the oracle). Does not: read the system's configuration.
//! In: a folder. Out: [`Snmpd`]; secrets are those of [`COMMUNITY`] and [`PASSWORD`].

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::Running;
use super::{free_udp_port, wait_for};

/// The v2c community.
pub const COMMUNITY: &str = "canary-community-7f3a";
/// Authentication and privacy password of every user.
pub const PASSWORD: &str = "canary-password-91bc";
/// Authentication protocols, by net-snmp's names.
pub const AUTH: &[&str] = &["MD5", "SHA", "SHA-224", "SHA-256", "SHA-384", "SHA-512"];
/// Privacy protocols, by net-snmp's names; those that the installed build lacks are left out.
pub const PRIV: &[&str] = &["DES", "AES", "AES-192", "AES-256", "AES-192-C", "AES-256-C"];

/// A running `snmpd`.
#[derive(Debug)]
pub struct Snmpd {
    folder: PathBuf,
    port: u16,
    running: Option<Running>,
}

/// A v3 user of the agent: protocols by net-snmp's names, `None` where the level is lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// Authentication.
    pub auth: Option<&'static str>,
    /// Privacy.
    pub privacy: Option<&'static str>,
}

impl User {
    /// Every pair, and the two lower levels.
    #[must_use]
    pub fn all() -> Vec<User> {
        let mut users = vec![User {
            auth: None,
            privacy: None,
        }];
        for auth in AUTH {
            users.push(User {
                auth: Some(auth),
                privacy: None,
            });
            let pair = |privacy: &&'static str| User {
                auth: Some(auth),
                privacy: Some(privacy),
            };
            users.extend(PRIV.iter().map(pair));
        }
        users
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> String {
        let part =
            |protocol: Option<&str>| protocol.unwrap_or("no").replace('-', "").to_lowercase();
        format!("u_{}_{}", part(self.auth), part(self.privacy))
    }

    /// Its level, by net-snmp's names.
    #[must_use]
    pub fn level(self) -> &'static str {
        match (self.auth, self.privacy) {
            (None, _) => "noAuthNoPriv",
            (Some(_), None) => "authNoPriv",
            (Some(_), Some(_)) => "authPriv",
        }
    }

    /// Arguments for net-snmp's tools and for `ocelli snmp`, which takes the same letters.
    #[must_use]
    pub fn arguments(self) -> Vec<String> {
        let mut arguments = vec![
            "-v3".into(),
            "-u".into(),
            self.name(),
            "-l".into(),
            self.level().into(),
        ];
        for (letters, protocol) in [(["-a", "-A"], self.auth), (["-x", "-X"], self.privacy)] {
            if let Some(protocol) = protocol {
                arguments.extend([letters[0].into(), protocol.into()]);
                arguments.extend([letters[1].into(), PASSWORD.into()]);
            }
        }
        arguments
    }

    fn lines(self) -> String {
        let name = self.name();
        let mut create = format!("createUser {name}");
        for protocol in [self.auth, self.privacy].into_iter().flatten() {
            create.push_str(&format!(" {protocol} \"{PASSWORD}\""));
        }
        let level = match self.level() {
            "noAuthNoPriv" => "noauth",
            "authNoPriv" => "auth",
            _ => "priv",
        };
        format!("{create}\nrouser {name} {level}\n")
    }
}

impl Snmpd {
    /// Starts an agent whose files lie in `folder`.
    ///
    /// # Panics
    /// If `snmpd` is not installed or does not answer within ten seconds.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        let folder = folder.join("snmpd");
        for part in ["persistent", "client"] {
            std::fs::create_dir_all(folder.join(part)).expect("the test's folder takes folders");
        }
        let port = free_udp_port();
        let users: String = User::all().into_iter().map(User::lines).collect();
        let text = format!(
            "agentAddress udp:127.0.0.1:{port}\nrocommunity {COMMUNITY} 127.0.0.1\n{users}\
             sysName ocelli-test-host\nsysServices 72\nsysLocation rack 7, row \"B\"\n\
             sysContact nobody@example.com\n"
        );
        std::fs::write(folder.join("snmpd.conf"), text).expect("the test's folder takes files");
        let mut agent = Self {
            folder,
            port,
            running: None,
        };
        agent.start_again();
        agent
    }

    /// Starts the agent that was stopped.
    ///
    /// # Panics
    /// As [`Snmpd::start`].
    pub fn start_again(&mut self) {
        let mut command = Command::new("/usr/sbin/snmpd");
        command
            .args(["-f", "-Lo", "-r", "-C", "-c"])
            .arg(self.folder.join("snmpd.conf"));
        command.arg("-p").arg(self.folder.join("snmpd.pid"));
        command
            .env("SNMP_PERSISTENT_DIR", self.folder.join("persistent"))
            .env("MIBS", "");
        self.running = Some(Running::start("snmpd", command, &self.folder));
        wait_for("snmpd's first answer", Duration::from_secs(10), || {
            self.net_snmp("snmpget", &self.v2c(), &["1.3.6.1.2.1.1.3.0"])
                .ok()
        });
    }

    /// Stops the agent; it forgets nothing but its uptime.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Arguments of the community.
    #[must_use]
    pub fn v2c(&self) -> Vec<String> {
        vec!["-v2c".into(), "-c".into(), COMMUNITY.into()]
    }

    /// Asks with one of net-snmp's tools: lines `OID TYPE VALUE` as `-On -OU -Oe -Ot` print them.
    ///
    /// # Errors
    /// What the tool wrote to stderr.
    pub fn net_snmp(
        &self,
        tool: &str,
        credentials: &[String],
        oids: &[&str],
    ) -> Result<Vec<String>, String> {
        let mut command = Command::new(tool);
        command
            .args(["-OnUet", "-r", "1", "-t", "2"])
            .args(credentials);
        command
            .env("MIBS", "")
            .env("SNMP_PERSISTENT_DIR", self.folder.join("client"));
        let output = command.arg(self.address()).args(oids).output();
        let output = output.map_err(|error| format!("cannot run {tool}: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect())
    }

    /// The users that this build of `snmpd` serves, asked by net-snmp's own client.
    #[must_use]
    pub fn served_users(&self) -> Vec<User> {
        let answers = |user: &User| {
            self.net_snmp("snmpget", &user.arguments(), &["1.3.6.1.2.1.1.5.0"])
                .is_ok()
        };
        User::all().into_iter().filter(answers).collect()
    }
}
