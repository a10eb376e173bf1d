//! A mesh of real processes on loopback: an authority, and nodes of any tier.
//!
//! Does: make a root and certificates, write configurations, start `ocelli run`, wait until ready.
//! Does not: put anything between nodes (`relay`). In: who stands above whom. Out: [`Mesh`], whose
//! nodes end when dropped.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use nix::sys::signal::Signal;
use ocelli_federation::identity::{
    AuthorityDirectory, DAY_MS, IdentityMaterial, IdentitySettings, IssueOrder, NodeIdentity,
    NodeKey, Tier, write_key,
};
use ocelli_model::clock::{Clock as _, WallMs};
use ocelli_node::clock::RealClock;
use ocelli_node::rng::RealRng;

use super::http::Client;
use super::process::{Running, tail};
use super::{built_binary, free_tcp_port, free_udp_port, wait_for};

/// Name of every mesh of the harness.
pub const MESH: &str = "test";
/// How far certificates are dated back.
const BACK: Duration = Duration::from_secs(86_400);
/// Of certificates, within that of the root.
const CERTIFICATE_LIFE: Duration = Duration::from_secs(19 * 86_400);

/// A node of the mesh.
#[derive(Debug)]
pub struct MeshNode {
    /// Its process.
    pub running: Running,
    /// Its API.
    pub client: Client,
    /// UDP port of its links.
    pub quic: u16,
    folder: PathBuf,
    environment: Environment,
}

/// Variables that a process gets beside the test's own.
pub type Environment = Vec<(String, String)>;

/// Files of a clone that was not started yet.
#[derive(Debug)]
pub struct ClonedFiles {
    folder: PathBuf,
    http: u16,
}

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct MeshNodeOptions {
    /// Its tier.
    pub tier: Tier,
    /// Its site, region or global; the node is called `n1`.
    pub site: String,
    /// UDP ports on loopback that it sends to, each an upstream of its own.
    pub upstreams: Vec<u16>,
    /// Further configuration.
    pub config: String,
}

/// An authority and its nodes, by site.
pub struct Mesh {
    folder: PathBuf,
    authority: AuthorityDirectory,
    environments: BTreeMap<String, Environment>,
    /// Sites that a node may speak for, where not the default.
    scopes: BTreeMap<String, Vec<String>>,
    /// Nodes by the name of their site.
    pub nodes: BTreeMap<String, MeshNode>,
    /// How long certificates are good that are issued from now on.
    pub certificate_life: Duration,
}

