//! The page: one HTML file with everything it shows. It loads nothing, and its own security policy forbids
//! loading.

use std::fmt::Write;

use crate::escape::escape;
use crate::figures::figure::{Figure, On};
use crate::figures::picture::{Picture, base64};

/// A page.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Title of the page.
    pub title: String,
    /// Line below the title.
    pub subtitle: String,
    /// Sections of the page; empty ones are left out.
    pub sections: Vec<PageSection>,
}

/// A section of the page.
#[derive(Clone, Debug, Default)]
pub struct PageSection {
    /// Anchor for links: letters and dashes.
    pub id: &'static str,
    /// Heading of the section.
    pub title: String,
    /// Content of the section.
    pub blocks: Vec<Block>,
}

/// A block of a section.
#[derive(Clone, Debug)]
pub enum Block {
    /// A finding, in bold words.
    Verdict(String),
    /// A paragraph.
    Words(String),
    /// A table.
    PageTable(PageTable),
    /// Figures, side by side if the screen is wide enough.
    Figures(Vec<Figure>),
    /// Lines of a file, unchanged.
    Code(String),
    /// Pictures, side by side if the screen is wide enough.
    Pictures(Vec<Picture>),
    /// Pictures that were stored, likewise.
    StoredPictures(Vec<StoredPicture>),
}

/// A picture that was stored with a run.
#[derive(Clone, Debug)]
pub struct StoredPicture {
    /// Caption: what the picture shows.
    pub caption: String,
    /// Number of pixels in a row.
    pub across: usize,
    /// The bytes of its PNG file, as this program writes them.
    pub png: Vec<u8>,
}

/// A table.
#[derive(Clone, Debug, Default)]
pub struct PageTable {
    /// Headings of the columns. One may have a second line: the name of the column in the results.
    pub heading: Vec<String>,
    /// Rows of the table.
    pub rows: Vec<Vec<String>>,
    /// Column whose values the reader can choose rows by. If `None`, the table cannot be sorted or
    /// filtered.
    pub filter: Option<usize>,
}

/// Style sheet of every page.
const STYLE: &str = include_str!("page.css");
/// Script of every page: it sorts and filters tables.
const SCRIPT: &str = include_str!("page.js");

impl Page {
    /// Writes the page as HTML.
    ///
    /// # Errors
    /// If a figure cannot be drawn.
    pub fn html(&self) -> Result<String, String> {
        let sections = || self.sections.iter().filter(|section| !section.blocks.is_empty());
        let title = escape(&self.title);
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
             script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n<p>{}</p>\n<nav>",
            escape(&self.subtitle)
        );
        for section in sections() {
            let _ = write!(html, "<a href=\"#{}\">{}</a> ", section.id, escape(&section.title));
        }
        html.push_str("</nav>\n</header>\n<main>\n");
        for section in sections() {
            let _ = writeln!(
                html,
                "<section id=\"{}\">\n<h2>{}</h2>",
                section.id,
                escape(&section.title)
            );
            section.blocks.iter().try_for_each(|block| add(&mut html, block))?;
            html.push_str("</section>\n");
        }
        let _ = write!(html, "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n");
        Ok(html)
    }

    /// Returns the figures of the page.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        let blocks = self.sections.iter().flat_map(|section| &section.blocks);
        blocks
            .filter_map(
                |block| if let Block::Figures(figures) = block { Some(figures) } else { None },
            )
            .flatten()
    }
}

/// Writes a block.
fn add(html: &mut String, block: &Block) -> Result<(), String> {
    match block {
        Block::Verdict(words) => {
            let _ = writeln!(html, "<p class=\"verdict\">{}</p>", prose(words));
        }
        Block::Words(words) => {
            let _ = writeln!(html, "<p>{}</p>", prose(words));
        }
        Block::Code(text) => {
            let _ = writeln!(html, "<pre tabindex=\"0\">{}</pre>", escape(text));
        }
        Block::PageTable(table) => add_table(html, table),
        Block::Figures(figures) => {
            html.push_str("<div class=\"figures\">\n");
            for figure in figures {
                let _ = writeln!(
                    html,
                    "<figure id=\"{}\" data-marks=\"{}\">{}<figcaption>{}</figcaption></figure>",
                    escape(&figure.name),
                    figure.marks(),
                    figure.svg(On::Page)?,
                    prose(&figure.caption)
                );
            }
            html.push_str("</div>\n");
        }
        Block::Pictures(pictures) => {
            html.push_str("<div class=\"figures\">\n");
            for picture in pictures {
                let png = picture.png(1)?;
                add_picture(html, &picture.caption, picture.pixels_across(), &png);
            }
            html.push_str("</div>\n");
        }
        Block::StoredPictures(pictures) => {
            html.push_str("<div class=\"figures\">\n");
            for StoredPicture { caption, across, png } in pictures {
                add_picture(html, caption, *across, png);
            }
            html.push_str("</div>\n");
        }
    }
    Ok(())
}

