//! Table of contents of `ocelli-plugins`.
