//! The tables of `docs/scale.md`.

use std::path::Path;

/// The first table below a heading.
pub(crate) struct Table {
    heading: String,
    /// The first is the head.
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn under(heading: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scale.md");
        let text = fs_err::read_to_string(path).expect("the document is in the repository");
        let below =
            text.lines().skip_while(|line| line.trim_start_matches(['#', ' ']) != heading || !line.starts_with('#'));
        let table = below.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        let rows: Vec<Vec<String>> = table.filter(|line| !line.starts_with("|---")).map(cells).collect();
        assert!(rows.len() > 1, "no table below the heading {heading}");
        Self { heading: heading.to_owned(), rows }
    }

    /// Fails unless the document says `value`, give or take `tolerance` of what it says (0.1: a tenth).
    pub(crate) fn says(&self, row: &str, column: &str, value: f64, tolerance: f64) {
        let said = self.number(row, column);
        let is_near = (said - value).abs() <= tolerance * said.abs();
        assert!(is_near, "{}, {row}, {column}: the document says {said}, and it is {value}", self.heading);
    }

    /// The number at the beginning of a cell; a `%` makes it a hundredth.
    fn number(&self, row: &str, column: &str) -> f64 {
        let index = self.rows[0].iter().position(|cell| cell == column);
        let index = index.unwrap_or_else(|| panic!("{}: no column {column}", self.heading));
        let found = self.rows[1..].iter().find(|cells| cells[0] == row);
        let cell = &found.unwrap_or_else(|| panic!("{}: no row {row}", self.heading))[index];
        let digits: String = cell.chars().take_while(|c| c.is_ascii_digit() || ",.".contains(*c)).collect();
        let number: f64 = digits.replace(',', "").parse().unwrap_or_else(|_| panic!("{row}, {column}: {cell}"));
        if cell[digits.len()..].trim_start().starts_with('%') { number / 100.0 } else { number }
    }
}

fn cells(line: &str) -> Vec<String> {
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}
