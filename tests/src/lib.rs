//! Table of contents of `ocelli-tests`.
