//! Every tensor of a model, level by level: its parameters, or their moments.

use super::kernels::Matrix;
use super::layers::{Layers, LevelForm, Taken};
use crate::model::{Constraint, Declaration, Parameter, Parameters};
use crate::plugin::{LayeredForm, WeightTerm};

/// Every tensor of a model: its parameters, or their moments.
#[derive(Clone, Default)]
pub struct Tensors {
    /// Those of the levels around the one that makes the code, from samples inward.
    pub outer: Vec<Layers>,
    /// Those of the level that makes the code.
    pub core: Layers,
    /// Those of the map to the log-variance of the code, if it is variational.
    pub log_variance: Option<Layers>,
    /// Those of the penalty.
    pub own: Vec<OwnTensor>,
}

/// A parameter of the penalty: a number for each latent.
#[derive(Clone)]
pub struct OwnTensor {
    /// Its name among all parameters.
    pub name: String,
    /// [1, latents]
    pub values: Matrix,
    /// Whether no number is below 0.
    pub non_negative: bool,
}

impl OwnTensor {
    /// Takes a parameter over.
    ///
    /// # Panics
    /// If it is not one number a latent: such a penalty is not covered.
    fn take(Parameter { declaration, values }: Parameter<f32>, latents: usize) -> Self {
        let Declaration { name, constraint, .. } = declaration;
        assert_eq!(values.len(), latents, "`{name}` is not one number a latent");
        let non_negative = constraint == Some(Constraint::NonNegative);
        Self { name, values: Matrix::from_rows(&values, latents), non_negative }
    }

    /// Makes its constraint hold.
    pub fn enforce(&mut self) {
        if self.non_negative {
            let below = self.values.as_mut_slice().iter_mut().filter(|value| **value < 0.0);
            below.for_each(|value| *value = 0.0);
        }
    }

    /// The same of other numbers.
    fn with(&self, values: Matrix) -> Self {
        Self { name: self.name.clone(), values, ..*self }
    }
}

impl Tensors {
    /// Takes the parameters over, freeing each as it is copied.
    ///
    /// # Panics
    /// If they are not those of the form, or it has no levels: an error of the architecture's plugin.
    pub fn take(form: &LayeredForm, parameters: Parameters<f32>) -> (Self, Vec<Declaration>) {
        let declarations: Vec<_> =
            parameters.entries.iter().map(|entry| entry.declaration.clone()).collect();
        let mut all = Taken(parameters.entries);
        let mut outer: Vec<_> =
            form.levels.iter().map(|level| Layers::take(level, &mut all)).collect();
        let core = outer.pop().expect("a layered form has a level that makes the code");
        let head = form.noise.as_ref();
        let log_variance = head.map(|noise| Layers::take_map(&noise.log_variance, &mut all));
        let mut own = all.0;
        let place = |name: &str| declarations.iter().position(|other| other.name == name);
        own.sort_by_key(|entry| place(&entry.declaration.name));
        let own = own.into_iter().map(|entry| OwnTensor::take(entry, core.latents())).collect();
        (Self { outer, core, log_variance, own }, declarations)
    }

    /// The parameters in the order and layout of their declarations.
    pub fn to_parameters(
        &self,
        form: &LayeredForm,
        declarations: &[Declaration],
    ) -> Parameters<f32> {
        let values = |name: &str| {
            let levels = self.outer.iter().chain([&self.core]).zip(&form.levels);
            let mut found = levels.filter_map(|(layers, level)| layers.values(level, name));
            let of_head = || {
                let (head, noise) = self.log_variance.as_ref().zip(form.noise.as_ref())?;
                head.values_of_map(&noise.log_variance, name)
            };
            let of_own = || {
                let own = self.own.iter().find(|own| own.name == name)?;
                Some(own.values.to_rows())
            };
            let found = found.next().or_else(of_head).or_else(of_own);
            found.expect("every parameter was taken from one of the tensors")
        };
        let parameter = |declaration: &Declaration| Parameter {
            values: values(&declaration.name),
            declaration: declaration.clone(),
        };
        Parameters { entries: declarations.iter().map(parameter).collect() }
    }

