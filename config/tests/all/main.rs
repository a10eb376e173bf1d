//! Tests of `ocelli-config` through its public face, with what they share.

use ocelli_config::{Invalid, LoadOptions, Loaded, Source, Sources, load};

mod last_good;
mod mesh;
mod mistakes;
mod mutated;
mod overrides;
mod parts;
mod secrets;
mod whole;

/// The example of the design, which uses every section.
const EXAMPLE: &str = include_str!("example.toml");

/// How the tests load unless strictness is what they are about.
const OPTIONS: LoadOptions<'static> = LoadOptions {
    hostname: "host1",
    is_strict: false,
};

/// Loads texts as files `/etc/ocelli/0.toml`, `1.toml`, ….
fn read_files(texts: &[&str]) -> Result<Loaded, Invalid> {
    load(sources_of(texts), OPTIONS)
}

/// The texts as files `/etc/ocelli/0.toml`, `1.toml`, ….
fn sources_of(texts: &[&str]) -> Sources {
    let mut sources = Sources::new();
    for (number, text) in texts.iter().enumerate() {
        sources.push(Source::file(format!("/etc/ocelli/{number}.toml"), *text));
    }
    sources
}
