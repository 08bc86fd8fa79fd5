//! What can go wrong in the demo.

use std::io;

/// Why the demo could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A file or address can't be used.
    #[error("{0}")]
    Io(String, #[source] io::Error),
    /// The system refused something.
    #[error("{0}")]
    System(&'static str, #[source] io::Error),
    /// A program of the demo ended by itself; its last words follow.
    #[error("{name} ended by itself ({status}); its last words:\n{words}")]
    Ended {
        /// Its name.
        name: &'static str,
        /// How.
        status: String,
        /// The end of what it wrote.
        words: String,
    },
    /// Something that must happen did not.
    #[error("waited {seconds} s in vain: {wanted}")]
    InVain {
        /// What should have happened.
        wanted: String,
        /// For how long it was awaited.
        seconds: u64,
    },
    /// The proxy's API answered something else than was asked for.
    #[error("the proxy's API: {0}")]
    Api(String),
    /// A server did not do as asked.
    #[error("{0}")]
    Server(String),
    /// A signal, or the key for it, asked the demo to end.
    #[error("interrupted")]
    Interrupted,
}
