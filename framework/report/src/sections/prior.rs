//! The prior of variational codes: how far each latent is from it, and what that buys in reconstruction.

use analysis::statistics::interval::Interval;
use analysis::words;
use analysis::{Group, Setting};
use tables::Table;

use super::{ExperimentView, file_name, interval, label};
use crate::figures::axis::PlotAxis;
use crate::subject::{name, numbers, shown};
use crate::{Block, Drawing, Figure, PageTable, Plot, PlotPoint, Series};

/// Column of the runs, and of their latents, with the divergence from the prior in nats.
const KL: (&str, &str) = ("test_kl_prior", "kl_prior");
/// Share of latents that have collapsed to the prior.
const COLLAPSED: &str = "test_collapsed_fraction";
/// Terms of the loss.
const RECONSTRUCTION: &str = "train_loss_reconstruction";
const PRIOR: &str = "train_loss_prior";

/// A latent below so many nats has collapsed to the prior: it says nothing.
const COLLAPSED_BELOW: f64 = 0.01;
/// Place of latents that are closer to the prior than this: on a logarithmic axis they would squeeze all others.
const LEAST: f64 = 1e-4;

/// Returns the figures and the table of variational codes.
pub fn blocks(subject: &ExperimentView<'_>) -> Vec<Block> {
    let mut figures = Vec::new();
    let mut all: Vec<(String, Vec<PriorOfSetting>)> = Vec::new();
    for (_, group) in subject.methods() {
        let curves = shown(group).into_iter().map(|setting| {
            let tables =
                setting.rows.iter().filter(|row| subject.runs.number(**row, KL.0).is_some());
            let tables = tables.filter_map(|row| subject.table(*row, "latents.parquet"));
            (name(group, setting), by_rank(&tables.collect::<Vec<_>>()))
        });
        figures.extend(latents(&group.title(), curves.collect()));
        let found = group.settings.iter();
        let found = found.filter_map(|setting| PriorOfSetting::of(subject, group, setting));
        all.push((group.title(), found.collect()));
    }
    all.retain(|(_, settings)| !settings.is_empty());
    if all.is_empty() {
        return Vec::new();
    }
    let (x, y) = (label(subject, KL.0), label(subject, RECONSTRUCTION));
    figures.push(trade(&all, x, y));
    vec![Block::Figures(figures), Block::PageTable(table(&all))]
}

/// What a setting comes to, over its seeds.
struct PriorOfSetting {
    name: String,
    /// Divergence from the prior of a test sample, in nats.
    kl: Interval,
    /// Share of latents that have collapsed.
    collapsed: Option<Interval>,
    /// The reconstruction term of the loss.
    reconstruction: Interval,
    /// −(reconstruction + weight · divergence), the loss's terms.
    elbo: Interval,
}

impl PriorOfSetting {
    /// Reads a setting; `None` if it has no prior.
    fn of(subject: &ExperimentView<'_>, group: &Group, setting: &Setting) -> Option<Self> {
        let number = |row: usize, column: &str| subject.runs.number(row, column);
        let over = |of: &dyn Fn(usize) -> Option<f64>| {
            Interval::of(&setting.rows.iter().filter_map(|row| of(*row)).collect::<Vec<_>>())
        };
        let elbo = |row| Some(-(number(row, RECONSTRUCTION)? + number(row, PRIOR)?));
        Some(Self {
            name: name(group, setting),
            kl: over(&|row| number(row, KL.0))?,
            collapsed: over(&|row| number(row, COLLAPSED)),
            reconstruction: over(&|row| number(row, RECONSTRUCTION))?,
            elbo: over(&elbo)?,
        })
    }

    /// Returns what the page says of its mark.
    fn title(&self) -> String {
        format!(
            "{}: KL {}, reconstruction {}, ELBO {}",
            self.name,
            interval(&self.kl),
            interval(&self.reconstruction),
            interval(&self.elbo)
        )
    }
}

/// Returns the divergences of the latents of some seeds, greatest first: at each rank the mean over the seeds.
fn by_rank(tables: &[Table]) -> Vec<f64> {
    let sorted = |table: &Table| {
        let mut all: Vec<f64> = numbers(table, KL.1).into_iter().flatten().collect();
        all.sort_by(|a, b| b.total_cmp(a));
        all
    };
    let all: Vec<Vec<f64>> = tables.iter().map(sorted).filter(|all| !all.is_empty()).collect();
    let count = all.iter().map(Vec::len).min().unwrap_or(0);
    let mean = |rank: usize| all.iter().map(|one| one[rank]).sum::<f64>() / all.len() as f64;
    (0..count).map(mean).collect()
}

