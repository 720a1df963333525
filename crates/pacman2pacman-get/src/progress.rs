//! The progress bar, as pacman draws its own, and beside it the whole pacman run.

mod whole;

use std::time::{Duration, Instant};

use p2p_api::TransactionProgress;

use self::whole::Whole;
pub(crate) use self::whole::summary;

/// Below this there is no room for the numbers: the name, a short bar and the percentage must do.
const NARROWEST_WITH_NUMBERS: usize = 50;

/// Below this there is no room for a bar either.
const NARROWEST_WITH_BAR: usize = 34;
const SHORT_BAR: usize = 13;

/// What each of the ways to speak of the whole run, the longest first, must leave to the file; and what is between.
const LEFT_TO_FILE: [usize; 4] = [NARROWEST_WITH_NUMBERS, NARROWEST_WITH_BAR, 24, 12];
const GAP: &str = "  ";

/// What the numbers take of a line, blanks included.
const NUMBERS: usize = 30;

/// ` [` and `]`, and the percentage behind.
const BAR_ENDS: usize = 3;
const PERCENTAGE: usize = 5;
/// ` p2p  43%`: how much came from peers.
const SHARE: usize = 9;
const SHORTEST_BAR_BESIDE_SHARE: usize = 8;

/// Weighs the past ten times the present, about as pacman does: a rate that can be read.
const SMOOTHING: f64 = 0.9;
const MEASURE_EVERY: Duration = Duration::from_millis(200);

/// How far a fetch is, and how a line about it looks.
#[derive(Debug)]
pub(crate) struct Bar {
    name: String,
    began: Instant,
    done: u64,
    total: Option<u64>,
    from_peers: u64,
    measured: (Instant, u64),
    rate: f64,
    over: Option<Instant>,
    whole: Option<Whole>,
}

impl Bar {
    /// A bar for the file of this name that begins now.
    pub(crate) fn new(file_name: &str, now: Instant) -> Self {
        let name = shown_name(file_name);
        let measured = (now, 0);
        Self { name, began: now, done: 0, total: None, from_peers: 0, measured, rate: 0.0, over: None, whole: None }
    }

    /// Takes a new state, in bytes.
    pub(crate) fn update(&mut self, done: u64, total: Option<u64>, from_peers: u64, now: Instant) {
        (self.done, self.total, self.from_peers) = (done, total, from_peers);
        let (then, before) = self.measured;
        let passed = now.saturating_duration_since(then);
        if passed >= MEASURE_EVERY {
            let present = per_second(done.saturating_sub(before), passed);
            let is_first = then == self.began;
            self.rate = if is_first { present } else { SMOOTHING * self.rate + (1.0 - SMOOTHING) * present };
            self.measured = (now, done);
        }
    }

    /// Takes a new state of the whole pacman run. A run of one file is no more than that file.
    pub(crate) fn update_whole(&mut self, progress: TransactionProgress, now: Instant) {
        match &mut self.whole {
            Some(whole) => whole.update(progress, now),
            None if progress.files > 1 => self.whole = Some(Whole::new(progress, now)),
            None => {}
        }
    }

    /// The fetch is over: from now on the bar shows the average rate and the time that it took.
    pub(crate) fn finish(&mut self, size: u64, from_peers: u64, now: Instant) {
        (self.done, self.total, self.from_peers, self.over) = (size, Some(size), from_peers, Some(now));
        self.rate = per_second(size, now.saturating_duration_since(self.began));
    }

    /// The line for a terminal of so many columns, exactly as wide.
    pub(crate) fn line(&self, columns: usize) -> String {
        let forms = self.whole.iter().flat_map(Whole::forms).zip(LEFT_TO_FILE);
        for (form, least) in forms {
            if let Some(left) = columns.checked_sub(form.len() + GAP.len())
                && left >= least
            {
                return format!("{}{GAP}{form}", self.file_line(left));
            }
        }
        self.file_line(columns)
    }

    fn file_line(&self, columns: usize) -> String {
        if columns < NARROWEST_WITH_NUMBERS {
            let bar = if columns < NARROWEST_WITH_BAR { 0 } else { SHORT_BAR };
            let right = bar + PERCENTAGE;
            let name = fitted(&self.name, columns.saturating_sub(right + 1));
            return fitted(&format!(" {name}{}", self.bar(right)), columns);
        }
        let left = (columns * 6 / 10).max(NARROWEST_WITH_NUMBERS);
        let right = columns - left;
        let name = fitted(&self.name, left - NUMBERS);
        format!(" {name} {}{}", self.numbers(), self.bar(right))
    }

