//! Named dimensions: a product of the wrong two matrices does not compile.
//!
//! Sizes are known at run time only, since the experiment file decides them; names are known to
//! the compiler. An architecture with more layers makes more of them with [`dim!`](crate::dim).

/// Declares dimensions for dfdx tensors, each a type of its own around a run-time size.
///
/// ```
/// framework::dim! {
///     /// Units of the first hidden layer.
///     Hidden
/// }
/// assert_eq!(dfdx::shapes::Dim::size(&Hidden(3)), 3);
/// ```
#[macro_export]
macro_rules! dim {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub usize);

        impl $crate::dfdx::shapes::Dim for $name {
            fn size(&self) -> usize {
                self.0
            }

            fn from_size(size: usize) -> Option<Self> {
                Some(Self(size))
            }
        }
    )+};
}

dim! {
    /// Samples of a batch.
    Batch,
    /// Numbers of a sample.
    Input,
    /// Coordinates of the code that the penalty sees.
    Latent,
    /// Numbers of a sample on the side that a convolution reads and its transpose writes, channel by channel,
    /// each row by row.
    Fine,
    /// Numbers of a sample on the side that a convolution writes and its transpose reads, in the same order.
    Coarse,
    /// Channels of the side that a convolution reads.
    FineChannel,
    /// Channels of the side that a convolution writes.
    CoarseChannel,
    /// Rows, or columns, of a convolution's kernel.
    KernelSide,
}
