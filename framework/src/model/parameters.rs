//! Named parameters: how they are declared and initialised, and the flat values that optimizers,
//! files and gradient checks work on.

use rand::RngExt;

use super::Real;
use crate::random::Streams;

/// How a parameter starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All the same value.
    Constant(f64),
    /// Uniform in ±√(6 / (fan in + fan out)): ±√(6 / (rows + columns)) for a matrix, and ±√(6 / ((out + in) ·
    /// height · width)) for kernels [out, in, height, width] or [in, out, height, width]. Source: Glorot and
    /// Bengio 2010, eq. 16.
    GlorotUniform,
    /// The transpose of another matrix, declared before.
    TransposeOf(&'static str),
}

/// What holds for a parameter after every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// Each row has Euclidean norm 1.
    UnitRows,
    /// Each column has Euclidean norm 1.
    UnitColumns,
    /// No number is below 0.
    NonNegative,
}

/// Which half of an autoencoder a parameter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What makes codes.
    Encoder,
    /// What makes reconstructions.
    Decoder,
    /// Both: tied weights.
    Both,
}

impl Side {
    /// Whether it has a share in `other`.
    pub fn is_of(self, other: Self) -> bool {
        self == other || self == Self::Both || other == Self::Both
    }
}

/// A parameter as a plugin asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// Its name, also in the stored model.
    pub name: String,
    /// Its sizes, row-major.
    pub shape: Vec<usize>,
    /// How it starts.
    pub init: Init,
    /// What holds after every step.
    pub constraint: Option<Constraint>,
    /// Which of its dimensions counts latents, if one does.
    pub latent_axis: Option<usize>,
    /// Which half of the autoencoder it belongs to; `None` for parameters of penalties and auxiliaries.
    pub side: Option<Side>,
}

impl Declaration {
    /// A parameter of the given sizes.
    pub fn new(name: impl Into<String>, shape: impl Into<Vec<usize>>, init: Init) -> Self {
        let (constraint, latent_axis, side) = (None, None, None);
        Self { name: name.into(), shape: shape.into(), init, constraint, latent_axis, side }
    }

    /// The same with a constraint.
    pub fn constrained(self, constraint: Option<Constraint>) -> Self {
        Self { constraint, ..self }
    }

    /// The same, with one slice for each latent along this dimension.
    pub fn by_latent(self, axis: usize) -> Self {
        Self { latent_axis: Some(axis), ..self }
    }

    /// The same, as part of one half of the autoencoder.
    pub fn of(self, side: Side) -> Self {
        Self { side: Some(side), ..self }
    }

    /// Whether it is a weight matrix or a kernel of this half of the autoencoder, not a bias.
    pub fn is_weight_of(&self, side: Side) -> bool {
        self.shape.len() > 1 && self.side.is_some_and(|own| own.is_of(side))
    }

    /// The flat indices of what belongs to a latent; none if nothing does.
    pub fn of_latent(&self, latent: usize) -> impl Iterator<Item = usize> + use<> {
        let axis = self.latent_axis;
        let count = axis.map_or(0, |axis| self.shape[axis]);
        // How far apart two latents are, and two slices of one.
        let inner: usize = axis.map_or(1, |axis| self.shape[axis + 1..].iter().product());
        let outer = if axis.is_some() { self.size() / (count * inner).max(1) } else { 0 };
        (0..outer).flat_map(move |block| {
            let first = (block * count + latent) * inner;
            first..first + inner
        })
    }

    /// How many numbers it holds.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A parameter and its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter<E> {
    /// Name, shape, initialisation and constraint.
    pub declaration: Declaration,
    /// Row-major.
    pub values: Vec<E>,
}

/// All parameters of a run, in the order of their declaration.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters<E> {
    /// The parameters; names are unique.
    pub entries: Vec<Parameter<E>>,
}

