//! Rust source without its comments and strings, so that rules see code only.

/// `source` with every comment and the inside of every literal replaced by spaces; lines stay where they are.
pub(crate) fn code_only(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let (kept, skipped) = next_token(rest, c, out.chars().next_back());
        out.push_str(&rest[..kept]);
        out.extend(rest[kept..skipped].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[skipped..];
    }
    out
}

/// How many bytes of `rest` to keep, and up to which to blank.
fn next_token(rest: &str, c: char, before: Option<char>) -> (usize, usize) {
    let word_before = before.is_some_and(|b| b.is_alphanumeric() || b == '_');
    match c {
        '/' if rest.starts_with("//") => (0, rest.find('\n').unwrap_or(rest.len())),
        '/' if rest.starts_with("/*") => (0, block_comment_end(rest)),
        '"' => (1, quoted_end(rest)),
        'r' if !word_before && raw_hashes(rest).is_some() => {
            let hashes = raw_hashes(rest).unwrap_or(0);
            let end = format!("\"{}", "#".repeat(hashes));
            let start = hashes + 2;
            (start, rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len()))
        }
        '\'' => char_literal_end(rest).map_or((1, 1), |end| (1, end)),
        _ => (c.len_utf8(), c.len_utf8()),
    }
}

/// The number of `#` if `rest` begins a raw string.
fn raw_hashes(rest: &str) -> Option<usize> {
    let hashes = rest[1..].bytes().take_while(|b| *b == b'#').count();
    (rest.as_bytes().get(1 + hashes) == Some(&b'"')).then_some(hashes)
}

fn quoted_end(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The end of a character literal; `None` for a lifetime.
fn char_literal_end(rest: &str) -> Option<usize> {
    let inner = &rest[1..];
    let first = inner.chars().next()?;
    if first == '\\' {
        let from = 1 + inner.char_indices().nth(1)?.1.len_utf8();
        return Some(1 + from + inner[from..].find('\'')? + 1);
    }
    inner[first.len_utf8()..].starts_with('\'').then(|| 1 + first.len_utf8() + 1)
}

fn block_comment_end(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let tail = &rest[at..];
        if tail.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if tail.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The source without its unit tests, which stand last.
pub(crate) fn without_tests(source: &str) -> &str {
    source.find("#[cfg(test)]\nmod ").map_or(source, |at| &source[..at])
}

#[test]
fn comments_and_literals_are_blanked_and_code_stays() {
    let code = |source: &str| code_only(source).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code("a // b\nc /* d /* e */ f */ g"), "a c g");
    assert_eq!(code("f(\"x \\\" y\", 'z', '\\'', '\\u{1}')"), "f(\" , ' , ' , ' )");
    assert_eq!(code("g(r#\"a \" b\"#, r\"c\", b\"d\") + hr"), "g(r#\" , r\" , b\" ) + hr");
    assert_eq!(code("fn f<'a>(x: &'a str) -> &'static str"), "fn f<'a>(x: &'a str) -> &'static str");
    assert_eq!(code_only("\"a\nb\"\nc").lines().count(), 3, "lines stay where they are");
}
