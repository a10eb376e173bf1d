//! `subscribe`: what a node tells from now, or from where a cursor stands, line by line.
//!
//! Does: ask over HTTP, or over a link of the mesh (`quic://`), print what comes. Does not:
//! interpret lines, dial again.
//! In: options. Out: lines on stdout, the same over both.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ocelli_bus::read::{LineFormat, Mode, StartFrom};
use ocelli_client::{FollowError, LinkLines, LinkLinesError, Proofs};
use ocelli_federation::subscribe::Question;
use ocelli_model::clock::Clock;
use ocelli_model::panoptes::Projection;
use ocelli_model::secret::Secret;
use ocelli_model::units::parse_duration;

use super::client::{Client, ConnectOptions, Target, read_file};
use super::exit::{Exit, Failure};
use super::output::Streams;
use super::reading::SelectOptions;
use super::runtime::{block_on, within};
use crate::clock::RealClock;

const SUBSCRIBE_EXAMPLES: &str = "\
Examples:
  ocelli subscribe                               one Panoptes metrics group a line, live
  ocelli subscribe --format records --include gaps,cursors --from -15m
  ocelli subscribe --group interface --limit 10 > ten.ndjson
  ocelli subscribe --at quic://region:7700 --ca ca.pem --cert node.pem --key node-key.pem";

/// Arguments of `subscribe`.
#[derive(Debug, clap::Args)]
#[command(after_help = SUBSCRIBE_EXAMPLES)]
pub(crate) struct SubscribeArgs {
    #[command(flatten)]
    connect: ConnectOptions,
    #[command(flatten)]
    select: SelectOptions,
    /// Where to begin: now, latest (last values first), a time (RFC 3339, -15m), or a cursor.
    #[arg(
        long,
        default_value = "now",
        value_name = "PLACE",
        allow_hyphen_values = true
    )]
    from: String,
    /// Form of the lines: ndjson (Panoptes 0.2), records, sse or influx.
    #[arg(long, default_value = "ndjson", value_name = "FORM")]
    format: String,
    /// Further lines: gaps, events, cursors, joined by commas.
    #[arg(long, value_name = "KINDS")]
    include: Option<String>,
    /// durable (everything, behind if need be) or latest (conflated).
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// Take a cursor of another filter, or of streams that this node does not know, all the same.
    #[arg(long)]
    rebase: bool,
    /// End after this many lines.
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// End after this time.
    #[arg(long = "for", value_parser = parse_duration, value_name = "DURATION")]
    duration: Option<Duration>,
}

/// Runs `ocelli subscribe`.
pub(crate) fn subscribe(args: &SubscribeArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let target = args.connect.target()?;
    block_on(async {
        // A link and its buffers are large.
        let lines = Box::pin(pass_lines(args, target, streams));
        match args.duration {
            None => lines.await,
            Some(limit) => within(limit, lines).await.unwrap_or(Ok(Exit::Done)),
        }
    })
}

async fn pass_lines(
    args: &SubscribeArgs,
    target: Target,
    streams: &mut Streams,
) -> Result<Exit, Failure> {
    if target.is_link() {
        return pass_link_lines(args, &target, streams).await;
    }
    let client = Client::new(target)?;
    let mut query = args.select.query();
    query.push(("from", &args.from));
    query.push(("format", &args.format));
    query.extend(args.include.as_deref().map(|include| ("include", include)));
    query.extend(args.mode.as_deref().map(|mode| ("mode", mode)));
    query.extend(args.rebase.then_some(("rebase", "true")));
    pass_http_lines(&client, &query, args.limit, streams).await
}

async fn pass_http_lines(
    client: &Client,
    query: &[(&str, &str)],
    limit: Option<u64>,
    streams: &mut Streams,
) -> Result<Exit, Failure> {
    let mut response = client.open("/v1/subscribe", query).await?;
    let mut left = limit.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(chunk) = client.chunk(&mut response).await? else {
            streams.say(format!("{} ended the subscription", client.address()));
            return Ok(Exit::Done);
        };
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            if left > 0 {
                streams.print_bytes(part)?;
                left -= u64::from(part.ends_with(b"\n"));
            }
        }
        streams.flush()?;
    }
    Ok(Exit::Done)
}

// === over a link ===