impl<E: Real> Parameters<E> {
    /// The parameters as a run starts: each has a random stream of its own, so that declaring one
    /// more moves no other.
    ///
    /// # Panics
    /// If two have one name, or a transpose is declared before what it is the transpose of.
    pub fn initialize(declarations: Vec<Declaration>, streams: &Streams) -> Self {
        let mut parameters = Self { entries: Vec::with_capacity(declarations.len()) };
        for declaration in declarations {
            let name = &declaration.name;
            assert!(parameters.get(name).is_none(), "parameter `{name}` is declared twice");
            let values = match &declaration.init {
                Init::Zeros => vec![E::of(0.0); declaration.size()],
                Init::Constant(value) => vec![E::of(*value); declaration.size()],
                Init::GlorotUniform => glorot_uniform(&declaration, streams),
                Init::TransposeOf(other) => {
                    let other = parameters.get(other).unwrap_or_else(|| {
                        panic!("parameter `{name}` is declared before `{other}`, its transpose")
                    });
                    transpose(&other.values, declaration.shape[1])
                }
            };
            parameters.entries.push(Parameter { declaration, values });
        }
        parameters.enforce_constraints();
        parameters
    }

    /// The parameter of a name.
    pub fn get(&self, name: &str) -> Option<&Parameter<E>> {
        self.entries.iter().find(|entry| entry.declaration.name == name)
    }

    /// The slices of these latents, in this order, of each parameter that has one for every latent.
    pub fn of_latents(&self, latents: &[usize]) -> Self {
        let slices = |entry: &Parameter<E>| {
            let axis = entry.declaration.latent_axis?;
            let mut declaration = entry.declaration.clone();
            declaration.shape[axis] = latents.len();
            let mut values = vec![E::of(0.0); declaration.size()];
            for (at, latent) in latents.iter().enumerate() {
                let from = entry.declaration.of_latent(*latent);
                declaration.of_latent(at).zip(from).for_each(|(to, from)| {
                    values[to] = entry.values[from];
                });
            }
            Some(Parameter { declaration, values })
        };
        Self { entries: self.entries.iter().filter_map(slices).collect() }
    }

    /// Writes slices as [`of_latents`](Self::of_latents) returns them.
    ///
    /// # Panics
    /// If they are of other parameters or of another number of latents.
    pub fn set_latents(&mut self, latents: &[usize], slices: &Self) {
        let sliced =
            self.entries.iter_mut().filter(|entry| entry.declaration.latent_axis.is_some());
        let mut slices = slices.entries.iter();
        for entry in sliced {
            let slice = slices.next().filter(|s| s.declaration.name == entry.declaration.name);
            let slice = slice.expect("slices are of every parameter that latents have a slice of");
            for (at, latent) in latents.iter().enumerate() {
                let to = entry.declaration.of_latent(*latent);
                to.zip(slice.declaration.of_latent(at)).for_each(|(to, from)| {
                    entry.values[to] = slice.values[from];
                });
            }
        }
    }

    /// How many numbers there are in all.
    pub fn size(&self) -> usize {
        self.entries.iter().map(|entry| entry.values.len()).sum()
    }

    /// The same parameters in another dtype.
    pub fn cast<F: Real>(&self) -> Parameters<F> {
        let cast = |entry: &Parameter<E>| Parameter {
            declaration: entry.declaration.clone(),
            values: entry.values.iter().map(|value| F::of(value.f64())).collect(),
        };
        Parameters { entries: self.entries.iter().map(cast).collect() }
    }

    /// Makes every constraint hold, exactly to rounding. A zero row stays zero.
    pub fn enforce_constraints(&mut self) {
        for entry in &mut self.entries {
            let Some(constraint) = entry.declaration.constraint else { continue };
            if constraint == Constraint::NonNegative {
                let below = entry.values.iter_mut().filter(|value| value.f64() < 0.0);
                below.for_each(|value| *value = E::of(0.0));
                continue;
            }
            for_each_unit(&entry.declaration.shape, constraint, |indices| {
                let square: f64 = indices.clone().map(|at| entry.values[at].f64().powi(2)).sum();
                if square > 0.0 {
                    let scale = 1.0 / square.sqrt();
                    indices.for_each(|at| entry.values[at] = E::of(entry.values[at].f64() * scale));
                }
            });
        }
    }

