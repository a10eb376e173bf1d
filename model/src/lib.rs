//! Table of contents of `ocelli-model`.
