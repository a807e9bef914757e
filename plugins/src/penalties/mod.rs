//! Penalties: the ways of making a code sparse.

mod group_lasso;
mod k_sparse;
mod kl;
mod l1;
mod none;
