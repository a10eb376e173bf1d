//! The arguments of `ocelli ca`, with their examples.
//!
//! Does: declare what may be written. Does not: carry it out (`ca`).
//! In: the command line. Out: [`CaCommand`].

use std::path::PathBuf;

use clap::Subcommand;
use ocelli_federation::identity::{CERTIFICATE_DAYS, ROOT_DAYS, Tier};

use crate::cli::output::OutputOptions;

const INIT_EXAMPLES: &str = "\
Examples:
  ocelli ca init --mesh acme --dir ca        root, key and an empty revocation list
  ocelli ca init --mesh acme --dir ca2       the next root, for an exchange of roots";

const ISSUE_EXAMPLES: &str = "\
Examples:
  ocelli ca issue --tier region --name emea --node region-a --out region-a
  ocelli ca issue --tier site --name dc1 --node poller-a --speaks-for dc1 --speaks-for dc1-lab
  ocelli ca issue --tier site --name dc1 --node poller-a --csr poller-a.csr
  ocelli ca issue --tier site --name dc1 --node poller-a --valid-for 12h    renewed after 8 h";

const REQUEST_EXAMPLES: &str = "\
Examples:
  ocelli ca request --mesh acme --tier site --name dc1 --node poller-a --out /etc/ocelli
  then, where the authority is: ocelli ca issue … --csr poller-a.csr";

const TOKEN_EXAMPLES: &str = "\
Examples:
  ocelli ca token --tier site --name dc1 --node poller-a > token
  ocelli ca token --tier site --name dc1 --ttl 2h --uses 3";

const REVOKE_EXAMPLES: &str = "\
Examples:
  ocelli ca revoke poller-a
  ocelli ca revoke ocelli://acme/site/dc1/poller-a
  ocelli ca revoke 5f0c3a…                   by serial, as `ocelli ca list` shows it";

const LIST_EXAMPLES: &str = "\
Examples:
  ocelli ca list
  ocelli ca list --dir /etc/ocelli/ca -o json";

const SHOW_EXAMPLES: &str = "\
Examples:
  ocelli ca show                             the authority: root, list, open tokens
  ocelli ca show poller-a.pem -o json        what nodes read in a certificate";

/// `ocelli ca …`
#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Make the root of a mesh.
    #[command(after_help = INIT_EXAMPLES)]
    Init(InitArgs),
    /// Issue the certificate of a node.
    #[command(after_help = ISSUE_EXAMPLES)]
    Issue(IssueArgs),
    /// Make a key on the node, and a request that `ca issue --csr` signs.
    #[command(after_help = REQUEST_EXAMPLES)]
    Request(RequestArgs),
    /// Make a token with which a node asks an issuer for its first certificate.
    #[command(after_help = TOKEN_EXAMPLES)]
    Token(TokenArgs),
    /// Revoke a certificate, or all of a node.
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke(RevokeArgs),
    /// List the certificates that were issued.
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Show the authority, or what stands in a certificate.
    #[command(after_help = SHOW_EXAMPLES)]
    Show(ShowArgs),
}

/// Where the authority is.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// Directory of the authority.
    #[arg(long, default_value = "ca", value_name = "DIRECTORY")]
    pub(super) dir: PathBuf,
}

/// For whom a certificate or token is.
#[derive(Debug, clap::Args)]
pub(super) struct Whom {
    /// site, region or global.
    #[arg(long, value_name = "TIER")]
    pub(super) tier: Tier,
    /// Name of the site, region or global.
    #[arg(long, value_name = "NAME")]
    pub(super) name: String,
}

/// Arguments of `ca init`.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// Name of the mesh; nodes of different meshes never speak.
    #[arg(long, value_name = "NAME")]
    pub(super) mesh: String,
    #[command(flatten)]
    pub(super) place: Place,
    /// Days that the root is valid.
    #[arg(long, default_value_t = ROOT_DAYS, value_name = "DAYS")]
    pub(super) days: u32,
}

/// Arguments of `ca issue`.
#[derive(Debug, clap::Args)]
pub(crate) struct IssueArgs {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) whom: Whom,
    /// Name of the node.
    #[arg(long, value_name = "NODE")]
    pub(super) node: String,
    /// A site that it may send records of, * for all; may be given more than once. Default: its own
    /// name for a site, all for a region or global.
    #[arg(long, value_name = "SITE")]
    pub(super) speaks_for: Vec<String>,
    /// Days that the certificate is valid.
    #[arg(long, default_value_t = CERTIFICATE_DAYS, value_name = "DAYS")]
    pub(super) days: u32,
    /// How long the certificate is valid, instead of days: 12h, 30m.
    #[arg(long, conflicts_with = "days", value_name = "DURATION")]
    pub(super) valid_for: Option<String>,
    /// Sign this request, so that the key stays on the node. Default: make a key here.
    #[arg(long, value_name = "FILE")]
    pub(super) csr: Option<PathBuf>,
    /// Directory for NODE.pem and NODE-key.pem.
    #[arg(long, default_value = ".", value_name = "DIRECTORY")]
    pub(super) out: PathBuf,
}

/// Arguments of `ca request`.
#[derive(Debug, clap::Args)]
pub(crate) struct RequestArgs {
    /// Name of the mesh.
    #[arg(long, value_name = "NAME")]
    pub(super) mesh: String,
    #[command(flatten)]
    pub(super) whom: Whom,
    /// Name of the node.
    #[arg(long, value_name = "NODE")]
    pub(super) node: String,
    /// Directory for NODE-key.pem and NODE.csr.
    #[arg(long, default_value = ".", value_name = "DIRECTORY")]
    pub(super) out: PathBuf,
}

/// Arguments of `ca token`.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) whom: Whom,
    /// The one node that may use it. Default: any node that has no valid certificate yet.
    #[arg(long, value_name = "NODE")]
    pub(super) node: Option<String>,
    /// A site that the certificate may speak for; may be given more than once.
    #[arg(long, value_name = "SITE")]
    pub(super) speaks_for: Vec<String>,
    /// How long the token may be used.
    #[arg(long, default_value = "1h", value_name = "DURATION")]
    pub(super) ttl: String,
    /// How many certificates it is good for.
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    pub(super) uses: u32,
    /// Days that each certificate is valid.
    #[arg(long, default_value_t = CERTIFICATE_DAYS, value_name = "DAYS")]
    pub(super) days: u32,
}

/// Arguments of `ca revoke`.
#[derive(Debug, clap::Args)]
pub(crate) struct RevokeArgs {
    /// A serial, an identity (ocelli://…) or the name of a node.
    #[arg(value_name = "SERIAL|NODE")]
    pub(super) what: String,
    #[command(flatten)]
    pub(super) place: Place,
}

/// Arguments of `ca list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) output: OutputOptions,
}

/// Arguments of `ca show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// A certificate, PEM. Default: the authority itself.
    #[arg(value_name = "FILE")]
    pub(super) certificate: Option<PathBuf>,
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) output: OutputOptions,
}