    /// The parameters of these latents alone, in the layout of their declarations.
    pub fn of_latents(
        &self,
        form: &LayeredForm,
        declarations: &[Declaration],
        latents: &[usize],
    ) -> Parameters<f32> {
        let slices = |values: &Matrix| {
            let of_latents = latents.iter().map(|latent| values.row(0)[*latent]);
            Matrix::from_rows(&of_latents.collect::<Vec<_>>(), latents.len())
        };
        let few = Self {
            outer: self.outer.iter().map(|_| Layers::default()).collect(),
            core: self.core.of_latents(latents),
            log_variance: self.log_variance.as_ref().map(|head| head.of_latents(latents)),
            own: self.own.iter().map(|own| own.with(slices(&own.values))).collect(),
        };
        let of_latents = declarations.iter().filter_map(|declaration| {
            let mut declaration = declaration.clone();
            declaration.shape[declaration.latent_axis?] = latents.len();
            Some(declaration)
        });
        few.to_parameters(form, &of_latents.collect::<Vec<_>>())
    }

    /// Writes the parameters of these latents; rows that the form keeps at norm 1 are scaled to it.
    pub fn set_latents(
        &mut self,
        form: &LayeredForm,
        latents: &[usize],
        parameters: &Parameters<f32>,
    ) {
        let Some(level) = form.levels.last() else { return };
        let of_level = LevelForm::of(form, level);
        for parameter in &parameters.entries {
            self.core.set_latents(level, &of_level, latents, parameter);
            if let (Some(head), Some(noise)) = (&mut self.log_variance, &form.noise) {
                head.set_latents_of_map(&noise.log_variance, latents, parameter);
            }
            let name = &parameter.declaration.name;
            for own in self.own.iter_mut().filter(|own| own.name == *name) {
                let slices = latents.iter().zip(&parameter.values);
                slices.for_each(|(latent, value)| own.values.row_mut(0)[*latent] = *value);
                own.enforce();
            }
        }
    }

    /// Sets the numbers of these latents to 0.
    pub fn clear_latents(&mut self, latents: &[usize]) {
        self.core.clear_latents(latents);
        self.log_variance.iter_mut().for_each(|head| head.clear_latents(latents));
        for own in &mut self.own {
            latents.iter().for_each(|latent| own.values.row_mut(0)[*latent] = 0.0);
        }
    }

    /// The value of each term of the weights.
    pub fn values_of(&self, terms: &[(f32, &dyn WeightTerm)]) -> Vec<f64> {
        let mut sums = vec![0.0; terms.len()];
        for layers in self.all() {
            let found = layers.values_of(terms);
            sums.iter_mut().zip(found).for_each(|(sum, value)| *sum += value);
        }
        sums
    }

    /// Zeros of the same sizes.
    pub fn zeros_like(&self) -> Self {
        Self {
            outer: self.outer.iter().map(Layers::zeros_like).collect(),
            core: self.core.zeros_like(),
            log_variance: self.log_variance.as_ref().map(Layers::zeros_like),
            own: self
                .own
                .iter()
                .map(|own| own.with(Matrix::zeros(1, own.values.columns())))
                .collect(),
        }
    }

    /// All numbers by name, padding included.
    pub fn arrays(&mut self) -> impl Iterator<Item = (String, &mut [f32])> {
        let outer = self.outer.iter_mut().enumerate();
        let outer = outer.map(|(at, layers)| (format!("outer.{at}."), layers));
        let head = self.log_variance.iter_mut().map(|head| ("log_variance.".to_owned(), head));
        let all = [(String::new(), &mut self.core)].into_iter().chain(outer).chain(head);
        let own = self.own.iter_mut().map(|own| (own.name.clone(), own.values.as_mut_slice()));
        all.flat_map(|(of, layers)| {
            layers.arrays().map(move |(name, values)| (format!("{of}{name}"), values))
        })
        .chain(own)
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        let is_finite =
            |own: &OwnTensor| own.values.as_slice().iter().all(|value| value.is_finite());
        self.all().all(Layers::is_finite) && self.own.iter().all(is_finite)
    }

    fn all(&self) -> impl Iterator<Item = &Layers> {
        self.outer.iter().chain([&self.core]).chain(&self.log_variance)
    }
}
