//! Penalties: the ways of making a code sparse.

mod abs_top_k;
mod batch_top_k;
mod class_group_lasso;
mod gated;
mod group_lasso;
mod jump_relu;
mod k_sparse;
mod kl;
mod l1;
mod matryoshka;
mod none;
mod p_annealing;
mod sparse_group_lasso;