impl Mesh {
    /// An authority in `folder`, and no node yet.
    ///
    /// # Panics
    /// If the folder takes no files.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let (now, mut rng) = (RealClock.wall(), RealRng::default());
        let made = AuthorityDirectory::init(&folder.join("ca"), MESH, 30, (now, &mut rng));
        Self {
            folder: folder.into(),
            authority: made.expect("a new folder takes an authority"),
            environments: BTreeMap::new(),
            scopes: BTreeMap::new(),
            nodes: BTreeMap::new(),
            certificate_life: CERTIFICATE_LIFE,
        }
    }

    /// The certificate of a node that is started later names these sites; none: the default.
    pub fn limit_scope(&mut self, site: &str, speaks_for: &[&str]) {
        let speaks_for = speaks_for.iter().map(|site| (*site).to_owned()).collect();
        self.scopes.insert(site.to_owned(), speaks_for);
    }

    /// Variables of the node that will be started for `site`.
    pub fn set_environment(&mut self, site: &str, environment: Environment) {
        self.environments.insert(site.to_owned(), environment);
    }

    /// Where the files of a site's node lie, started or not.
    #[must_use]
    pub fn folder_of(&self, site: &str) -> PathBuf {
        self.folder.join(site)
    }

    /// What a node of this tier and site shows and trusts, for one that runs inside the test.
    ///
    /// # Panics
    /// If the folder takes no files.
    #[must_use]
    pub fn material(&self, tier: Tier, site: &str) -> IdentityMaterial {
        let folder = self.folder_of(site);
        std::fs::create_dir_all(&folder).expect("the test's folder takes folders");
        let options = MeshNodeOptions {
            tier,
            site: site.to_owned(),
            upstreams: Vec::new(),
            config: String::new(),
        };
        self.issue(&folder, &options);
        let settings = IdentitySettings {
            certificate: folder.join("node.pem"),
            key: folder.join("node-key.pem"),
            roots: vec![self.folder.join("ca/root.pem")],
            crl: None,
            token: None,
            renew: false,
            directory: folder.join("identity"),
        };
        IdentityMaterial::read(&settings).expect("the files were just written")
    }

    /// Starts a node and waits until it is ready.
    ///
    /// # Panics
    /// If it is not ready within twenty seconds.
    pub fn start(&mut self, options: &MeshNodeOptions) -> &mut MeshNode {
        self.start_on(options, free_udp_port())
    }

    /// The same on a port that others were told before.
    ///
    /// # Panics
    /// As [`Mesh::start`].
    pub fn start_on(&mut self, options: &MeshNodeOptions, quic: u16) -> &mut MeshNode {
        let folder = self.folder.join(&options.site);
        std::fs::create_dir_all(&folder).expect("the test's folder takes folders");
        self.issue(&folder, options);
        let http = free_tcp_port();
        let text = self.text_of(&folder, options, (http, quic));
        std::fs::write(folder.join("ocelli.toml"), text).expect("the folder takes files");
        let environment = self.environments.get(&options.site);
        let environment = environment.cloned().unwrap_or_default();
        let mut node = MeshNode {
            running: MeshNode::spawn(&folder, &environment),
            client: Client::new(http),
            quic,
            folder,
            environment,
        };
        node.wait_ready();
        self.nodes.insert(options.site.clone(), node);
        self.node(&options.site)
    }

    /// The node of a site.
    ///
    /// # Panics
    /// If none was started.
    pub fn node(&mut self, site: &str) -> &mut MeshNode {
        self.nodes.get_mut(site).expect("the node was started")
    }

    /// Issues another certificate, and key, where a node reads them.
    ///
    /// # Panics
    /// If the node's folder takes no files.
    pub fn reissue(&self, options: &MeshNodeOptions) {
        self.issue(&self.folder.join(&options.site), options);
    }

    fn issue(&self, folder: &Path, options: &MeshNodeOptions) {
        let identity = NodeIdentity::new(MESH, options.tier, &options.site, "n1");
        let identity = identity.expect("a plain name is one");
        let key = NodeKey::generate().expect("keys can be made");
        let order = IssueOrder {
            identity,
            speaks_for: self.scopes.get(&options.site).cloned().unwrap_or_default(),
            valid_for: BACK + self.certificate_life,
        };
        // Dated back, so that a node whose clock is an hour behind takes it too.
        let (then, mut rng) = (RealClock.wall().0 - DAY_MS, RealRng::default());
        let issued = self
            .authority
            .issue_with_key(&key, order, (WallMs(then), &mut rng));
        let issued = issued.expect("the authority issues");
        std::fs::write(folder.join("node.pem"), issued.certificate_pem).expect("a file");
        write_key(&folder.join("node-key.pem"), &key.to_pem()).expect("a file");
    }

    fn text_of(
        &self,
        folder: &Path,
        options: &MeshNodeOptions,
        (http, quic): (u16, u16),
    ) -> String {
        let mut text = format!(
            "[node]\nmesh = \"{MESH}\"\ntier = \"{}\"\nsite = \"{}\"\nname = \"n1\"\n\
             data_dir = {:?}\n\n[identity]\ncertificate = \"node.pem\"\nkey = \"node-key.pem\"\n\
             roots = [{:?}]\n\n[listen]\nhttp = \"127.0.0.1:{http}\"\n",
            options.tier,
            options.site,
            folder.join("data"),
            self.folder.join("ca/root.pem"),
        );
        if options.tier != Tier::Site {
            text += &format!("quic = \"127.0.0.1:{quic}\"\n");
        }
        for port in &options.upstreams {
            text += &format!(
                "\n[[upstream]]\nname = \"up-{port}\"\nconnect = [\"127.0.0.1:{port}\"]\n"
            );
        }
        text + "\n" + &options.config
    }
}

impl MeshNode {
    fn spawn(folder: &Path, environment: &Environment) -> Running {
        let mut command = Command::new(built_binary("ocelli"));
        command
            .envs(environment.iter().cloned())
            .args(["run", "--log", "json", "--config"])
            .arg(folder.join("ocelli.toml"));
        Running::start("ocelli", command, folder)
    }

    /// Starts the node again after it ended.
    ///
    /// # Panics
    /// As [`Mesh::start`].
    pub fn start_again(&mut self) {
        self.running = Self::spawn(&self.folder, &self.environment);
        self.wait_ready();
    }

