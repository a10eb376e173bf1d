//! Table of contents of `ocelli-bus`.
