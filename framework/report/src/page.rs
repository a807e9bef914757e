//! The page: one HTML file with all that it shows. Nothing is loaded from anywhere, which the page
//! itself forbids too.

use std::fmt::Write;

use crate::escape::escape;
use crate::figures::figure::{Figure, On};
use crate::figures::picture::{Picture, base64};

/// A document.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Its title.
    pub title: String,
    /// A line below it.
    pub subtitle: String,
    /// Its sections; those without anything in them are left out.
    pub sections: Vec<PageSection>,
}

/// A part of the page.
#[derive(Clone, Debug, Default)]
pub struct PageSection {
    /// By what links find it: letters and dashes.
    pub id: &'static str,
    /// Its heading.
    pub title: String,
    /// What it shows.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Clone, Debug)]
pub enum Block {
    /// What was found, in bold words.
    Verdict(String),
    /// A paragraph.
    Words(String),
    /// A table.
    PageTable(PageTable),
    /// Figures beside each other, where the screen is wide enough.
    Figures(Vec<Figure>),
    /// Lines of a file as they are.
    Code(String),
    /// Pictures beside each other, where the screen is wide enough.
    Pictures(Vec<Picture>),
}

/// A table.
#[derive(Clone, Debug, Default)]
pub struct PageTable {
    /// The headings of its columns.
    pub heading: Vec<String>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
    /// The column by whose values readers choose rows, if they can sort and filter.
    pub filter: Option<usize>,
}

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

impl Page {
    /// As HTML.
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

    /// Its figures.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        let blocks = self.sections.iter().flat_map(|section| &section.blocks);
        blocks
            .filter_map(
                |block| if let Block::Figures(figures) = block { Some(figures) } else { None },
            )
            .flatten()
    }
}

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
            pictures.iter().try_for_each(|picture| add_picture(html, picture))?;
            html.push_str("</div>\n");
        }
    }
    Ok(())
}

/// Words of a text, whose numbers stay on the line of their unit.
fn prose(text: &str) -> String {
    escape(text).replace(" %", "\u{a0}%").replace(" ± ", "\u{a0}±\u{a0}")
}

fn add_picture(html: &mut String, picture: &Picture) -> Result<(), String> {
    let caption = escape(&picture.caption);
    let across = picture.pixels_across();
    // Large enough to be seen: each number a square of whole pixels, where there is room for that.
    let (class, wide) = match 600 / across {
        0 | 1 => ("picture fine", across.max(600)),
        times => ("picture", across * times.min(6)),
    };
    let _ = writeln!(
        html,
        "<figure class=\"{class}\"><img alt=\"{caption}\" style=\"width:{wide}px\" \
         src=\"data:image/png;base64,{}\"><figcaption>{}</figcaption></figure>",
        base64(&picture.png(1)?),
        prose(&picture.caption)
    );
    Ok(())
}

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
            table.heading.get(filter).map_or("".into(), |title| escape(title))
        );
    }
    let class = if table.filter.is_some() { " class=\"sortable\"" } else { "" };
    let _ = write!(html, "<div class=\"table\" tabindex=\"0\"><table{class}>\n<thead><tr>");
    table.heading.iter().for_each(|title| {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escape(title));
    });
    html.push_str("</tr></thead>\n<tbody>\n");
    // Numbers are aligned where a column has nothing else, so that their digits stand below each other.
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

    /// Wrong if words of others became tags anywhere, or the page asked for anything.
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
