//! `uplink replay`: a member of an upstream's group gets what the others have.
//!
//! Does: ask the node for it, or for what it would send, and tell how far it is until it is over.
//! Does not: send: the node does, beside its live records.
//! In: an upstream, a member. Out: words on stderr, or what the node said as JSON.

use std::time::Duration;

use clap::Subcommand;
use ocelli_model::clock::Clock as _;
use serde_json::{Value, json};

use super::client::{Client, ConnectOptions};
use super::exit::{Exit, Failure};
use super::output::{Column, Listing, OutputOptions, Streams, cell_text, column};
use super::runtime::block_on;
use crate::clock::RealClock;

/// How long the node may take to reach the member and learn what it holds.
const ORDER_PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at how far it is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

const REPLAY_EXAMPLES: &str = "\
Examples:
  ocelli uplink replay core --dry-run            what the member lacks of what is held here
  ocelli uplink replay core                      refill the member that the link stands to
  ocelli uplink replay core --member emeb:7700   refill another member of the group
  ocelli uplink replay core --no-wait -o json

A region that came back with an empty disk gets by itself what no other member of its group has
acknowledged. The rest is in the mesh already; this sends it to that region too, as backfill.";

/// `ocelli uplink …`
#[derive(Debug, Subcommand)]
pub(crate) enum UplinkCommand {
    /// Send a member of an upstream's group what other members acknowledged: it lost its disk.
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(ReplayArgs),
}

/// Arguments of `uplink replay`.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// Name of the `[[upstream]]`.
    #[arg(value_name = "UPSTREAM")]
    upstream: String,
    /// Which member, as in `connect`; by default the one that the link stands to.
    #[arg(long, value_name = "HOST:PORT")]
    member: Option<String>,
    /// Only tell what would be sent.
    #[arg(long)]
    dry_run: bool,
    /// Do not wait for the end.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    connect: ConnectOptions,
    #[command(flatten)]
    output: OutputOptions,
}

const REPLAY_COLUMNS: &[Column] = &[
    column("LINK", "link"),
    column("MEMBER", "member"),
    column("STATE", "state"),
    column("RECORDS", "records"),
    column("LEFT", "left"),
    column("GONE", "gone"),
];

/// Runs `ocelli uplink …`.
pub(crate) fn uplink(command: UplinkCommand, streams: &mut Streams) -> Result<Exit, Failure> {
    let UplinkCommand::Replay(args) = command;
    let client = args.connect.client()?;
    let body = json!({
        "upstream": args.upstream,
        "member": args.member,
        "dry_run": args.dry_run,
    });
    let started = block_on(client.post("/v1/uplink/replay", &body, ORDER_PATIENCE))?;
    let (records, gone) = (cell_text(&started, "records"), cell_text(&started, "gone"));
    let member = cell_text(&started, "member");
    streams.say(match args.dry_run {
        true => format!("{member} lacks {records} records that are held here"),
        false => format!("{records} records go to {member}"),
    });
    if started["gone"] != 0 {
        streams.say(format!(
            "{gone} records that it lacks are not held here any more (retention): look for \
             another member or peer that has them"
        ));
    }
    let mut shown = match args.dry_run || args.no_wait {
        true => json!({
            "state": if args.dry_run { "planned" } else { "running" },
            "left": started["records"],
        }),
        false => block_on(until_over(&client, &cell_text(&started, "link"), streams))?,
    };
    for key in ["link", "member", "records", "gone"] {
        shown[key] = started[key].clone();
    }
    let listing = Listing {
        columns: REPLAY_COLUMNS,
        items: std::slice::from_ref(&shown),
        document: Some(&shown),
    };
    streams.list(args.output.format, &listing)?;
    Ok(match (started["gone"] == 0, args.dry_run) {
        (false, false) => Exit::Partial,
        _ => Exit::Done,
    })
}

/// Follows a replay to its end.
async fn until_over(client: &Client, link: &str, streams: &mut Streams) -> Result<Value, Failure> {
    let path = format!("/v1/links/{link}");
    let mut last = Value::Null;
    loop {
        let mut view = client.get(&path, &[]).await?;
        let replay = view["replay"].take();
        match replay["state"].as_str() {
            Some("asked" | "running") => {}
            Some("failed") => {
                let reason = cell_text(&replay, "error");
                let text = format!("the replay was given up: {reason}");
                return Err(Failure::new(Exit::Failed, text).hint("ask again"));
            }
            _ => return Ok(replay),
        }
        if replay["left"] != last {
            last = replay["left"].clone();
            streams.say(format!("{} records left", cell_text(&replay, "left")));
        }
        RealClock
            .sleep_until(RealClock.monotonic().after(LOOK_EVERY))
            .await;
    }
}