/// Draws the divergence of each latent of the settings of a method; `None` if there is none.
fn latents(of: &str, curves: Vec<(String, Vec<f64>)>) -> Option<Figure> {
    let most = curves.iter().map(|(_, curve)| curve.len()).max().filter(|most| *most > 0)?;
    let is_low = |kl: &f64| *kl < LEAST;
    let cut = match curves.iter().flat_map(|(_, curve)| curve).any(is_low) {
        true => format!(" Latents below {LEAST} are drawn there."),
        false => String::new(),
    };
    let points = |curve: Vec<f64>| {
        curve.into_iter().enumerate().map(|(at, kl)| PlotPoint::at(at as f64 + 1.0, kl.max(LEAST)))
    };
    let mut series: Vec<Series> = curves
        .into_iter()
        .map(|(name, curve)| Series {
            name,
            points: points(curve).collect(),
            is_marked: true,
            has_line: true,
        })
        .collect();
    let ends = [(0.5, COLLAPSED_BELOW), (most as f64 + 0.5, COLLAPSED_BELOW)];
    series.push(Series::line(format!("{COLLAPSED_BELOW} nats"), ends));
    Some(Figure {
        name: file_name(&["prior-latents", of]),
        caption: format!(
            "{of}: how far the code of a test sample is from the prior in each latent, KL in nats, mean over the \
             samples; latents in the order of it, at each place the mean over the seeds. A latent below the line at \
             {COLLAPSED_BELOW} nats has collapsed: it says nothing of the sample.{cut}"
        ),
        drawing: Drawing::Plot(Plot {
            x: PlotAxis::linear("latents, the one furthest from the prior first"),
            y: PlotAxis::log(format!("KL from the prior, nats\n{}", KL.1)),
            series,
        }),
    })
}

/// Draws reconstruction against divergence, a mark a setting.
fn trade(all: &[(String, Vec<PriorOfSetting>)], x: String, y: String) -> Figure {
    let series = all.iter().map(|(name, settings)| {
        let point = |one: &PriorOfSetting| PlotPoint {
            dx: one.kl.half_width,
            dy: one.reconstruction.half_width,
            title: one.title(),
            ..PlotPoint::at(one.kl.mean, one.reconstruction.mean)
        };
        let mut points: Vec<PlotPoint> = settings.iter().map(point).collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        Series { name: name.clone(), points, is_marked: true, has_line: true }
    });
    let elbo = |one: &&PriorOfSetting| one.elbo.mean;
    let settings = || all.iter().flat_map(|(_, settings)| settings);
    let low = settings().min_by(|a, b| elbo(a).total_cmp(&elbo(b)));
    let high = settings().max_by(|a, b| elbo(a).total_cmp(&elbo(b)));
    let range = match low.zip(high) {
        Some((low, high)) if low.name != high.name => format!(
            "from {} ({}) to {} ({})",
            words::number(low.elbo.mean),
            low.name,
            words::number(high.elbo.mean),
            high.name
        ),
        one => words::number(one.map_or(0.0, |(one, _)| one.elbo.mean)),
    };
    Figure {
        name: "prior-trade".into(),
        caption: format!(
            "Rate against distortion: what a code tells of a sample beyond the prior, in nats, and the reconstruction \
             term of the loss in the last epoch of training; mean over the seeds of each setting with 95 % intervals \
             (Student's t). The evidence lower bound (ELBO), −(reconstruction + beta · KL) of the last epoch in the units \
             of the loss, is {range}. Settings of one beta are compared by it, and no others: another beta is another \
             variance of the decoder."
        ),
        drawing: Drawing::Plot(Plot {
            x: PlotAxis::linear(x),
            y: PlotAxis::linear(y),
            series: series.collect(),
        }),
    }
}

