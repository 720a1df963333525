//! Packages as lines that fit a terminal.

use bytesize::ByteSize;
use p2p_api::{Package, Place, Reach};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::order::SortKey;
use crate::report::{age, count, plain};
use crate::terminal::Colour;

/// Between two columns.
const GAP: usize = 2;
/// Names and versions are cut no shorter than this, each.
const SHORTEST: usize = 8;

/// What can be said of a package beside what always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extra {
    Uploaded,
    Asked,
    Fetched,
    Added,
}

/// A table of packages, not yet as text.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    title: &'static str,
    cells: Vec<String>,
    width: usize,
    is_number: bool,
}

impl Table {
    /// Says as much as fits into `width` columns; without one, everything. `now` is in seconds since 1970.
    pub(crate) fn new(packages: &[Package], sort: SortKey, width: Option<usize>, now: u64) -> Self {
        let text = |title, cell: fn(&Package) -> &str| {
            let cells = packages.iter().map(|package| plain(cell(package)));
            Column::new(title, cells.collect(), false)
        };
        let size = Column::new("size", packages.iter().map(|package| size(package.size)).collect(), true);
        let mut columns = vec![
            text("package", |package| &package.name),
            text("version", |package| &package.version),
            text("repository", |package| &package.repository),
            size,
        ];
        let notes = Column::new("note", packages.iter().map(note).collect(), false);
        let notes = Some(notes).filter(|notes| notes.cells.iter().any(|note| !note.is_empty()));
        let taken = |columns: &[Column]| {
            let all = columns.iter().chain(&notes);
            all.map(|column| column.width + GAP).sum::<usize>().saturating_sub(GAP)
        };
        for (place, extra) in extras(sort).into_iter().enumerate() {
            let cells = packages.iter().map(|package| extra.of(package, now)).collect();
            let column = Column::new(extra.title(), cells, true);
            // What it is sorted by is always shown.
            if place == 0 || width.is_none_or(|width| taken(&columns) + GAP + column.width <= width) {
                columns.push(column);
            }
        }
        let too_wide = width.map_or(0, |width| taken(&columns).saturating_sub(width));
        columns.extend(notes);
        let [name, version, ..] = columns.as_mut_slice() else { unreachable!("there are six columns") };
        shorten(name, version, too_wide);
        Self { columns }
    }

    /// The lines, the titles first.
    pub(crate) fn show(&self, colour: Colour) -> String {
        let titles = self.line(|column| column.title);
        let titles = match colour {
            Colour::On => format!("\u{1b}[1m{titles}\u{1b}[0m"),
            Colour::Off => titles,
        };
        let rows = self.columns.first().map_or(0, |column| column.cells.len());
        let lines = (0..rows).map(|row| self.line(|column| &column.cells[row]));
        std::iter::once(titles).chain(lines).collect::<Vec<_>>().join("\n")
    }

    fn line<'a>(&'a self, cell: impl Fn(&'a Column) -> &'a str) -> String {
        let mut line = String::new();
        for column in &self.columns {
            let text = cut(cell(column), column.width);
            let blanks = " ".repeat(column.width.saturating_sub(text.width()));
            let (before, after) = if column.is_number { (&*blanks, "") } else { ("", &*blanks) };
            for part in [before, &*text, after, "  "] {
                line.push_str(part);
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

impl Column {
    fn new(title: &'static str, cells: Vec<String>, is_number: bool) -> Self {
        let width = cells.iter().map(|cell| cell.width()).max().unwrap_or(0).max(title.len());
        Self { title, cells, width, is_number }
    }
}

impl Extra {
    const fn title(self) -> &'static str {
        match self {
            Self::Uploaded => "uploaded",
            Self::Asked => "asked",
            Self::Fetched => "fetched",
            Self::Added => "added",
        }
    }

    fn of(self, package: &Package, now: u64) -> String {
        let ago = |time: Option<u64>| time.map_or_else(|| "-".to_owned(), |time| age(now.saturating_sub(time)));
        match self {
            Self::Uploaded if package.uploaded_bytes == 0 => "-".to_owned(),
            Self::Uploaded => size(package.uploaded_bytes),
            Self::Asked => ago(package.last_asked),
            Self::Fetched => ago(package.fetched),
            Self::Added => ago(Some(package.added)),
        }
    }
}

/// What may be said beside name and size; the first always is.
fn extras(sort: SortKey) -> [Extra; 4] {
    use Extra::{Added, Asked, Fetched, Uploaded};
    match sort {
        SortKey::Name | SortKey::Size | SortKey::Uploaded => [Uploaded, Asked, Fetched, Added],
        SortKey::Asked => [Asked, Uploaded, Fetched, Added],
        SortKey::Fetched => [Fetched, Uploaded, Asked, Added],
        SortKey::Added => [Added, Uploaded, Asked, Fetched],
    }
}

/// What is not as with most packages.
fn note(package: &Package) -> String {
    let place = (package.place == Place::Store).then_some("store");
    let reach = match package.reach {
        Reach::Public => None,
        Reach::Lan => Some("lan"),
        Reach::Nobody => Some("nobody"),
    };
    place.into_iter().chain(reach).collect::<Vec<_>>().join(", ")
}

/// Takes so many columns from both; from the wider one first.
fn shorten(name: &mut Column, version: &mut Column, columns: usize) {
    for _ in 0..columns {
        let wider =
            if 2 * name.width > 3 * version.width || version.width <= SHORTEST { &mut *name } else { &mut *version };
        wider.width = (wider.width - 1).max(SHORTEST);
    }
}

/// The text, in so many columns at most.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut kept, mut taken) = (String::new(), 1);
    for character in text.chars() {
        taken += character.width().unwrap_or(0);
        if taken > width {
            break;
        }
        kept.push(character);
    }
    kept.push('…');
    kept
}

/// How many packages are shown, of how many, and their bytes.
pub(crate) fn totals(shown: &[Package], all: usize) -> String {
    let bytes = size(shown.iter().map(|package| package.size).sum());
    let packages = count(all as u64, "package");
    if shown.len() < all { format!("{} of {packages}, {bytes}", shown.len()) } else { format!("{packages}, {bytes}") }
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}
