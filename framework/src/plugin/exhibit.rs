//! Exhibits: tables and pictures that an evaluation gives beside its numbers.

/// A table or a picture. It is stored with the run, and the report shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exhibit {
    /// Its name, which its file has too: lowercase letters, digits and `_`.
    pub name: String,
    /// What it shows, in a sentence or two.
    pub caption: String,
    /// The name of the evaluation that it is of.
    pub evaluation: String,
    /// The table or the picture itself.
    pub content: ExhibitContent,
}

/// What an exhibit is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExhibitContent {
    /// A table, by columns of one length.
    Table(Vec<ExhibitColumn>),
    /// A picture.
    Picture(Pixels),
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct ExhibitColumn {
    /// The column's name.
    pub name: String,
    /// Its cells.
    pub cells: ExhibitCells,
}

/// The cells of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum ExhibitCells {
    /// Numbers; `None` where one is undefined.
    Numbers(Vec<Option<f64>>),
    /// Texts.
    Texts(Vec<String>),
}

impl ExhibitColumn {
    /// A column of numbers; one that is not finite becomes undefined.
    pub fn numbers(name: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let values = values.into_iter().map(|value| value.is_finite().then_some(value)).collect();
        Self { name: name.into(), cells: ExhibitCells::Numbers(values) }
    }

    /// A column of texts.
    pub fn texts<T: Into<String>>(
        name: impl Into<String>,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        Self { name: name.into(), cells: ExhibitCells::Texts(values) }
    }

    /// Returns the number of rows.
    fn rows(&self) -> usize {
        match &self.cells {
            ExhibitCells::Numbers(values) => values.len(),
            ExhibitCells::Texts(values) => values.len(),
        }
    }
}

/// The pixels of a picture, row by row from the top, a byte for each channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// Number of pixels in a row.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
    /// Number of channels: 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// [height, width, channels]
    pub bytes: Vec<u8>,
}

impl Pixels {
    /// Number of pixels that a side of a picture has at most.
    pub const MOST: usize = 4096;

    /// A grey picture of numbers, [height, width]: `low` and what is below it is black, `high` and what is
    /// above it is white, and NaN is black.
    pub fn grey(width: usize, values: &[f32], (low, high): (f32, f32)) -> Self {
        let byte = |value: &f32| {
            let share = if high > low { (value - low) / (high - low) } else { 0.0 };
            (share.clamp(0.0, 1.0) * 255.0).round() as u8
        };
        let height = values.len().checked_div(width).unwrap_or(0);
        Self { width, height, channels: 1, bytes: values.iter().map(byte).collect() }
    }

    /// Checks that there are as many bytes as the sides say, and not too many.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        let Self { width, height, channels, bytes } = self;
        let is_right = |side: &usize| (1..=Self::MOST).contains(side);
        if !is_right(width) || !is_right(height) {
            let most = Self::MOST;
            return Err(format!("a side has 1 to {most} pixels, and it is {width} by {height}"));
        }
        if !matches!(channels, 1 | 3) {
            return Err(format!("it has 1 channel or 3, not {channels}"));
        }
        match width * height * channels {
            size if size == bytes.len() => Ok(()),
            size => Err(format!("its sides need {size} bytes, and it has {}", bytes.len())),
        }
    }
}

impl Exhibit {
    /// Number of exhibits that a run has at most.
    pub const MOST: usize = 64;
    /// Number of letters that a name has at most.
    const LETTERS: usize = 128;
    /// Number of rows that a table has at most.
    const ROWS: usize = 100_000;
    /// Number of columns that a table has at most.
    const COLUMNS: usize = 256;

    /// Returns whether a name can be that of an exhibit, and of its file.
    pub fn is_name(name: &str) -> bool {
        let is_right =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        !name.is_empty() && name.len() <= Self::LETTERS && name.bytes().all(is_right)
    }

    /// Checks that it can be stored.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !Self::is_name(&self.name) {
            let most = Self::LETTERS;
            return Err(format!(
                "a name is of 1 to {most} lowercase letters, digits and `_`, got `{}`",
                self.name
            ));
        }
        let of =
            |what: &str, problem: String| Err(format!("the {what} `{}`: {problem}", self.name));
        match &self.content {
            ExhibitContent::Picture(pixels) => {
                pixels.check().or_else(|problem| of("picture", problem))
            }
            ExhibitContent::Table(columns) => {
                let rows = columns.first().map_or(0, ExhibitColumn::rows);
                if columns.is_empty() || columns.len() > Self::COLUMNS || rows > Self::ROWS {
                    let (most, long) = (Self::COLUMNS, Self::ROWS);
                    let columns = columns.len();
                    let problem = format!(
                        "it has 1 to {most} columns of at most {long} rows, not {columns} of {rows}"
                    );
                    return of("table", problem);
                }
                for (at, column) in columns.iter().enumerate() {
                    if column.rows() != rows {
                        return of("table", format!("its column `{}` is not whole", column.name));
                    }
                    if columns[..at].iter().any(|other| other.name == column.name) {
                        return of("table", format!("its column `{}` is there twice", column.name));
                    }
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: Vec<ExhibitColumn>) -> Exhibit {
        let (name, content) = ("map".to_owned(), ExhibitContent::Table(columns));
        Exhibit { name, caption: String::new(), evaluation: String::new(), content }
    }

    /// Wrong if something that cannot be stored, or be read again, were taken.
    #[test]
    fn what_cannot_be_stored_is_refused() {
        let good = || vec![ExhibitColumn::numbers("a", [1.0]), ExhibitColumn::texts("b", ["x"])];
        assert_eq!(table(good()).check(), Ok(()));
        let twice = [good(), good()].concat();
        let uneven = vec![ExhibitColumn::numbers("a", [1.0]), ExhibitColumn::numbers("b", [])];
        let long = vec![ExhibitColumn::numbers("a", vec![0.0; Exhibit::ROWS + 1])];
        for (columns, problem) in [
            (twice, "the table `map`: its column `a` is there twice"),
            (uneven, "the table `map`: its column `b` is not whole"),
            (
                Vec::new(),
                "the table `map`: it has 1 to 256 columns of at most 100000 rows, not 0 of 0",
            ),
            (
                long,
                "the table `map`: it has 1 to 256 columns of at most 100000 rows, not 1 of 100001",
            ),
        ] {
            assert_eq!(table(columns).check().unwrap_err(), problem);
        }
        for name in ["", "Map", "../map", "a.b", "a-b", &"a".repeat(129)] {
            let exhibit = Exhibit { name: name.to_owned(), ..table(good()) };
            assert!(exhibit.check().unwrap_err().contains("a name is of"), "{name}");
        }
    }

    #[test]
    fn pixels_are_as_many_as_the_sides_say() {
        let grey = Pixels::grey(2, &[-1.0, 0.0, 0.5, f32::NAN, 1.0, 9.0], (0.0, 1.0));
        assert_eq!((grey.height, &*grey.bytes), (3, &[0, 0, 128, 0, 255, 255][..]));
        assert_eq!(grey.check(), Ok(()));
        assert_eq!(Pixels::grey(1, &[5.0], (1.0, 1.0)).bytes, [0]);
        assert!(Pixels::grey(0, &[], (0.0, 1.0)).check().is_err());
        assert!(Pixels { width: 3, ..grey.clone() }.check().is_err());
        assert!(Pixels { channels: 2, ..grey.clone() }.check().is_err());
        assert!(
            Pixels { width: 5000, height: 1, channels: 1, bytes: vec![0; 5000] }.check().is_err()
        );
    }
}
