//! Codes of test samples as points in a plane.

use analysis::Group;
use analysis::statistics::pca;
use framework::plugin::{Data, Split};

use super::file_name;
use super::models::ModelSample;
use crate::figures::axis::PlotAxis;
use crate::{Drawing, Figure, Plot, PlotPoint, Series};

/// Codes in a plane.
struct CodePlane {
    /// Place of each code.
    places: Vec<[f64; 2]>,
    /// Labels of the two axes.
    axes: [String; 2],
    /// Words that follow "codes of a model" in a caption.
    words: &'static str,
}

impl CodePlane {
    /// Returns the plane of two latents, or else that of the first two principal components; `None` if codes do not
    /// differ, or are not finite.
    fn of(codes: &[Vec<f32>]) -> Option<Self> {
        let plane = pca::plane(codes)?;
        let place = |code: &Vec<f32>| match code[..] {
            [one, other] => Some([f64::from(one), f64::from(other)]),
            _ => None,
        };
        if let Some(places) = codes.iter().map(place).collect() {
            let axes = [0, 1].map(|latent| format!("latent {latent}"));
            return Some(Self { places, axes, words: ", as they are: it has two latents" });
        }
        let axis = |nth: usize| {
            format!("principal component {} ({:.1} %)", nth + 1, 100.0 * plane.shares[nth])
        };
        let words = ", in the plane of their first two principal components, each with its share of the variance";
        Some(Self { places: plane.places, axes: [0, 1].map(axis), words })
    }
}

/// Draws codes as points: those of two latents as they are, others in the plane of their first two principal
/// components. Returns `None` if they do not differ.
pub fn scatter(group: &Group, of: &str, passed: &ModelSample, data: &dyn Data) -> Option<Figure> {
    let CodePlane { places, axes, words } = CodePlane::of(&passed.codes)?;
    let labels = data.labels(Split::Test);
    let label = |at: usize| labels.and_then(|labels| labels.get(passed.rows[at]).copied());
    let mut classes: Vec<Option<u32>> = (0..passed.rows.len()).map(label).collect();
    classes.sort_unstable();
    classes.dedup();
    let class_name = |class: Option<u32>| {
        let class = class.map(|class| class as usize);
        class.map_or(String::new(), |class| {
            data.class_names().get(class).cloned().unwrap_or(class.to_string())
        })
    };
    let series = classes.iter().map(|class| Series {
        name: class_name(*class),
        points: (0..passed.rows.len())
            .filter(|at| label(*at) == *class)
            .map(|at| PlotPoint {
                title: class_name(*class),
                ..PlotPoint::at(places[at][0], places[at][1])
            })
            .collect(),
        is_marked: true,
        has_line: false,
    });
    let colored = if labels.is_some() { ", coloured by label" } else { "" };
    let [x, y] = axes.map(PlotAxis::linear);
    Some(Figure {
        name: file_name(&["codes", &group.title()]),
        caption: format!("Codes of {} test samples by {of}{words}{colored}.", passed.rows.len()),
        drawing: Drawing::Plot(Plot { x, y, series: series.collect() }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a code of two latents were turned or moved, or if another one were not drawn.
    #[test]
    fn codes_of_two_latents_are_drawn_as_they_are() {
        let two = CodePlane::of(&[vec![1.0, -2.0], vec![3.0, 5.0], vec![0.0, 0.5]]).unwrap();
        assert_eq!(two.places, [[1.0, -2.0], [3.0, 5.0], [0.0, 0.5]]);
        assert_eq!(two.axes, ["latent 0", "latent 1"]);
        let three = CodePlane::of(&[vec![1.0, 0.0, 0.0], vec![3.0, 0.0, 0.0]]).unwrap();
        assert_eq!(three.axes[0], "principal component 1 (100.0 %)");
        assert_eq!(three.places, [[-1.0, 0.0], [1.0, 0.0]]);
        assert!(CodePlane::of(&[vec![1.0, 2.0], vec![1.0, 2.0]]).is_none());
        assert!(CodePlane::of(&[vec![f32::NAN, 2.0], vec![1.0, 2.0]]).is_none());
    }
}
