//! Table of contents of `ocelli-config`.
