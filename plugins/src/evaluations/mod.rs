//! Evaluations: what is measured on a model.
