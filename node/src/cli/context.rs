//! `ocelli context list|show|use|set|remove`: names for nodes that are asked often.
//!
//! Does: change the file of `contexts`, check what is put into it. Does not: dial anything, read
//! tokens or keys. In: names, options. Out: items on stdout.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::client::parse_url;
use super::contexts::{Context, Contexts, check_name, path_of_user};
use super::exit::{Exit, Failure};
use super::output::{Column, Listing, OutputOptions, Streams, column};

const LIST_EXAMPLES: &str = "\
Examples:
  ocelli context list                            `*` marks the one in use
  ocelli context list -o json";

const SET_EXAMPLES: &str = "\
Examples:
  ocelli context set lab --at http://127.0.0.1:7781
  ocelli context set world --at https://world.example:7780 --ca ca.pem --token-file token
  ocelli context set region --at https://region.example:7780 --ca ca/root.pem \\
    --cert anna.pem --key anna-key.pem";

const USE_EXAMPLES: &str = "\
Examples:
  ocelli context use world                       every later command asks it
  ocelli context use                             none: the node on this machine again
  ocelli values --context lab                    another one for once";

const NAME_EXAMPLES: &str = "\
Examples:
  ocelli context show lab
  ocelli context remove lab";

const COLUMNS: &[Column] = &[
    column("USE", "current"),
    column("NAME", "name"),
    column("AT", "at"),
    column("TOKEN FILE", "token_file"),
    column("CA", "ca"),
    column("CERT", "cert"),
];

/// `ocelli context …`
#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// List contexts.
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Show one: its address, and the files that go with it.
    #[command(after_help = NAME_EXAMPLES)]
    Show(ShowArgs),
    /// Ask this one from now on; without a name, none.
    #[command(after_help = USE_EXAMPLES)]
    Use(UseArgs),
    /// Make a context, or change what is named of it.
    #[command(after_help = SET_EXAMPLES)]
    Set(SetArgs),
    /// Forget one. Its files stay.
    #[command(after_help = NAME_EXAMPLES)]
    Remove(NameArgs),
}

/// Arguments of `context list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    output: OutputOptions,
}

/// Arguments of `context show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// Which one; without a name, the one in use.
    name: Option<String>,
    #[command(flatten)]
    output: OutputOptions,
}

/// Arguments of `context use`.
#[derive(Debug, clap::Args)]
pub(crate) struct UseArgs {
    /// Which one.
    name: Option<String>,
}

/// Arguments of `context remove`.
#[derive(Debug, clap::Args)]
pub(crate) struct NameArgs {
    /// Which one.
    name: String,
}

/// Arguments of `context set`.
#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    /// Its name.
    name: String,
    /// The node's address.
    #[arg(long, value_name = "URL")]
    at: Option<String>,
    /// File with the token that the node wants; the token itself is not kept here.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Authorities that the node's certificate must come from, PEM.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Certificate to show to the node, PEM.
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// Private key of --cert, PEM.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Runs `ocelli context …`.
pub(crate) fn run(command: ContextCommand, streams: &mut Streams) -> Result<Exit, Failure> {
    let path = path_of_user().ok_or_else(|| {
        let text = "contexts are kept in the home directory, and HOME is not set";
        Failure::new(Exit::Failed, text).hint("set HOME or XDG_CONFIG_HOME")
    })?;
    let mut contexts = Contexts::read(&path)?;
    match command {
        ContextCommand::List(args) => return list(&contexts, args.output, streams),
        ContextCommand::Show(args) => return show(&contexts, &args, streams),
        ContextCommand::Use(args) => {
            if let Some(name) = &args.name {
                contexts.get(name)?;
            }
            contexts.current = args.name;
        }
        ContextCommand::Set(args) => set(&mut contexts, args)?,
        ContextCommand::Remove(args) => {
            contexts.get(&args.name)?;
            contexts.contexts.remove(&args.name);
            contexts.current = contexts.current.filter(|current| *current != args.name);
        }
    }
    contexts.write(&path)?;
    Ok(Exit::Done)
}

fn set(contexts: &mut Contexts, args: SetArgs) -> Result<(), Failure> {
    check_name(&args.name)?;
    if let Some(at) = &args.at {
        parse_url(at)?;
    }
    let given = Context {
        at: args.at,
        token_file: args.token_file.map(absolute),
        ca: args.ca.map(absolute),
        cert: args.cert.map(absolute),
        key: args.key.map(absolute),
    };
    let before = contexts.contexts.remove(&args.name).unwrap_or_default();
    let context = given.or(before);
    if context.at.is_none() {
        let text = format!("the context {:?} has no address", args.name);
        return Err(Failure::new(Exit::Usage, text).hint("give it one: --at URL"));
    }
    contexts.contexts.insert(args.name, context);
    Ok(())
}

/// A context is used from any directory.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(Path::new(&path)).unwrap_or(path)
}

fn item((name, context): (&String, &Context), current: Option<&str>) -> Value {
    let mut item = Map::new();
    item.insert("name".into(), json!(name));
    let is_current = current == Some(name);
    item.insert("current".into(), json!(if is_current { "*" } else { "" }));
    for (field, value) in context.fields() {
        item.insert(field.into(), json!(value));
    }
    Value::Object(item)
}

fn list(
    contexts: &Contexts,
    output: OutputOptions,
    streams: &mut Streams,
) -> Result<Exit, Failure> {
    let all = contexts.contexts.iter();
    let items: Vec<Value> = all
        .map(|context| item(context, contexts.current.as_deref()))
        .collect();
    let listing = Listing {
        columns: COLUMNS,
        items: &items,
        document: None,
    };
    streams.list(output.format, &listing)?;
    Ok(Exit::Done)
}

fn show(contexts: &Contexts, args: &ShowArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let name = args.name.as_ref().or(contexts.current.as_ref());
    let name = name.ok_or_else(|| {
        Failure::new(Exit::NotFound, "no context is in use").hint("name one, or use one")
    })?;
    let context = contexts.get(name)?;
    let document = item((name, context), contexts.current.as_deref());
    let columns = &[column("KEY", "key"), column("VALUE", "value")];
    let rows = context.fields().into_iter();
    let rows: Vec<Value> = rows
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect();
    let listing = Listing {
        columns,
        items: &rows,
        document: Some(&document),
    };
    streams.list(args.output.format, &listing)?;
    Ok(Exit::Done)
}
