//! A picture that is drawn again and again: in place on a terminal, one below the other elsewhere.

use super::{write, write_as_it_is};
use rustix::{
    stdio::stdin,
    termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr},
};
use std::{
    borrow::Cow,
    io::{IsTerminal, Read, stdout},
    time::Duration,
};
use tokio::sync::mpsc;

/// The terminal while pictures are drawn; put back as it was when dropped.
pub(super) struct Screen {
    terminal: bool,
    before: Option<Termios>,
    keys: mpsc::Receiver<u8>,
}

impl Screen {
    /// Takes the terminal over, if there is one.
    pub(super) fn open() -> Self {
        let terminal = stdout().is_terminal();
        let (to, keys) = mpsc::channel(8);
        let before = if terminal && isatty(stdin()) { single_keys() } else { None };
        if before.is_some() {
            // Ends with the process: nothing can wake a read from a terminal.
            std::thread::spawn(move || {
                for key in std::io::stdin().lock().bytes().map_while(Result::ok) {
                    if to.blocking_send(key).is_err() {
                        return;
                    }
                }
            });
        }
        Self { terminal, before, keys }
    }

    /// Draws the next picture.
    pub(super) fn draw(&mut self, picture: &str) -> anyhow::Result<()> {
        if !self.terminal {
            return write(&format!("{picture}\n"));
        }
        // Home; each line cleared to its end, then what is left below. No flicker, unlike clearing first.
        // Long lines are cut at the edge, for a line that wraps would push the top out of sight, and so is what is below it.
        let rows = tcgetwinsize(stdout()).map_or(0, |size| usize::from(size.ws_row));
        let lines = top_of(picture, rows).replace('\n', "\x1b[K\n");
        write_as_it_is(&format!("\x1b[H\x1b[?7l{lines}\x1b[?7h\x1b[J"))
    }

    /// Waits; true as soon as the user wants it to end (q, Ctrl-C).
    pub(super) async fn ended_within(&mut self, span: Duration) -> bool {
        let quit = async {
            loop {
                match self.keys.recv().await {
                    Some(b'q' | b'Q') => return,
                    Some(_) => {}
                    None => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            () = tokio::time::sleep(span) => false,
            () = quit => true,
            _ = tokio::signal::ctrl_c() => true,
        }
    }
}

/// How many columns the terminal has; `None` where the output goes elsewhere.
pub(super) fn width() -> Option<usize> {
    let columns = tcgetwinsize(stdout()).ok().filter(|_| stdout().is_terminal())?.ws_col;
    (columns > 0).then(|| columns.into())
}

/// As much of the picture as `rows` can show (0: not known), and how much is missing.
fn top_of(picture: &str, rows: usize) -> Cow<'_, str> {
    let lines: Vec<&str> = picture.lines().collect();
    // The cursor takes the last row.
    if rows < 3 || lines.len() < rows {
        return Cow::Borrowed(picture);
    }
    let shown = rows - 2;
    Cow::Owned(format!("{}\n… {} lines more: make the window taller\n", lines[..shown].join("\n"), lines.len() - shown))
}

/// Keys come at once and are not shown.
fn single_keys() -> Option<Termios> {
    let before = tcgetattr(stdin()).ok()?;
    let mut single = before.clone();
    single.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    tcsetattr(stdin(), OptionalActions::Now, &single).ok()?;
    Some(before)
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::top_of;

    #[test]
    fn a_picture_taller_than_the_window_shows_its_top_and_says_so() {
        let picture = "one\ntwo\nthree\nfour\nfive\n";
        assert_eq!(top_of(picture, 6), picture);
        assert_eq!(top_of(picture, 0), picture);
        assert_eq!(top_of(picture, 4), "one\ntwo\n… 3 lines more: make the window taller\n");
    }
}
