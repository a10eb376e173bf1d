//! Table of contents of `ocelli-config`: typed configuration of a node.
//!
//! Does: read TOML with a place for every finding, validate it, park what is bad, open secrets
//! through a trait, tell two configurations apart, print its own reference. Does not: carry out
//! what a setting says.
//! In: texts. Out: [`Config`] and all that people need to mend them.

#![forbid(unsafe_code)]

mod config;
mod endpoint;
mod filter;
mod future;
mod kinds;
mod load;
mod merge;
mod number;
mod problem;
mod reading;
mod reference;
mod secret;
mod section;
pub mod sections;
mod show;
mod source;
mod tree;
mod value;

pub use config::Config;
pub use endpoint::EndpointText;
pub use filter::RowsFilter;
pub use load::{Invalid, LoadOptions, Loaded, Parked, load};
pub use number::{Count, Interval, Keep, Period, Port, Size, Timeout};
pub use problem::Problem;
pub use reference::{SectionReference, reference, reference_markdown};
pub use secret::{ProcessSecrets, SECRET_BYTES_MAX, SecretError, SecretSource, SecretText};
pub use section::Field;
pub use show::{ShownSection, show};
pub use source::{
    FILE_BYTES_MAX, FILES_MAX, Place, ReadError, Source, SourceId, SourceKind, Sources, Span,
    read_path,
};
pub use value::{Labels, Name, NameError};