async fn pass_link_lines(
    args: &SubscribeArgs,
    target: &Target,
    streams: &mut Streams,
) -> Result<Exit, Failure> {
    let question = question(args)?;
    let proofs = proofs(target)?;
    let host = target.url.host_str().unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    let port = target.url.port().ok_or_else(|| {
        let text = format!("{} names no port", target.url);
        Failure::new(Exit::Usage, text).hint("links are at the node's [listen] quic, often :7700")
    })?;
    let clock: Arc<dyn Clock> = Arc::new(RealClock);
    let begun = LinkLines::begin((host, port), &proofs, &question, &clock);
    let Some(begun) = within(target.wait, begun).await else {
        let text = format!("{} did not answer within {:?}", target.url, target.wait);
        return Err(Failure::new(Exit::TimedOut, text).hint("raise --wait"));
    };
    let mut lines = begun.map_err(|error| no_lines(target, &error))?;
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 {
        let line = lines.next_line().await;
        let Some(line) = line.map_err(|error| not_followed(target, &error))? else {
            streams.say(format!("{} ended the subscription", target.url));
            break;
        };
        streams.print_bytes(&line)?;
        streams.print_bytes(b"\n")?;
        streams.flush()?;
        left -= 1;
    }
    lines.end().await;
    Ok(Exit::Done)
}

/// What HTTP's parameters of these names mean.
fn question(args: &SubscribeArgs) -> Result<Question, Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::new(Exit::Usage, error);
    let choice =
        |name: &str, given: &str, all: &str| usage(&format!("{name} is {given:?}; choose {all}"));
    let named = LineFormat::ALL.iter();
    let mut named = named.filter(|(name, _)| *name == args.format);
    let Some((_, format)) = named.next().copied() else {
        return Err(choice(
            "format",
            &args.format,
            "ndjson, records, sse, influx",
        ));
    };
    let kinds: Vec<&str> = parts(args.include.as_slice()).collect();
    let (include, cursors) = format.included(&kinds).map_err(|error| usage(&error))?;
    let mode = match args.mode.as_deref() {
        None | Some("durable") => Mode::Durable,
        Some("latest") => Mode::Latest,
        Some(other) => return Err(choice("mode", other, "durable, latest")),
    };
    let from = StartFrom::of_text(&args.from, RealClock.wall());
    let filter = args.select.filter.as_deref().map(str::parse).transpose();
    Ok(Question {
        filter: filter.map_err(|error: ocelli_model::filter::FilterError| usage(&error))?,
        projection: Projection {
            groups: parts(&args.select.group).map(str::to_owned).collect(),
            metrics: parts(&args.select.metric).map(str::to_owned).collect(),
        },
        from: from.map_err(|error| usage(&error))?,
        mode,
        include,
        is_in_order: false,
        rebase: args.rebase,
        format,
        cursors,
    })
}

/// Names, which commas separate too.
fn parts(names: &[String]) -> impl Iterator<Item = &str> {
    let parts = names.iter().flat_map(|name| name.split(','));
    parts.map(str::trim).filter(|part| !part.is_empty())
}

/// The identity of the mesh that the options name. A token is not for links, so it stays here.
fn proofs(target: &Target) -> Result<Proofs, Failure> {
    let files = &target.files;
    let needed = |path: &Option<PathBuf>, option: &str| {
        path.clone().ok_or_else(|| {
            let text = format!("{} is a link of the mesh, which needs {option}", target.url);
            Failure::new(Exit::Usage, text)
                .hint("name an identity of the mesh: --ca FILE --cert FILE --key FILE")
        })
    };
    let read = |path: &Option<PathBuf>, option: &str| read_file(&needed(path, option)?, option);
    Ok(Proofs {
        token: None,
        ca_pem: Some(read(&files.ca, "--ca")?),
        certificate_pem: Some(read(&files.cert, "--cert")?),
        key_pem: Some(Secret::new(read(&files.key, "--key")?)),
    })
}

fn no_lines(target: &Target, error: &LinkLinesError) -> Failure {
    match error {
        LinkLinesError::Asked(FollowError::Lost { reason }) => {
            Failure::new(Exit::Unavailable, format!("{}: {reason}", target.url))
        }
        LinkLinesError::Asked(error) => not_followed(target, error),
        LinkLinesError::Dial(dial) if dial.is_refusal() => {
            let text = format!("no link to {}: {dial}", target.url);
            Failure::new(Exit::Failed, text)
                .hint("both ends need certificates of one mesh; the node's log has its reason")
        }
        LinkLinesError::Dial(dial) => {
            let text = format!("nobody answers at {}: {dial}", target.url);
            Failure::new(Exit::Unavailable, text)
        }
        LinkLinesError::Name { .. } => Failure::new(Exit::Unavailable, error),
        error => Failure::new(Exit::Failed, error),
    }
}

fn not_followed(target: &Target, error: &FollowError) -> Failure {
    let (exit, hint) = match error {
        FollowError::Refused {
            code: 400, hint, ..
        } => (Exit::Usage, hint.clone()),
        FollowError::Refused { hint, .. } => (Exit::Failed, hint.clone()),
        _ => (Exit::Failed, String::new()),
    };
    Failure::new(exit, format!("{}: {error}", target.url)).hint(hint)
}
