//! Table of contents of `ocelli-node`.
