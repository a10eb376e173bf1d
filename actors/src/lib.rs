//! Table of contents of `ocelli-actors`.
