//! `failback demo` as a newcomer runs it (issue 2, item 7): the whole program, its children, its end.

#[cfg(test)]
mod common;
#[cfg(test)]
#[path = "demo_story/demo.rs"]
mod demo;

#[cfg(test)]
mod story {
    use crate::{
        common::{SOON, eventually},
        demo::Demo,
    };
    use std::{os::unix::process::ExitStatusExt, time::Duration};

    /// The story takes about 20 s; a machine that is busy with other tests needs longer.
    const STORY: Duration = Duration::from_secs(150);

    /// The first number in the text behind `words`.
    fn number_after(text: &str, words: &str) -> u64 {
        let (_, rest) = text.split_once(words).unwrap_or_else(|| panic!("no {words:?} in:\n{text}"));
        let digits: String = rest.trim_start().chars().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
        digits.replace(',', "").parse().unwrap_or_else(|_| panic!("no number behind {words:?} in:\n{text}"))
    }

    #[test]
    fn the_story_is_told_to_its_end_and_nothing_is_lost() {
        let mut demo = Demo::start();
        let (status, told, errors) = demo.end(STORY);
        assert!(status.success(), "{status}\n{told}\n{errors}");

        let chapters =
            ["HEALTHY", "PRIMARY KILLED", "PRIMARY BACK, BUT STALE", "RESYNC", "FAILBACK, PACED", "THE COUNT"];
        let places: Vec<Option<usize>> = chapters.iter().map(|chapter| told.find(chapter)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{told}");
        assert!(!told.contains('\x1b'), "a story that is not on a terminal has no colours:\n{told}");

        let (_, count) = told.split_once("THE COUNT").expect("checked above");
        assert!(number_after(count, "sent ") > 1_000, "{count}");
        assert_eq!(number_after(count, "sent "), number_after(count, "stored "));
        assert_eq!(number_after(count, "stored "), number_after(count, "hold the same "), "{count}");
        assert_eq!(number_after(count, "lost "), 0);
        assert_eq!(number_after(count, "duplicated "), 0);
        assert_eq!(number_after(&told, "sent to a stale server:"), 0);
        // The count can tell when something is lost: the witness, routed as a plain load balancer would, lost events.
        assert!(number_after(&told, "acknowledged, ") > 0, "{told}");

        assert_eq!(demo.processes(), Vec::<String>::new(), "nothing is left running");
        assert_eq!(demo.files(), 0, "nothing is left on disk");
    }

    #[test]
    fn a_demo_that_is_interrupted_leaves_nothing_behind() {
        let mut demo = Demo::start();
        demo.read_until("PRIMARY KILLED");
        demo.signal("TERM");
        let (status, _, _) = demo.end(SOON);
        assert_eq!(status.code(), Some(143));
        assert_eq!(demo.processes(), Vec::<String>::new());
        assert_eq!(demo.files(), 0);
    }

    #[test]
    fn the_children_of_a_demo_that_was_killed_die_with_it() {
        let mut demo = Demo::start();
        demo.read_until("HEALTHY");
        assert_eq!(demo.processes().len(), 4, "the demo, two servers and the proxy: {:?}", demo.processes());
        demo.signal("KILL");
        let (status, _, _) = demo.end(SOON);
        assert_eq!(status.signal(), Some(9));
        eventually("the children are gone", || demo.processes().is_empty().then_some(()));
    }
}