    fn numbers(&self) -> String {
        let (size, size_unit) = in_units(to_f64(self.done));
        let (rate, rate_unit) = in_units(self.rate);
        let digits = match rate {
            ..9.995 => 2,
            ..99.95 => 1,
            _ => 0,
        };
        format!("{size:6.1} {size_unit:>3}  {rate:4.digits$} {rate_unit:>3}/s {}", self.time())
    }

    /// The time left, or the time that it took.
    fn time(&self) -> String {
        let seconds = match (self.over, self.total) {
            (Some(over), _) => Some(over.saturating_duration_since(self.began).as_secs()),
            (None, Some(total)) if self.rate >= 1.0 => {
                Duration::try_from_secs_f64(to_f64(total.saturating_sub(self.done)) / self.rate)
                    .ok()
                    .map(|d| d.as_secs())
            }
            (None, _) => None,
        };
        clock(seconds)
    }

    fn bar(&self, columns: usize) -> String {
        let percentage = if columns >= PERCENTAGE { format!(" {:3}%", self.percent()) } else { String::new() };
        let mut room = columns - percentage.len();
        let mut share = String::new();
        // Of two shares on one line nobody would know which is whose.
        if self.whole.is_none() && self.from_peers > 0 && room >= SHARE + BAR_ENDS + SHORTEST_BAR_BESIDE_SHARE {
            share = format!(" p2p {:3}%", percent_of(self.from_peers, self.done));
            room -= SHARE;
        }
        if room <= BAR_ENDS {
            return format!("{}{percentage}", " ".repeat(room));
        }
        let length = room - BAR_ENDS;
        let hashes = usize::try_from(self.percent()).unwrap_or(0) * length / 100;
        format!(" [{}{}]{percentage}{share}", "#".repeat(hashes), "-".repeat(length - hashes))
    }

    fn percent(&self) -> u64 {
        self.total.map_or(0, |total| percent_of(self.done, total))
    }
}

/// What pacman shows of a file name: neither `.pkg.tar.zst` nor `.db`. Nothing that could steer a terminal.
fn shown_name(file_name: &str) -> String {
    let (name, signature) = match file_name.strip_suffix(".sig") {
        Some(name) => (name, ".sig"),
        None => (file_name, ""),
    };
    let end = [".pkg", ".db", ".files"].iter().find_map(|extension| name.find(extension)).unwrap_or(name.len());
    let visible = |c: char| if c.is_ascii_graphic() { c } else { '?' };
    format!("{}{signature}", &name[..end]).chars().map(visible).collect()
}

/// Exactly `width` columns; a name that is too long ends in three dots and a blank. All of it is ASCII.
fn fitted(text: &str, width: usize) -> String {
    match text.len() {
        length if length <= width => format!("{text:width$}"),
        _ if width > 3 => format!("{}... ", &text[..width - 4]),
        _ => text[..width].to_owned(),
    }
}

/// Minutes and seconds, as long as they fit.
fn clock(seconds: Option<u64>) -> String {
    match seconds {
        Some(seconds) if seconds < 100 * 60 => format!("{:02}:{:02}", seconds / 60, seconds % 60),
        _ => "--:--".to_owned(),
    }
}

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// pacman goes to the next unit above 2048 of the one before.
fn in_units(bytes: f64) -> (f64, &'static str) {
    let mut value = bytes;
    let mut at = 0;
    while value > 2048.0 && at + 1 < UNITS.len() {
        value /= 1024.0;
        at += 1;
    }
    (value, UNITS[at])
}

/// So many bytes in a given unit.
fn scaled(bytes: u64, unit: &str) -> f64 {
    UNITS.iter().take_while(|&&other| other != unit).fold(to_f64(bytes), |value, _| value / 1024.0)
}

fn percent_of(part: u64, whole: u64) -> u64 {
    let percent = u128::from(part) * 100 / u128::from(whole.max(1));
    u64::try_from(percent).unwrap_or(100).min(100)
}

fn per_second(bytes: u64, passed: Duration) -> f64 {
    to_f64(bytes) / passed.as_secs_f64().max(0.001)
}

#[expect(clippy::cast_precision_loss, reason = "a progress bar shows three digits")]
const fn to_f64(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests;
