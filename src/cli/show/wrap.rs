//! Text for a window of some width.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// `text` broken at blanks for a window `width` columns wide (`None`: as wide as it takes), where every line begins after
/// `indent` columns; what stands there in the first line is the caller's. A word too long for a line stays whole.
pub(super) fn wrap(text: &str, width: Option<usize>, indent: usize) -> String {
    let Some(room) = width.map(|width| width.saturating_sub(indent)).filter(|room| *room > 0) else {
        return text.into();
    };
    let (mut wrapped, mut column) = (String::new(), 0);
    for (place, word) in text.split(' ').enumerate() {
        if place > 0 && column + 1 + word.width() > room {
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(indent));
            column = 0;
        } else if place > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += word.width();
    }
    wrapped
}

/// `text` cut to `columns`, with a mark where something is missing.
pub(super) fn short(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.into();
    }
    let mut used = 1;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= columns
    };
    let kept: String = text.chars().take_while(fits).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_go_on_under_the_first() {
        let text = "AGG_V: no valid resync signal";
        assert_eq!(wrap(text, Some(20), 2), "AGG_V: no valid\n  resync signal");
        assert_eq!(wrap(text, Some(17), 2), "AGG_V: no valid\n  resync signal", "a line may fill the window");
        assert_eq!(wrap(text, None, 2), text);
        assert_eq!(wrap("日本 日本", Some(8), 0), "日本\n日本", "wide characters take two columns");
        assert_eq!(wrap("a unbreakable b", Some(6), 0), "a\nunbreakable\nb");
        assert_eq!(wrap(text, Some(1), 2), text, "no window is so narrow");
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(short("it refused", 10), "it refused");
        assert_eq!(short("it refused it", 10), "it refuse…");
        assert_eq!(short("日本日本", 4), "日…");
    }
}