    /// Takes the part of each gradient away that a constraint to norm 1 would undo: for unit rows, the
    /// part along the row, G ← G − (G·d) d.
    pub fn project_gradients(&self, gradients: &mut [Vec<E>]) {
        for (entry, gradient) in self.entries.iter().zip(gradients) {
            let constraint = entry.declaration.constraint;
            let Some(constraint) = constraint.filter(|of| *of != Constraint::NonNegative) else {
                continue;
            };
            for_each_unit(&entry.declaration.shape, constraint, |indices| {
                let along: f64 =
                    indices.clone().map(|at| entry.values[at].f64() * gradient[at].f64()).sum();
                indices.for_each(|at| {
                    gradient[at] = E::of(gradient[at].f64() - along * entry.values[at].f64());
                });
            });
        }
    }
}

/// Calls `f` with the flat indices of each row or column that has unit norm; there are none where a constraint is of
/// single numbers.
fn for_each_unit(
    shape: &[usize],
    constraint: Constraint,
    mut f: impl FnMut(std::iter::StepBy<std::ops::Range<usize>>),
) {
    let [rows, columns] = *shape else { panic!("unit norms are for matrices, not {shape:?}") };
    match constraint {
        Constraint::UnitRows => {
            (0..rows).for_each(|row| f((row * columns..(row + 1) * columns).step_by(1)));
        }
        Constraint::UnitColumns => {
            (0..columns).for_each(|column| f((column..rows * columns).step_by(columns)));
        }
        Constraint::NonNegative => {}
    }
}

fn glorot_uniform<E: Real>(declaration: &Declaration, streams: &Streams) -> Vec<E> {
    let fans = match *declaration.shape.as_slice() {
        [rows, columns] => rows + columns,
        [out, inner, height, width] => (out + inner) * height * width,
        _ => panic!("Glorot's rule is for matrices and kernels, not {:?}", declaration.shape),
    };
    let limit = (6.0 / fans as f64).sqrt();
    let mut random = streams.stream(&format!("initialisation/{}", declaration.name));
    let number = |_| E::of(limit * (2.0 * random.random::<f64>() - 1.0));
    (0..declaration.size()).map(number).collect()
}