    /// `kill -9`, and a start with the same disk.
    ///
    /// # Panics
    /// As [`Mesh::start`].
    pub fn kill_and_start(&mut self) {
        self.running.kill();
        self.start_again();
    }

    /// A second process on the same configuration, and so on the same data directory.
    ///
    /// # Panics
    /// If the folder takes no files or the program does not start.
    #[must_use]
    pub fn start_twice(&self) -> Running {
        let folder = self.folder.join("twice");
        std::fs::create_dir_all(&folder).expect("the test's folder takes folders");
        let mut command = Command::new(built_binary("ocelli"));
        command
            .args(["run", "--log", "json", "--config"])
            .arg(self.folder.join("ocelli.toml"));
        Running::start("twice", command, &folder)
    }

    /// Adds to the configuration of the running node and has it read again.
    ///
    /// # Panics
    /// If the folder takes no files.
    pub fn add_config(&mut self, text: &str) {
        let path = self.folder.join("ocelli.toml");
        let before = std::fs::read_to_string(&path).expect("it was started with it");
        std::fs::write(path, before + text).expect("the folder takes files");
        self.running.signal(Signal::SIGHUP);
    }

    /// A copy of the files of a stopped node, as a cloned machine has them: its `origin` file says
    /// that it stands where it was written.
    ///
    /// # Panics
    /// If the files are not there, or the folder takes none.
    #[must_use]
    pub fn clone_files(&self) -> ClonedFiles {
        let folder = self.folder.with_extension("clone");
        copy_folder(&self.folder, &folder);
        let origin = folder.join("data/origin");
        let text = std::fs::read_to_string(&origin).expect("a data directory has one");
        let place = |path: &Path| place_of(path).expect("the file stands");
        let (from, to) = (place(&self.data_dir().join("origin")), place(&origin));
        let moved = text.replace(&from.0, &to.0).replace(&from.1, &to.1);
        assert!(
            moved != text,
            "{text} does not say that it stands at {from:?}"
        );
        std::fs::write(&origin, moved).expect("the folder takes files");
        let http = free_tcp_port();
        let path = folder.join("ocelli.toml");
        let text = std::fs::read_to_string(&path).expect("the copy has it");
        let spelt = |path: &Path| path.display().to_string();
        let text = text.replace(&spelt(&self.data_dir()), &spelt(&folder.join("data")));
        let listens = self.client.url("").replace("http://", "");
        let text = text.replace(&listens, &format!("127.0.0.1:{http}"));
        std::fs::write(&path, text).expect("the folder takes files");
        ClonedFiles { folder, http }
    }

    /// The clone, started.
    ///
    /// # Panics
    /// As [`Mesh::start`].
    #[must_use]
    pub fn start_clone(&self, files: ClonedFiles) -> Self {
        let mut node = Self {
            running: Self::spawn(&files.folder, &self.environment),
            client: Client::new(files.http),
            quic: self.quic,
            folder: files.folder,
            environment: self.environment.clone(),
        };
        node.wait_ready();
        node
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn wait_ready(&mut self) {
        let (running, client) = (&mut self.running, &self.client);
        wait_for(
            "a node of the mesh to be ready",
            Duration::from_secs(20),
            || {
                assert!(
                    !running.has_ended(),
                    "the node ended: {}",
                    tail(&running.stderr())
                );
                client.get("/readyz").filter(|(status, _)| *status == 200)
            },
        );
    }
}

/// Copies a folder with all that is in it, whose place must not be within it.
///
/// # Panics
/// If a file cannot be copied.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the test's folder takes folders");
    for entry in std::fs::read_dir(from).expect("the folder is there") {
        let entry = entry.expect("the folder can be listed");
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().expect("a file has a kind");
        if kind.is_dir() {
            copy_folder(&source, &target);
        } else if kind.is_file() {
            std::fs::copy(source, target).expect("the test's folder takes files");
        }
    }
}

/// Where a file stands, as the `origin` file spells it: inode and time of birth.
fn place_of(path: &Path) -> Option<(String, String)> {
    let metadata = std::fs::metadata(path).ok()?;
    let born = metadata.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let birth = format!("[{},{}]", born.as_secs(), born.subsec_nanos());
    Some((format!("\"inode\":{}", metadata.ino()), birth))
}
