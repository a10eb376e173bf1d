//! Whole meshes of the federation's pure cores over simulated disks and lines, from a seed.
//!
//! Does: sites, regions that are peers of each other, globals; crash, power loss, lost disk, disk
//! from an old copy, retention, cut lines, one-way lines, loss, delay, thin lines; then heals
//! everything and checks. Does not: encode blocks, open sockets or files.
//! In: a seed and, to see that the checks work, a [`Mutant`]. Out: [`Outcome`], or the first
//! violation as text. The same seed gives the same run, step by step.

mod checks;
mod cores;
mod disk;
mod line;
mod node;
mod plan;
mod random;
mod world;

pub use disk::Mutant;
pub use world::{Outcome, simulate};
