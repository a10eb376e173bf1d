//! Table of contents of `ocelli-config`: typed configuration of a node.
//!
//! Does: read TOML with a place for every finding, validate it, park what is bad, open secrets
//! through a trait, tell two configurations apart, print its own reference. Does not: carry out
//! what a setting says.
//! In: texts. Out: [`Config`] and all that people need to mend them.

#![forbid(unsafe_code)]

mod address;
mod config;
mod credentials;
mod difference;
mod effective;
mod endpoint;
mod filter;
mod future;
mod kinds;
mod last_good;
mod load;
mod merge;
mod number;
mod overrides;
mod problem;
mod reading;
mod reference;
mod secret;
mod section;
pub mod sections;
mod show;
mod source;
mod tags;
mod tree;
mod value;

pub use address::{MESH_PORT, MeshAddress, Moment};
pub use config::Config;
pub use credentials::{
    CredentialError, OpenedCredentials, SnmpCredential, SnmpVersion, open_credentials,
};
pub use difference::{Change, Difference, Item, difference};
pub use effective::{DeviceSettings, EffectiveValue, device_settings, effective};
pub use endpoint::EndpointText;
pub use filter::RowsFilter;
pub use last_good::{
    LAST_GOOD_FILE, StartChoice, choose, data_dir_of, read_last_good, write_last_good,
};
pub use load::{Invalid, LoadOptions, Loaded, Parked, load};
pub use number::{Count, Interval, Keep, Period, Port, Size, Timeout};
pub use overrides::{
    ENVIRONMENT_PREFIX, OverrideError, override_of_option, overrides_of_environment,
};
pub use problem::Problem;
pub use reference::{SectionReference, reference, reference_markdown};
pub use secret::{ProcessSecrets, SECRET_BYTES_MAX, SecretError, SecretSource, SecretText};
pub use section::Field;
pub use show::{ShownSection, show};
pub use source::{
    FILE_BYTES_MAX, FILES_MAX, Place, ReadError, Source, SourceId, SourceKind, Sources, Span,
    read_path,
};
pub use tags::Tags;
pub use value::{Labels, Name, NameError, quoted};