/// The transpose of a row-major matrix; `columns` is the number of columns of the result.
fn transpose<E: Copy>(values: &[E], columns: usize) -> Vec<E> {
    let rows = values.len() / columns.max(1);
    (0..values.len()).map(|at| values[(at % columns) * rows + at / columns]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a number below 0 stayed, one above 0 moved, or a gradient lost a part to the constraint.
    #[test]
    fn numbers_below_zero_become_zero_and_gradients_stay() {
        let declaration = Declaration::new("theta", [3], Init::Zeros);
        let declaration = declaration.constrained(Some(Constraint::NonNegative));
        let mut parameters = Parameters::<f64>::initialize(vec![declaration], &Streams::new(0));
        parameters.entries[0].values = vec![-0.5, 0.0, 2.0];
        parameters.enforce_constraints();
        assert_eq!(parameters.entries[0].values, [0.0, 0.0, 2.0]);
        let mut gradients = vec![vec![1.0, -2.0, 3.0]];
        parameters.project_gradients(&mut gradients);
        assert_eq!(gradients, [[1.0, -2.0, 3.0]]);
    }

    fn declarations() -> Vec<Declaration> {
        vec![
            Declaration::new("w_enc", [3, 4], Init::GlorotUniform),
            Declaration::new("b_enc", [4], Init::Zeros),
            Declaration::new("w_dec", [4, 3], Init::TransposeOf("w_enc")),
        ]
    }

    /// Wrong if a latent's numbers were others than its slice along the axis, by hand.
    #[test]
    fn a_latent_has_its_slice_of_a_parameter() {
        let of = |shape: &[usize], axis, latent| -> Vec<usize> {
            Declaration::new("w", shape, Init::Zeros).by_latent(axis).of_latent(latent).collect()
        };
        assert_eq!(of(&[4], 0, 2), [2]);
        assert_eq!(of(&[3, 4], 1, 2), [2, 6, 10], "a column");
        assert_eq!(of(&[4, 3], 0, 2), [6, 7, 8], "a row");
        assert_eq!(of(&[2, 2, 3], 1, 1), [3, 4, 5, 9, 10, 11]);
        let shared = Declaration::new("b_dec", [3], Init::Zeros);
        assert_eq!(shared.of_latent(0).count(), 0, "no latent owns it");
    }

    #[test]
    fn the_decoder_starts_as_the_encoders_transpose_within_glorots_limit() {
        let parameters = Parameters::<f64>::initialize(declarations(), &Streams::new(0));
        let (w_enc, w_dec) = (&parameters.entries[0].values, &parameters.entries[2].values);
        for (row, column) in (0..3).flat_map(|row| (0..4).map(move |column| (row, column))) {
            assert_eq!(w_enc[row * 4 + column], w_dec[column * 3 + row]);
        }
        let limit = (6.0_f64 / 7.0).sqrt();
        assert!(w_enc.iter().all(|value| value.abs() <= limit));
        assert!(w_enc.iter().any(|value| value.abs() > limit / 2.0));
    }

    /// Wrong if kernels started as wide as a matrix of as many channels: their layer would give too much.
    #[test]
    fn kernels_start_within_the_limit_of_all_that_they_see() {
        let kernels = Declaration::new("enc.conv.1.w", [8, 4, 5, 5], Init::GlorotUniform);
        let parameters = Parameters::<f64>::initialize(vec![kernels], &Streams::new(0));
        let values = &parameters.entries[0].values;
        let limit = (6.0_f64 / (12.0 * 25.0)).sqrt();
        assert_eq!(values.len(), 800);
        assert!(values.iter().all(|value| value.abs() <= limit));
        assert!(values.iter().any(|value| value.abs() > 0.9 * limit));
    }

    #[test]
    fn a_parameter_more_moves_no_other() {
        let mut more = declarations();
        more.insert(0, Declaration::new("penalty.threshold", [4], Init::Constant(0.5)));
        let (few, more) = (
            Parameters::<f32>::initialize(declarations(), &Streams::new(7)),
            Parameters::<f32>::initialize(more, &Streams::new(7)),
        );
        assert_eq!(few.get("w_enc"), more.get("w_enc"));
    }

    #[test]
    fn unit_rows_and_columns_have_norm_one_and_gradients_without_a_part_along_them() {
        for (constraint, stride, count) in
            [(Constraint::UnitRows, 1, 2), (Constraint::UnitColumns, 3, 3)]
        {
            let declaration = Declaration::new("w", [2, 3], Init::GlorotUniform);
            let declaration = declaration.constrained(Some(constraint));
            let parameters = Parameters::<f64>::initialize(vec![declaration], &Streams::new(1));
            let values = &parameters.entries[0].values;
            let mut gradients = vec![vec![0.3, -0.2, 0.9, 0.4, 0.1, -0.7]];
            parameters.project_gradients(&mut gradients);
            for unit in 0..count {
                let (start, length) = if stride == 1 { (unit * 3, 3) } else { (unit, 2) };
                let at = |i: usize| start + i * stride;
                let norm: f64 = (0..length).map(|i| values[at(i)].powi(2)).sum();
                let along: f64 = (0..length).map(|i| values[at(i)] * gradients[0][at(i)]).sum();
                assert!((norm - 1.0).abs() < 1e-12 && along.abs() < 1e-12, "{constraint:?}");
            }
        }
    }
}
