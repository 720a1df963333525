//! The terminal that the progress bar is drawn on, where there is one.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use p2p_api::{Progress, Ready};
use rustix::termios::tcgetwinsize;

use crate::progress::{Bar, summary};

/// As often as pacman redraws.
const REDRAW_EVERY: Duration = Duration::from_millis(200);

/// What a terminal that doesn't know its size is taken for.
const COLUMNS: u16 = 80;

/// Erases from the cursor to the end of the screen (ECMA-48, ED).
const ERASE_BELOW: &str = "\x1b[J";

/// Shows the progress of one fetch on standard output, as pacman does. Without a terminal it says no more than one line
/// for a whole pacman run. There is no colour in it, so `NO_COLOR` needs no look.
#[derive(Debug)]
pub(crate) struct Screen {
    bar: Option<Bar>,
    drawn: Option<Drawn>,
}

/// What is on the screen.
#[derive(Debug, Clone, Copy)]
struct Drawn {
    at: Instant,
    columns: usize,
}

impl Screen {
    /// Shows nothing yet: most files come too fast to be worth more than one line.
    pub(crate) fn new(file_name: &str, now: Instant) -> Self {
        let is_wanted = std::io::stdout().is_terminal() && can_return(std::env::var_os("TERM").as_deref());
        Self { bar: is_wanted.then(|| Bar::new(file_name, now)), drawn: None }
    }

    /// Takes a new state.
    pub(crate) fn show(&mut self, progress: &Progress, now: Instant) {
        if let Some(bar) = &mut self.bar {
            bar.update(progress.done, progress.total, progress.from_peers, now);
            if let Some(whole) = progress.transaction {
                bar.update_whole(whole, now);
            }
        }
        self.redraw(now);
    }

    /// Draws the bar, if it is time to, at the width that the terminal has now.
    pub(crate) fn redraw(&mut self, now: Instant) {
        let is_time = self.drawn.is_none_or(|drawn| now.saturating_duration_since(drawn.at) >= REDRAW_EVERY);
        if is_time {
            self.draw_bar('\r', now);
        }
    }

    /// Draws the last line.
    pub(crate) fn finish(&mut self, ready: &Ready, now: Instant) {
        if let Some(bar) = &mut self.bar {
            if let Some(whole) = ready.transaction {
                bar.update_whole(whole, now);
            }
            bar.finish(ready.size, ready.from_peers, now);
            self.draw_bar('\n', now);
            self.drawn = None;
        } else if let Some(line) = ready.transaction.as_ref().and_then(summary) {
            draw(&format!("{line}\n"));
        }
    }

    fn draw_bar(&mut self, end: char, now: Instant) {
        let Some(bar) = &self.bar else { return };
        let columns = columns();
        // A terminal that became narrower has broken the line: its rest stands below.
        let is_broken = self.drawn.is_some_and(|drawn| drawn.columns > columns);
        let erase = if is_broken { ERASE_BELOW } else { "" };
        draw(&format!("{erase}{}{end}", bar.line(columns)));
        self.drawn = Some(Drawn { at: now, columns });
    }
}

impl Drop for Screen {
    /// What is said next begins on a line of its own.
    fn drop(&mut self) {
        if self.drawn.is_some() {
            draw("\n");
        }
    }
}

/// A terminal that can't go back to the start of a line would show hundreds of bars.
fn can_return(terminal: Option<&std::ffi::OsStr>) -> bool {
    terminal.is_some_and(|terminal| !terminal.is_empty() && terminal != "dumb")
}

fn columns() -> usize {
    let size = tcgetwinsize(std::io::stdout());
    size.ok().map(|size| size.ws_col).filter(|&columns| columns > 0).unwrap_or(COLUMNS).into()
}

/// A terminal that went away is no reason to fail.
fn draw(text: &str) {
    let mut terminal = std::io::stdout().lock();
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dumb_terminal_gets_no_bar() {
        assert!(can_return(Some("xterm-256color".as_ref())));
        assert!(!can_return(Some("dumb".as_ref())));
        assert!(!can_return(Some("".as_ref())));
        assert!(!can_return(None));
    }
}