/// Returns the table of all settings.
fn table(all: &[(String, Vec<PriorOfSetting>)]) -> PageTable {
    let heading = [
        "method".to_owned(),
        "setting".to_owned(),
        format!("KL from the prior, nats\n{}", KL.0),
        format!("share of latents below {COLLAPSED_BELOW} nats\n{COLLAPSED}"),
        format!("reconstruction\n{RECONSTRUCTION}"),
        "ELBO".to_owned(),
    ];
    let row = |method: &str, one: &PriorOfSetting| {
        vec![
            method.to_owned(),
            one.name.clone(),
            interval(&one.kl),
            one.collapsed.as_ref().map_or(String::new(), interval),
            interval(&one.reconstruction),
            interval(&one.elbo),
        ]
    };
    let rows = all.iter().flat_map(|(method, all)| all.iter().map(move |one| row(method, one)));
    PageTable { heading: heading.to_vec(), rows: rows.collect(), filter: None }
}

#[cfg(test)]
mod tests {
    use tables::Values;

    use super::*;

    fn latents_of(kl: &[f64]) -> Table {
        let mut table = Table::default();
        table.set(KL.1, Values::Number(kl.iter().copied().map(Some).collect()));
        table
    }

    fn setting(name: &str, kl: &[f64], reconstruction: &[f64], beta: f64) -> PriorOfSetting {
        let elbo: Vec<f64> =
            kl.iter().zip(reconstruction).map(|(kl, error)| -(error + beta * kl)).collect();
        PriorOfSetting {
            name: name.into(),
            kl: Interval::of(kl).unwrap(),
            collapsed: Interval::of(&[0.25]),
            reconstruction: Interval::of(reconstruction).unwrap(),
            elbo: Interval::of(&elbo).unwrap(),
        }
    }

    fn plot(figure: &Figure) -> &Plot {
        match &figure.drawing {
            Drawing::Plot(plot) => plot,
            Drawing::Heat(_) => panic!("it is a plot"),
        }
    }

    /// Wrong if latents of two seeds were compared by their index, which means nothing.
    #[test]
    fn latents_are_in_the_order_of_their_divergence() {
        let tables = [latents_of(&[0.0, 3.0, 1.0]), latents_of(&[2.0, 0.002, 5.0])];
        assert_eq!(by_rank(&tables), [4.0, 1.5, 0.001]);
        assert!(by_rank(&[]).is_empty() && by_rank(&[Table::default()]).is_empty());
        let curves =
            vec![("beta=1".to_owned(), by_rank(&tables)), ("beta=9".to_owned(), vec![0.0])];
        let figure = latents("variational", curves).unwrap();
        let series = &plot(&figure).series;
        let y: Vec<f64> = series[0].points.iter().map(|point| point.y).collect();
        assert_eq!(y, [4.0, 1.5, 0.001]);
        assert_eq!(series[1].points[0].y, LEAST, "0 has a place");
        assert!(figure.caption.contains("Latents below 0.0001 are drawn there."));
        assert_eq!((&*series[2].name, series[2].points[1].y), ("0.01 nats", 0.01));
        assert!(
            latents("l1", vec![("x".into(), Vec::new())]).is_none(),
            "without a prior no figure"
        );
    }

    /// Wrong if the figure had another sign or weight, or a setting no mark.
    #[test]
    fn rate_distortion_and_the_bound_are_those_of_each_setting() {
        let settings = vec![
            setting("beta=4", &[2.0, 4.0], &[30.0, 30.0], 4.0),
            setting("beta=1", &[10.0, 10.0], &[20.0, 22.0], 1.0),
        ];
        let all = [("none".to_owned(), settings)];
        let figure = trade(&all, "KL".into(), "error".into());
        let points = &plot(&figure).series[0].points;
        let places: Vec<(f64, f64)> = points.iter().map(|point| (point.x, point.y)).collect();
        assert_eq!(places, [(3.0, 30.0), (10.0, 21.0)]);
        assert!(
            figure.caption.contains("from -42.00 (beta=4) to -31.00 (beta=1)"),
            "{}",
            figure.caption
        );
        assert!(points[0].title.starts_with("beta=4: KL 3"), "{}", points[0].title);
        let table = table(&all);
        assert_eq!(table.rows.len(), 2);
        assert_eq!(table.rows[1][..2], ["none", "beta=1"]);
        assert!(table.rows[1][5].starts_with("-31"), "{:?}", table.rows[1]);
    }
}