/// Escapes a text, keeps numbers on the same line as their unit, and sets what stands between backticks, as the
/// name of a column, in small letters.
fn prose(text: &str) -> String {
    let text = escape(text).replace(" %", "\u{a0}%").replace(" ± ", "\u{a0}±\u{a0}");
    let mut parts: Vec<&str> = text.split('`').collect();
    // The last of an odd number of backticks sets nothing.
    let rest = if parts.len().is_multiple_of(2) { parts.pop() } else { None };
    let part = |(at, part): (usize, &&str)| match at % 2 {
        0 => (*part).to_owned(),
        _ => format!("<code>{part}</code>"),
    };
    let set: String = parts.iter().enumerate().map(part).collect();
    rest.map_or(set.clone(), |rest| format!("{set}`{rest}"))
}

/// Writes a heading of a column: its second line, the name of the column in the results, in small letters.
fn heading_of(title: &str) -> String {
    match title.split_once('\n') {
        Some((words, name)) => format!("{}<small>{}</small>", escape(words), escape(name)),
        None => escape(title).into_owned(),
    }
}

/// Writes a picture of so many pixels across.
fn add_picture(html: &mut String, caption: &str, across: usize, png: &[u8]) {
    // Enlarge small pictures: each number becomes a square of whole pixels, if there is room.
    let (class, wide) = match 600 / across.max(1) {
        0 | 1 => ("picture fine", across.max(600)),
        times => ("picture", across * times.min(6)),
    };
    let _ = writeln!(
        html,
        "<figure class=\"{class}\"><img alt=\"{}\" style=\"width:{wide}px\" \
         src=\"data:image/png;base64,{}\"><figcaption>{}</figcaption></figure>",
        escape(caption),
        base64(png),
        prose(caption)
    );
}

/// Writes a table, with a form to choose rows if it can be filtered.
fn add_table(html: &mut String, table: &PageTable) {
    if let Some(filter) = table.filter {
        let mut words: Vec<&String> = table.rows.iter().filter_map(|row| row.get(filter)).collect();
        words.sort();
        words.dedup();
        let options: String =
            words.iter().map(|word| format!("<option>{}</option>", escape(word))).collect();
        let _ = writeln!(
            html,
            "<form class=\"filter\" hidden><label>Rows with <input type=\"search\" name=\"words\" autocomplete=\"off\"></label> \
             <label>{} <select name=\"choice\" data-column=\"{filter}\"><option value=\"\">any</option>{options}</select></label> \
             <output></output></form>",
            table.heading.get(filter).map_or(String::new(), |title| heading_of(title))
        );
    }
    let class = if table.filter.is_some() { " class=\"sortable\"" } else { "" };
    let _ = write!(html, "<div class=\"table\" tabindex=\"0\"><table{class}>\n<thead><tr>");
    table.heading.iter().for_each(|title| {
        let _ = write!(html, "<th scope=\"col\">{}</th>", heading_of(title));
    });
    html.push_str("</tr></thead>\n<tbody>\n");
    // A column of numbers only is aligned right, so that digits stand below each other.
    let is_numeric = |at: usize| {
        let cells = table.rows.iter().filter_map(|row| row.get(at));
        let mut cells = cells.filter(|cell| !cell.is_empty()).peekable();
        cells.peek().is_some() && cells.all(|cell| cell.parse::<f64>().is_ok())
    };
    let numeric: Vec<bool> = (0..table.heading.len()).map(is_numeric).collect();
    for row in &table.rows {
        html.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let class = if numeric.get(at) == Some(&true) { " class=\"n\"" } else { "" };
            let _ = write!(html, "<td{class}>{}</td>", escape(cell));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if the name of a column were as large as the words, or a lone backtick took the rest of a text.
    #[test]
    fn names_of_columns_are_small() {
        assert_eq!(
            prose("error (`test_<mse>`), lower"),
            "error (<code>test_&lt;mse&gt;</code>), lower"
        );
        assert_eq!(prose("a ` b"), "a ` b");
        assert_eq!(prose("`a` b ` c"), "<code>a</code> b ` c");
        assert_eq!(heading_of("MSE\ntest_mse"), "MSE<small>test_mse</small>");
        assert_eq!(heading_of("<b>"), "&lt;b&gt;");
    }

    /// Wrong if foreign text becomes a tag, or the page loads anything.
    #[test]
    fn words_are_escaped_and_nothing_is_asked_for() {
        let evil = "\"><script>alert(1)</script><img src=https://x.org>".to_owned();
        let table = PageTable {
            heading: vec![evil.clone()],
            rows: vec![vec![evil.clone()]],
            filter: Some(0),
        };
        let blocks = vec![
            Block::Verdict(evil.clone()),
            Block::Words(evil.clone()),
            Block::Code(evil.clone()),
            Block::PageTable(table),
        ];
        let page = Page {
            title: evil.clone(),
            subtitle: evil.clone(),
            sections: vec![
                PageSection { id: "one", title: evil, blocks },
                PageSection { id: "empty", title: "Empty".into(), blocks: Vec::new() },
            ],
        };
        let html = page.html().unwrap();
        assert_eq!(html.matches("<script").count(), 1, "the page's own");
        assert!(!html.contains("<img") && !html.contains("Empty"));
        assert_eq!(html.matches("<td>").count(), 1);
    }
}
